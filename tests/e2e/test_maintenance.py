"""Chores on a cluster, started as the documentation says, while the server goes on."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.e2e import kube
from tests.e2e.conftest import Volumes, instance
from tests.e2e.kube import Client

DELETE = """
import sys, urllib.request
urllib.request.urlopen(urllib.request.Request(sys.argv[1], method="DELETE"), timeout=30)
"""


def done(chore: str, namespace: str, number: int, *variables: str, succeeds: bool = True) -> tuple[str, str]:
    """Create a Job from a chore's CronJob, and wait for its end; its log, and the message of its container.

    Args:
        chore: name of the chore.
        namespace: of the instance.
        number: that tells the Job from others.
        variables: as `kubectl set env` has them.
        succeeds: whether the Job is to succeed.
    """
    name = f"{chore}-{number}"
    create = f"kubectl -n {namespace} create job --from=cronjob/aim-{chore} {name}"
    if variables:
        setting = f"kubectl set env --local -f - {' '.join(variables)} -o yaml"
        create = f"{create} --dry-run=client -o yaml | {setting} | kubectl -n {namespace} create -f -"
    subprocess.run(["bash", "-ec", f"set -o pipefail; {create}"], check=True, timeout=60)
    condition = "Complete" if succeeds else "Failed"
    kube.kubectl("wait", "-n", namespace, f"--for=condition={condition}", f"job/{name}", "--timeout=150s")
    (pod,) = kube.found("pods", "-n", namespace, "-l", f"batch.kubernetes.io/job-name={name}")["items"]
    (status,) = pod["status"]["containerStatuses"]
    assert (status["state"]["terminated"]["exitCode"] == 0) is succeeds
    log = kube.kubectl("logs", "-n", namespace, f"job/{name}")
    return log, str(status["state"]["terminated"].get("message", ""))


def test_chores_are_done_beside_a_server(namespace: str, folder: Path, volumes: Volumes) -> None:
    """Dry run, close, prune, a new index and a run out of the trash; the server's pod is the same at the end."""
    storage = volumes.host_path(namespace)  # locks of the NFS client that stands in do not leave a pod
    maintenance = {"close": {"olderThanHours": 0}, "prune": {"olderThanHours": 0}}
    content = {**instance(namespace, storage), "maintenance": maintenance}
    kube.kubectl("apply", "-f", kube.synthesized(folder, aim=content))
    kube.ready(namespace)
    server = kube.server_pod(namespace)["metadata"]["name"]
    client = Client(namespace=namespace)
    client.start()
    claim = kube.claim_of("aim")
    kube.apply(kube.writer("writer", namespace, claim, "--runs", 3))
    runs = kube.written("writer", namespace)
    kube.await_runs(runs, namespace)

    log, message = done("report", namespace, 1)
    assert "0 of 3 runs are damaged" in message, log

    lost = _lost_run(namespace)
    log, message = done("close", namespace, 1)
    assert f"run {lost}: would close it" in log
    log, message = done("close", namespace, 2, "APPLY=yes")
    assert "1 runs without a writer are closed" in message, log

    deleted = min(runs)
    client.python(DELETE, f"http://aim.{namespace}.svc/api/runs/{deleted}/")
    kube.wait_for(lambda: deleted not in kube.counted(namespace), seconds=60)
    log, message = done("prune", namespace, 1)
    assert "dry run" in message, log
    log, message = done("prune", namespace, 2, "APPLY=yes")
    assert "entries of deleted runs are removed from the index" in message, log
    assert f"a server runs on host {server}" in log

    log, message = done("reindex", namespace, 1, "APPLY=yes")
    assert "3 runs are indexed, 0 cannot be read" in message, log
    log, message = done("undelete", namespace, 1)
    assert deleted in log
    log, message = done("undelete", namespace, 2, "APPLY=yes", f"RUN={deleted}")
    assert "1 deleted runs are brought back" in message, log
    kube.await_runs(runs, namespace)
    log, message = done("undelete", namespace, 3, "APPLY=yes", f"RUN={deleted}", succeeds=False)
    assert "the trash has no run" in message, log
    assert kube.server_pod(namespace)["metadata"]["name"] == server
    assert kube.restarts(namespace) == {"aim": 0}


def _lost_run(namespace: str) -> str:
    """Kill a trainer in the middle of its first run, at once; the run."""
    kube.apply(kube.writer("trainer", namespace, kube.claim_of("aim"), "--points", 100000, action="acknowledge"))
    reading = ["exec", "-n", namespace, "trainer", "--", "head", "-1", "/aim/trainer.acknowledged"]
    line = kube.wait_for(lambda: kube.kubectl(*reading).strip(), seconds=90)
    kube.kubectl("delete", "pod", "trainer", "-n", namespace, "--grace-period=1")  # waits for its end
    return str(json.loads(line)[0])
