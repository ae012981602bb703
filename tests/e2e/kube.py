"""What the suite asks of a cluster, through kubectl as a user would."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

ROOT = Path(__file__).resolve().parents[2]
CLIENT = (ROOT / "tests/harness/aim_client.py").read_text(encoding="utf-8")
IMAGE = os.environ.get("AIM_IMAGE", "aim.local/aim:e2e")
UID = 10001
PREFIX = f"aim-e2e-{secrets.token_hex(3)}-"
"""Of every namespace, volume and folder of this session."""

_NUMBERS = itertools.count()

Manifest = dict[str, Any]
T = TypeVar("T")


class FailedError(AssertionError):
    """A command that failed, with everything that it said."""


def kubectl(*arguments: object, text: str | None = None, seconds: float = 180, check: bool = True) -> str:
    """Run kubectl; what it printed."""
    command = ["kubectl", *map(str, arguments)]
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=seconds, check=False)
    if check and done.returncode:
        raise FailedError(f"{' '.join(command[:12])}: {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout + done.stderr


def found(*arguments: object) -> Any:
    """What `kubectl get` answers."""
    command = ["kubectl", "get", *map(str, arguments), "-o", "json"]
    return json.loads(subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout)


def apply(*manifests: Manifest) -> str:
    """Apply manifests; what was said."""
    return kubectl("apply", "-f", "-", text=yaml.safe_dump_all(manifests))


def assert_unchanged(path: object) -> None:
    """A further apply of the same manifests says that it changed nothing."""
    said = kubectl("apply", "-f", path)
    assert all(line.endswith(" unchanged") for line in said.splitlines()), said


def wait_for(condition: Callable[[], T], *, seconds: float, what: str = "") -> T:
    """Wait until something is true; what it was. Until then it may also fail, or miss what it looks for."""
    end = time.monotonic() + seconds
    while True:
        found: object = None
        try:
            if value := condition():
                return value
            found = value
        except (FailedError, subprocess.SubprocessError, LookupError, StopIteration, ValueError) as error:
            found = repr(error)
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what} {found}")
        time.sleep(0.25)


def synthesized(folder: Path, project: Path = ROOT, /, **instances: Manifest) -> Path:
    """Write instance files, and make manifests of them as a user does; by another state of the project, if named."""
    sources = folder / "instances"
    sources.mkdir(exist_ok=True)
    for name, instance in instances.items():
        (sources / f"{name}.yaml").write_text(yaml.safe_dump(instance), encoding="utf-8")
    environment = {**os.environ, "INSTANCES": str(sources), "CDK8S_OUTDIR": str(folder / "dist")}
    command = [sys.executable, str(project / "main.py")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise FailedError(done.stderr)
    return folder / "dist"


def pod(name: str, namespace: str, command: list[str], **options: Any) -> Manifest:
    """A pod that fits into a restricted namespace; `volumes` maps paths to volume sources."""
    volumes = options.get("volumes", {})
    user = options.get("user", UID)
    container: Manifest = {
        "name": "main",
        "image": IMAGE,
        "command": command,
        "volumeMounts": [{"name": f"v{i}", "mountPath": path} for i, path in enumerate(volumes)],
    }
    spec: Manifest = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 0,
        "securityContext": {"runAsUser": user, "runAsGroup": user},
        "containers": [container],
        "volumes": [{"name": f"v{i}", **source} for i, source in enumerate(volumes.values())],
    }
    if user:
        container["securityContext"] = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
        spec["securityContext"] |= {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def claim_of(instance: str) -> Manifest:
    """The volume source of an instance's claim."""
    return {"persistentVolumeClaim": {"claimName": f"{instance}-runs"}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A pod that asks servers for things, as a browser behind an ingress or a training pod would."""

    namespace: str
    name: str = "client"

    def start(self) -> None:
        """Start it, and wait until it runs."""
        apply(pod(self.name, self.namespace, ["sleep", "infinity"]))
        await_pod(self.name, self.namespace)

    def python(self, script: str, *arguments: object, seconds: float = 120) -> str:
        """Run a script in it."""
        command = ["exec", "-n", self.namespace, self.name, "--", "python3", "-c", script]
        return kubectl(*command, *arguments, seconds=seconds)

    @contextlib.contextmanager
    def running(self, script: str, *arguments: object, stdin: bool = False) -> Iterator[subprocess.Popen[str]]:
        """Run a script in it meanwhile; at the end its output is closed, and so is its input where it has one."""
        command = [
            "kubectl",
            "exec",
            *(["-i"] if stdin else []),
            "-n",
            self.namespace,
            self.name,
            "--",
            "python3",
            "-c",
        ]
        pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        with subprocess.Popen([*command, script, *map(str, arguments)], text=True, **pipes) as process:
            try:
                yield process
            finally:
                process.kill()

    def get(self, url: str, body: object = None, *, seconds: float = 30) -> str:
        """The body of a 200 answer; with a body of its own, the question is a POST."""
        return self.python(GET, url, seconds, json.dumps(body) if body else "", seconds=seconds + 30)

    def page(self, path: str) -> str:
        """What the server of its namespace answers."""
        return self.get(f"http://aim.{self.namespace}.svc{path}")


@contextlib.contextmanager
def forwarded(namespace: str, port: int, *, service: str = "aim") -> Iterator[int]:
    """Forward a port of a server's Service to the loopback, as a user does; the port there."""
    command = ["kubectl", "port-forward", "-n", namespace, f"service/{service}", f":{port}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield int(process.stdout.readline().partition("127.0.0.1:")[2].split()[0])
        finally:
            process.terminate()


GET = """
import sys, urllib.request
question = urllib.request.Request(sys.argv[1], sys.argv[3].encode() or None, {"Content-Type": "application/json"})
with urllib.request.urlopen(question, timeout=float(sys.argv[2])) as answer:
    print(answer.read().decode(errors="replace"))
"""

POLL = """
# asks again and again until its input is closed; prints when each question was asked, and whether it was answered
import http.client, json, sys, threading, time, urllib.request
answers, ended = [], threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
while not ended.is_set():
    begin = time.time()
    try:
        with urllib.request.urlopen(sys.argv[1], timeout=2) as answer:
            answer.read()
        good = True
    except (OSError, http.client.HTTPException):
        good = False
    answers.append((begin, good))
    time.sleep(0.1)
print(json.dumps(answers))
"""


def outage(polling: subprocess.Popen[str]) -> float:
    """End POLL; seconds from the first failed request to the first good one after the last failed."""
    output, errors = polling.communicate(timeout=30)
    if polling.returncode:
        raise FailedError(errors)
    answers = json.loads(output)
    failed = [number for number, (_, good) in enumerate(answers) if not good]
    if not failed:
        return 0.0
    back = answers[min(failed[-1] + 1, len(answers) - 1)][0]
    return float(back - answers[failed[0]][0])


def writer(
    name: str, namespace: str, claim: Manifest, *options: object, action: str = "write", **pod_options: Any
) -> Manifest:
    """A pod that does something to the repository on a volume (`aim_client.py`), such as record runs."""
    command = ["python3", "-c", CLIENT, action, "/aim", "--name", name, *map(str, options)]
    return pod(name, namespace, command, volumes={"/aim": claim}, **pod_options)


def remote_writer(name: str, namespace: str, url: str, *options: object) -> Manifest:
    """A pod that records runs over the network, as a user of its own."""
    return pod(name, namespace, ["python3", "-c", CLIENT, "write", url, "--name", name, *map(str, options)], user=4711)


def finished(name: str, namespace: str, *, seconds: float = 180) -> list[Manifest]:
    """Wait until a pod has succeeded; the lines of JSON that it printed."""

    def phase() -> str:
        reached = str(found("pod", name, "-n", namespace)["status"]["phase"])
        if reached == "Failed":
            raise AssertionError(kubectl("logs", "-n", namespace, name))
        return reached

    wait_for(lambda: phase() == "Succeeded", seconds=seconds, what=name)
    lines = kubectl("logs", "-n", namespace, name).splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def written(name: str, namespace: str, *, seconds: float = 180) -> dict[str, int]:
    """Wait for a writer; its runs, and the number of points in each."""
    return {line["hash"]: line["points"] for line in finished(name, namespace, seconds=seconds)}


def counted(namespace: str, deployment: str = "aim") -> dict[str, int]:
    """The runs that a server's index knows, and the number of points in each."""
    command = ["exec", "-n", namespace, f"deployment/{deployment}", "--", "python3", "-c", CLIENT, "count", "/aim"]
    lines = kubectl(*command).splitlines()
    return dict(json.loads(next(line for line in lines if line.startswith("{"))))


def await_runs(runs: dict[str, int], namespace: str, deployment: str = "aim", *, seconds: float = 90) -> None:
    """Wait until a server has every one of these runs, with every point."""
    wait_for(lambda: runs.items() <= counted(namespace, deployment).items(), seconds=seconds, what=f"{len(runs)} runs")


def await_pod(name: str, namespace: str) -> None:
    """Wait until a pod runs; with what the cluster says about it where it does not."""
    try:
        kubectl("wait", "-n", namespace, "--for=condition=Ready", f"pod/{name}", "--timeout=90s")
    except FailedError:
        raise AssertionError(kubectl("describe", "pod", name, "-n", namespace)) from None


def ready(namespace: str, deployment: str = "aim", *, seconds: int = 180) -> None:
    """Wait until a server answers."""
    kubectl(
        "rollout", "status", "-n", namespace, f"deployment/{deployment}", f"--timeout={seconds}s", seconds=seconds + 10
    )


def ready_since(namespace: str) -> str:
    """When a server's pod was taken into its Service: another moment, where it has left it meanwhile."""
    conditions = server_pod(namespace)["status"]["conditions"]
    (condition,) = [each for each in conditions if each["type"] == "Ready"]
    return f"{condition['status']} since {condition['lastTransitionTime']}"


def restarts(namespace: str) -> dict[str, int]:
    """How often each container of a server's pod was started again."""
    statuses = server_pod(namespace)["status"]["containerStatuses"]
    return {each["name"]: each["restartCount"] for each in statuses}


def server_pod(namespace: str, instance: str = "aim") -> Manifest:
    """The newest pod of a server that is not ending."""
    selector = f"app.kubernetes.io/instance={instance},app.kubernetes.io/component=server"
    pods = found("pods", "-n", namespace, "-l", selector)["items"]
    alive = [each for each in pods if "deletionTimestamp" not in each["metadata"]]
    if not alive:
        raise FailedError(f"no pod of {instance} in {namespace}")
    return dict(max(alive, key=lambda each: str(each["metadata"]["creationTimestamp"])))


@contextlib.contextmanager
def namespaces(count: int = 1) -> Iterator[list[str]]:
    """Names for namespaces of the suite's own; at the end their removal begins, which `gone` waits for."""
    names = [f"{PREFIX}{next(_NUMBERS)}" for _ in range(count)]
    try:
        yield names
    finally:
        kubectl("delete", "namespace", *names, "--ignore-not-found", "--wait=false")


def gone(*, but: str = "") -> None:
    """Wait until no namespace of this session is left but one, and remove the volumes that instances in them had."""
    namespaces = [each["metadata"]["name"] for each in found("namespaces")["items"]]
    own = [f"namespace/{name}" for name in namespaces if name.startswith(PREFIX) and name != but]
    if own:
        kubectl("wait", "--for=delete", *own, "--timeout=170s")
    volumes = [each["metadata"]["name"] for each in found("pv")["items"]]
    own = [f"pv/{name}" for name in volumes if name.startswith(PREFIX)]
    if own:
        kubectl("delete", *own)
