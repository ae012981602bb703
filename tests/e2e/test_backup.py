"""A namespace is deleted, and everything comes back from a bucket; and Prometheus says that a backup fails."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from tests.e2e import controllers, kube, snapshots
from tests.e2e.conftest import Volumes, instance, measured
from tests.e2e.kube import Client, Manifest
from tests.harness import s3
from tests.harness.restic import newest
from tests.harness.sandbox import skip

DOCUMENTATION = kube.ROOT / "docs/how-to/backup.md"
PASSWORD = "correct horse"
PORT = 7070


def image(command: str, program: Path | str | None) -> str:
    """An image with a shell and a program; on another cluster than the project's own, a variable names one."""
    variable, made = f"{command.upper()}_IMAGE", f"aim.local/{command}:e2e"
    named = os.environ.get(variable)
    if named:
        return named
    if not program:
        skip(f"no program for an image: set {variable}, or install what tests/e2e/cluster/packages lists")
    script = kube.ROOT / "tests/e2e/cluster/image"
    done = subprocess.run([script, "tool", made, program, command], capture_output=True, text=True, check=False)
    if done.returncode:
        skip(f"no image: set {variable}, or {done.stderr}")
    return made


@pytest.fixture(scope="session")
def restic() -> str:
    """An image with restic, and a shell."""
    return image("restic", newest())


def documented(heading: str = "") -> list[str]:
    """The commands of a section of the page, or of what is above all sections."""
    page = DOCUMENTATION.read_text(encoding="utf-8")
    section = page.partition(f"\n## {heading}\n")[2] if heading else page
    return re.findall(r"```sh\n(.*?)```", section.partition("\n## ")[0], re.DOTALL)


def run_documented(commands: str, namespace: str, file: Path) -> str:
    """Run commands of the page as a user does, on a namespace and an instance file of the test's own."""
    script = commands.replace(" -n aim ", f" -n {namespace} ").replace("INSTANCE=aim ", f"INSTANCE={file} ")
    command = ["bash", "-euo", "pipefail", "-c", script]
    done = subprocess.run(command, cwd=kube.ROOT, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        raise kube.FailedError(f"{script}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def job_ended(name: str, namespace: str, *, seconds: float = 300) -> tuple[bool, str]:
    """Wait for the end of a Job; whether it has succeeded, and the logs of its pods."""

    def ended() -> str:
        conditions = kube.found("job", name, "-n", namespace)["status"].get("conditions", [])
        reached = {each["type"] for each in conditions if each["status"] == "True"}
        return next(iter(reached & {"Complete", "Failed"}), "")

    reached = kube.wait_for(ended, seconds=seconds, what=f"the end of {name}")
    pods = [each["metadata"]["name"] for each in kube.found("pods", "-n", namespace, "-l", f"job-name={name}")["items"]]
    options = ["-n", namespace, "--all-containers", "--prefix"]
    # the last pod of a Job that failed may have begun nothing
    return reached == "Complete", "".join(kube.kubectl("logs", pod, *options, check=False) for pod in pods)


def admitted(name: str, namespace: str) -> bool:
    """Whether a restore has begun: a server that starts now waits."""
    (pod,) = kube.found("pods", "-n", namespace, "-l", f"job-name={name}")["items"]
    states = {each["name"]: each["state"] for each in pod["status"].get("initContainerStatuses", [])}
    return bool(states["admit"].get("terminated"))


def started(cron_job: str, name: str, namespace: str) -> None:
    """Start a Job of a CronJob now, as the page has it."""
    kube.kubectl("create", "job", "-n", namespace, f"--from=cronjob/{cron_job}", name)


def secrets(namespace: str, password: str = PASSWORD) -> None:
    """Make the Secrets of the password and of the bucket's keys."""
    for name, texts in {"aim-backup": {"password": password}, "s3": s3.KEYS}.items():
        literals = [f"--from-literal={key}={text}" for key, text in texts.items()]
        kube.kubectl("create", "secret", "generic", name, "-n", namespace, *literals)


@contextmanager
def bucket(namespace: str) -> Iterator[str]:
    """A real S3 server in a namespace of its own, with an empty bucket; its URL."""
    program = image("versitygw", s3.program())
    kube.kubectl("create", "namespace", namespace)
    arguments = f"--port :{PORT} --access {s3.KEYS['id']} --secret {s3.KEYS['secret']} posix /data"
    command = ["sh", "-c", f"mkdir /data/backups && exec versitygw {arguments}"]
    server = kube.pod("s3", namespace, command, volumes={"/data": {"emptyDir": {}}})
    server["metadata"]["labels"] = {"app": "s3"}
    server["spec"]["containers"][0]["image"] = program
    server["spec"]["securityContext"]["fsGroup"] = kube.UID
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s3", "namespace": namespace}}
    kube.apply(server, {**service, "spec": {"selector": {"app": "s3"}, "ports": [{"port": PORT}]}})
    kube.await_pod("s3", namespace)
    yield f"http://s3.{namespace}.svc:{PORT}"


def with_backup(namespace: str, storage: Manifest, restic: str, **target: Manifest) -> Manifest:
    """An instance file with a backup, which nobody's schedule starts."""
    backup = {
        **target,
        "password": {"name": "aim-backup", "key": "password"},
        "resticImage": restic,
        "checkPercent": 100,
    }
    off = {"suspend": True, "drill": {"suspend": True, "size": "1Gi"}}
    return {**instance(namespace, storage, metrics={}), "backup": {**backup, **off}}


def in_bucket(endpoint: str) -> Manifest:
    """The target of a backup to the bucket."""
    keys = {"accessKey": {"name": "s3", "key": "id"}, "secretKey": {"name": "s3", "key": "secret"}}
    return {"endpoint": endpoint, "bucket": "backups", "pathStyle": True, **keys}


def served(namespace: str, folder: Path, content: Manifest) -> dict[str, int]:
    """Start an instance, and record runs; their points."""
    kube.kubectl("apply", "-f", kube.synthesized(folder, aim=content))
    kube.ready(namespace, seconds=300)
    kube.apply(kube.writer("first", namespace, kube.claim_of("aim"), "--runs", 5))
    runs = kube.written("first", namespace)
    kube.await_runs(runs, namespace)
    return runs


def test_everything_comes_back_from_a_bucket_after_its_namespace_is_gone(
    folder: Path, volumes: Volumes, restic: str
) -> None:
    """By the three commands of the page, while a server that was started too early waits for the restore."""
    with kube.namespaces(3) as (home, vault, other), bucket(vault) as endpoint:
        content = with_backup(home, volumes.nfs_export(home), restic, s3=in_bucket(endpoint))
        kube.kubectl("create", "namespace", home)
        secrets(home)
        runs = served(home, folder, {**content, "createNamespace": False})
        begin = time.monotonic()
        run_documented(documented()[-1].splitlines()[0], home, folder)
        good, logs = job_ended("backup-now", home)
        assert good, logs
        measured("a backup to a bucket, from its command to the end", time.monotonic() - begin)
        started("aim-drill", "drill-now", home)
        good, logs = job_ended("drill-now", home)
        assert good, logs
        assert f"{len(runs)} of {len(runs)} runs of the newest copy are read by Aim" in logs
        kube.kubectl("delete", "namespace", home, "--wait=true", seconds=300)
        volumes.run(f"rm -rf /nfs/{home}")

        begin = time.monotonic()
        moved = {**content, "namespace": other, "storage": volumes.nfs_export(other), "createNamespace": False}
        kube.kubectl("create", "namespace", other)
        secrets(other)
        kube.kubectl("apply", "-f", kube.synthesized(folder, aim=moved))
        kube.ready(other, seconds=300)
        stop, restore, start = re.split(r"(?<!\\)\n", documented("The way back")[0].strip())
        run_documented(stop, other, folder)
        said = run_documented(restore, other, folder / "instances/aim.yaml")
        name = re.findall(r"job.batch/(aim-restore-\S+) created", said)[0]
        kube.wait_for(lambda: admitted(name, other), seconds=120, what="the beginning of the restore")
        run_documented(start, other, folder)
        good, logs = job_ended(name, other)
        assert good, logs
        kube.ready(other, seconds=300)
        kube.await_runs(runs, other)
        measured("everything back in another namespace, from an empty one", time.monotonic() - begin)
        assert kube.restarts(other) == {"aim": 0}
        kept = volumes.run(f"ls -a /nfs/{other}")
        assert ".aim-before-restore-" in kept


def test_a_cluster_takes_the_manifests_of_snapshots(folder: Path) -> None:
    """Those of the page; without a driver, so that the claim stays pending, and the server with it."""
    page = re.findall(r"```yaml\n(.*?)```", DOCUMENTATION.read_text("utf-8"), re.DOTALL)
    snapshot, restored, part = [yaml.safe_load(each) for each in page if "aim-monday" in each]
    with controllers.defined(snapshots.definitions()), kube.namespaces(1) as (home,):
        kube.kubectl("create", "namespace", home)
        for each in (snapshot, restored):
            each["metadata"]["namespace"] = home
        kube.apply(snapshot, restored)
        (made,) = kube.found("volumesnapshots", "-n", home)["items"]
        assert made["spec"] == snapshot["spec"]
        claimed = kube.found("pvc", "aim-monday", "-n", home)
        assert claimed["spec"]["dataSource"] == restored["spec"]["dataSource"]
        content = {**instance(home, part["storage"]), "createNamespace": False}
        kube.kubectl("apply", "-f", kube.synthesized(folder, aim=content))
        pod = kube.found("deployment", "aim", "-n", home)["spec"]["template"]["spec"]
        claims = [each["persistentVolumeClaim"] for each in pod["volumes"] if "persistentVolumeClaim" in each]
        assert claims == [{"claimName": "aim-monday"}]


def claim(namespace: str) -> Manifest:
    """A claim for copies."""
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "copies", "namespace": namespace},
        "spec": spec,
    }


PROMETHEUS = """
global: {{scrape_interval: 2s, evaluation_interval: 2s}}
rule_files: [/etc/aim/rules.yaml]
scrape_configs:
  - job_name: aim
    static_configs:
      - targets: ["{address}:43801"]
        labels: {{namespace: {namespace}, pod: {pod}}}
"""


def test_prometheus_says_that_a_backup_fails(folder: Path, volumes: Volumes, restic: str) -> None:
    """Copies go to another claim; then the password is another one, the Job fails, and the alert fires."""
    with kube.namespaces(2) as (home, monitoring):
        program = image("prometheus", shutil.which("prometheus"))
        content = with_backup(home, volumes.host_path(home), restic, existingClaim={"name": "copies"})
        admitted = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": monitoring}}}
        # the alert is asked for after minutes, not after a day: its age is the time that this test takes
        content["server"]["metrics"] = {"allowFrom": [admitted], "alerts": {"backupAgeSeconds": 30}}
        for name in (home, monitoring):
            kube.kubectl("create", "namespace", name)
        secrets(home)
        kube.apply(claim(home))
        dist = kube.synthesized(folder, aim={**content, "createNamespace": False})
        manifests = list(yaml.safe_load_all((dist / "aim.k8s.yaml").read_text("utf-8")))
        (rule,) = [each for each in manifests if each["kind"] == "PrometheusRule"]
        kube.apply(*(each for each in manifests if each is not rule))  # the cluster has no operator
        kube.ready(home, seconds=300)
        kube.apply(kube.writer("first", home, kube.claim_of("aim"), "--runs", 3))
        kube.await_runs(kube.written("first", home), home)
        started("aim-backup", "good", home)
        good, logs = job_ended("good", home)
        assert good, logs
        server = kube.server_pod(home)
        config = PROMETHEUS.format(address=server["status"]["podIP"], namespace=home, pod=server["metadata"]["name"])
        for each in rule["spec"]["groups"][0]["rules"]:
            each["for"] = "4s"
        prometheus(monitoring, program, config, yaml.safe_dump(rule["spec"]))
        kube.wait_for(lambda: asked(monitoring, "aim_backup_runs") == "3", seconds=90, what="the metrics")
        assert asked(monitoring, "aim_up") == "1"
        kube.kubectl("delete", "secret", "aim-backup", "s3", "-n", home)
        secrets(home, "another")
        started("aim-backup", "bad", home)
        good, logs = job_ended("bad", home)
        assert not good
        assert "wrong password or no key found" in logs
        begin = time.monotonic()
        kube.wait_for(lambda: "AimBackupTooOld" in firing(monitoring), seconds=180, what="the alert")
        measured("a backup fails, until the alert fires (age 30 s)", time.monotonic() - begin)
        kube.kubectl("delete", "secret", "aim-backup", "s3", "-n", home)
        secrets(home)
        started("aim-backup", "again", home)
        good, logs = job_ended("again", home)
        assert good, logs
        kube.wait_for(lambda: "AimBackupTooOld" not in firing(monitoring), seconds=60, what="the end of the alert")


def prometheus(namespace: str, program: str, config: str, rules: str) -> None:
    """Start Prometheus with a configuration and rules."""
    data = {"prometheus.yaml": config, "rules.yaml": rules}
    name = {"name": "prometheus", "namespace": namespace}
    kube.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": name, "data": data})
    mounts: Manifest = {"/etc/aim": {"configMap": {"name": "prometheus"}}, "/data": {"emptyDir": {}}}
    arguments = ["--config.file=/etc/aim/prometheus.yaml", "--storage.tsdb.path=/data"]
    pod = kube.pod("prometheus", namespace, ["prometheus", *arguments], volumes=mounts)
    pod["spec"]["containers"][0]["image"] = program
    pod["spec"]["securityContext"]["fsGroup"] = kube.UID
    kube.apply(pod)
    kube.await_pod("prometheus", namespace)
    Client(namespace=namespace).start()


def api(namespace: str, path: str) -> Manifest:
    """What Prometheus answers."""
    address = kube.found("pod", "prometheus", "-n", namespace)["status"]["podIP"]
    answer: Manifest = json.loads(Client(namespace=namespace).get(f"http://{address}:9090/api/v1/{path}"))
    return dict(answer["data"])


def asked(namespace: str, query: str) -> str:
    """The value of the only series that a query finds."""
    (found,) = api(namespace, f"query?query={query}")["result"]
    return str(found["value"][1])


def firing(namespace: str) -> set[str]:
    """Names of the alerts that fire."""
    alerts = api(namespace, "alerts")["alerts"]
    return {each["labels"]["alertname"] for each in alerts if each["state"] == "firing"}
