"""Runs a rendered container as close to a pod as a process can be: without a container engine, with the real Aim.

In namespaces of its own (mounts, processes, network) the command is PID 1, sees a root that it cannot write to, has no
/tmp, runs as the pod's user, and finds the volume where the manifest mounts it. Aim is the test environment's.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tests.aim_environment import ENVIRONMENT, MISSING
from tests.manifest_rules import Manifest, pod_template

PORT = 43800
_INIT = Path(__file__).with_name("sandbox_init.py")
_GET = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1], timeout=float(sys.argv[2])).read().decode())"


def skip(reason: str) -> NoReturn:
    """Skip the test, where the machine lacks what it needs; fail it where no skip is accepted (`.ci/run`)."""
    if os.environ.get("NO_SKIPS"):
        pytest.fail(reason)
    pytest.skip(reason)


@dataclass(kw_only=True)
class Pod:
    """A running container.

    Attributes:
        process: its namespaces' parent.
        pid: of the command, as this side sees it.
        log: what it wrote.
        enter: what a command needs in front of it to run in the pod's network.
    """

    process: subprocess.Popen[bytes]
    pid: int
    log: Path
    enter: list[str]

    @property
    def logs(self) -> str:
        """Everything that the container has written so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def run(self, *command: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a command in the pod's network."""
        return subprocess.run([*self.enter, *command], capture_output=True, text=True, timeout=timeout, check=False)

    def get(self, path: str, *, timeout: float = 10) -> str | None:
        """Body of a 200 answer of the server; None for any other, or none."""
        done = self.run(
            sys.executable, "-c", _GET, f"http://127.0.0.1:{PORT}{path}", str(timeout), timeout=timeout + 30
        )
        return done.stdout if done.returncode == 0 else None

    def stop(self, *, seconds: float = 60) -> tuple[int, float]:
        """Send SIGTERM, as the kubelet does; the exit code, and how long it took."""
        begin = time.monotonic()
        os.kill(self.pid, signal.SIGTERM)
        return self.process.wait(seconds), time.monotonic() - begin

    def await_ready(self, path: str, *, seconds: float = 90) -> None:
        """Wait for the first 200 on a path."""
        wait_for(lambda: self.get(path, timeout=2) is not None, seconds=seconds, still=self)


def wait_for(condition: Callable[[], object], *, seconds: float, still: Pod) -> None:
    """Wait until something holds; with the pod's logs where it does not."""
    end = time.monotonic() + seconds
    while not condition():
        if still.process.poll() is not None:
            raise AssertionError(f"the container ended with {still.process.returncode}:\n{still.logs}")
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s:\n{still.logs}")
        time.sleep(0.1)


@contextlib.contextmanager
def running(
    manifests: list[Manifest], volume: Path, *, uid: int | None = None, host: str = "aim-1", binds: Sequence[str] = ()
) -> Iterator[Pod]:
    """Run the pod of rendered manifests on a volume, and end it afterwards.

    Args:
        manifests: with one workload among them.
        volume: what its claim stands for.
        uid: whom to run as. Default: whom the manifests say.
        host: name of the pod.
        binds: further folders of this machine to show, read-only.
    """
    if not (ENVIRONMENT / "bin/aim").exists():
        skip(MISSING)
    if not shutil.which("unshare"):
        skip("no `unshare` on PATH: a pod is run in namespaces of Linux")
    with tempfile.TemporaryDirectory(prefix="pod-") as scratch:
        root, log = Path(scratch, "root"), Path(scratch, "log")
        root.mkdir()
        spec = _spec(manifests, volume, Path(scratch), uid)
        spec["binds"] += [[path, path, True] for path in binds]
        namespaces = ["--mount", "--pid", "--net", "--uts", "--fork", "--kill-child", "--mount-proc"]
        unprivileged = [] if os.geteuid() == 0 else ["--map-root-user"]
        arguments = json.dumps({**spec, "root": str(root), "host": host})
        command = ["unshare", *unprivileged, *namespaces, sys.executable, str(_INIT), arguments]
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        pid = 0
        try:
            pid = _child(process, log)
            user_namespace = ["--user", "--preserve-credentials"] if unprivileged else []
            yield Pod(process=process, pid=pid, log=log, enter=["nsenter", "-t", str(pid), "--net", *user_namespace])
        finally:
            # --kill-child is lost when the command changes its user
            if pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.kill()
            process.wait()


def _spec(manifests: list[Manifest], volume: Path, scratch: Path, uid: int | None) -> dict[str, Any]:
    (pod,) = [template["spec"] for manifest in manifests if (template := pod_template(manifest))]
    container = pod["containers"][0]
    sources = {each["name"]: _source(each, manifests, volume, scratch) for each in pod["volumes"]}
    mounts = [[sources[m["name"]], m["mountPath"], m.get("readOnly", False)] for m in container["volumeMounts"]]
    environment = {variable["name"]: variable.get("value", "") for variable in container.get("env", [])}
    return {
        "uid": uid if uid is not None else pod["securityContext"]["runAsUser"],
        "command": container["command"],
        "directory": container.get("workingDir", "/"),
        "environment": {**environment, "PATH": f"{ENVIRONMENT}/bin:/usr/bin:/bin"},
        "binds": [*mounts, *([path, path, True] for path in (str(ENVIRONMENT), _base_prefix()))],
    }


def _source(volume: Manifest, manifests: list[Manifest], claim: Path, scratch: Path) -> str:
    """A folder of this machine that stands for a volume of the pod."""
    if "persistentVolumeClaim" in volume:
        return str(claim)
    name = volume["configMap"]["name"]
    (data,) = [m["data"] for m in manifests if m["kind"] == "ConfigMap" and m["metadata"]["name"] == name]
    folder = scratch / name
    folder.mkdir()
    for key, text in data.items():
        (folder / key).write_text(text, encoding="utf-8")
    return str(folder)


def _base_prefix() -> str:
    """Where the interpreter of Aim's environment is installed."""
    show = [str(ENVIRONMENT / "bin/python"), "-c", "import sys; print(sys.base_prefix)"]
    return subprocess.run(show, capture_output=True, text=True, check=True).stdout.strip()


def _child(process: subprocess.Popen[bytes], log: Path) -> int:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    for _ in range(100):
        if process.poll() is not None:
            skip(f"this machine allows no namespaces: {log.read_text(encoding='utf-8').strip()}")
        found = children.read_text(encoding="ascii").split() if children.exists() else []
        if found:
            return int(found[0])
        time.sleep(0.02)
    raise AssertionError(log.read_text(encoding="utf-8"))
