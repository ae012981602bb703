"""Runs the pod of a Job or CronJob to its end, one container after the other, as `sandbox` runs that of a server."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.harness.aim_environment import PATH
from tests.harness.manifest_rules import Manifest, pod_template
from tests.harness.sandbox import INIT, own, source_of, spec_of

_PROGRAMS = "/programs"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ended:
    """How a pod has ended.

    Attributes:
        container: the one that failed, or the last one.
        code: its exit code.
        logs: of all containers.
    """

    container: str
    code: int
    logs: str

    @property
    def last_line(self) -> str:
        """What `kubectl describe pod` shows as its reason."""
        return self.logs.strip().splitlines()[-1] if self.logs.strip() else ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """A Job, or what a CronJob makes.

    Attributes:
        manifests: with everything that its pod mounts.
        kind: of the workload.
        name: of the workload.
        volumes: folders that stand for volumes of the pod, by their names; those of `emptyDir` are made.
        secrets: texts by `name/key`.
        host: name of the pod.
        programs: folder with what its images have besides Aim and the system's own. Default: none.
    """

    manifests: list[Manifest]
    kind: str = "CronJob"
    name: str
    volumes: Mapping[str, Path]
    secrets: Mapping[str, str] = dataclasses.field(default_factory=dict)
    host: str = "job-1"
    programs: Path | None = None

    def run(self, *, seconds: float = 300, kill_after: float | None = None) -> Ended:
        """Run the init containers and the container, until one fails.

        Args:
            seconds: that each may take at most.
            kill_after: seconds after which whichever runs then is killed, with everything in it. Default: none is.
        """
        logs, end = "", time.monotonic() + (kill_after or float("inf"))
        with tempfile.TemporaryDirectory(prefix="job-") as scratch:
            sources = self._sources(Path(scratch))
            for container in self._containers:
                with self._started(container, sources, Path(scratch)) as process:
                    output = _output(process, min(seconds, end - time.monotonic()), kills=kill_after is not None)
                logs += output
                if process.returncode:
                    break
        return Ended(container=container["name"], code=process.returncode, logs=logs)

    @contextlib.contextmanager
    def started(self, name: str) -> Iterator[subprocess.Popen[str]]:
        """Start one container alone, and kill it at the end."""
        (container,) = [each for each in self._containers if each["name"] == name]
        with contextlib.ExitStack() as stack:
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="job-")))
            yield stack.enter_context(self._started(container, self._sources(scratch), scratch))

    def run_one(self, name: str) -> Ended:
        """Run one container alone to its end."""
        with self.started(name) as process:
            logs, _ = process.communicate(timeout=120)
        return Ended(container=name, code=process.returncode, logs=logs)

    @property
    def _pod(self) -> Manifest:
        (workload,) = [m for m in self.manifests if m["kind"] == self.kind and self.name in m["metadata"].values()]
        template = pod_template(workload)
        assert template
        spec: Manifest = template["spec"]
        return spec

    @property
    def _containers(self) -> list[Manifest]:
        return [*self._pod.get("initContainers", []), *self._pod["containers"]]

    def _sources(self, scratch: Path) -> dict[str, str]:
        sources = {name: str(folder) for name, folder in self.volumes.items()}
        for volume in self._pod["volumes"]:
            if volume["name"] not in sources and "secret" in volume:
                sources[volume["name"]] = self._secret(volume, scratch)
            elif volume["name"] not in sources:
                sources[volume["name"]] = source_of(volume, self.manifests, Path("/missing"), scratch)
        return sources

    def _secret(self, volume: Manifest, scratch: Path) -> str:
        folder = scratch / volume["name"]
        folder.mkdir()
        for item in volume["secret"]["items"]:
            text = self.secrets[f"{volume['secret']['secretName']}/{item['key']}"]
            (folder / item["path"]).write_text(text, encoding="utf-8")
        own(folder)
        return str(folder)

    @contextlib.contextmanager
    def _started(self, container: Manifest, sources: dict[str, str], scratch: Path) -> Iterator[subprocess.Popen[str]]:
        root = scratch / f"root-{container['name']}"
        root.mkdir()
        spec = {**spec_of(self._pod, container, sources), "root": str(root), "host": self.host, "shares_network": True}
        spec["environment"] = {**self._environment(container), "PATH": PATH}
        if self.programs:
            spec["binds"].append([str(self.programs), _PROGRAMS, True])
            spec["environment"]["PATH"] = f"{_PROGRAMS}:{PATH}"
        unprivileged = [] if os.geteuid() == 0 else ["--map-root-user"]
        namespaces = ["--mount", "--pid", "--uts", "--fork", "--kill-child", "--mount-proc"]
        command = ["unshare", *unprivileged, *namespaces, sys.executable, str(INIT), json.dumps(spec)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            try:
                yield process
            finally:
                kill(process)

    def _environment(self, container: Manifest) -> dict[str, str]:
        return {variable["name"]: self._value(variable) for variable in container.get("env", [])}

    def _value(self, variable: dict[str, Any]) -> str:
        reference = variable.get("valueFrom", {}).get("secretKeyRef")
        return self.secrets[f"{reference['name']}/{reference['key']}"] if reference else variable.get("value", "")


def _output(process: subprocess.Popen[str], seconds: float, *, kills: bool) -> str:
    try:
        output, _ = process.communicate(timeout=max(seconds, 0))
    except subprocess.TimeoutExpired:
        if not kills:
            raise
        kill(process)
        output, _ = process.communicate(timeout=60)
    return output


def kill(process: subprocess.Popen[str]) -> None:
    """End a container, and everything in it, at once: --kill-child is lost when the command changes its user."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    with contextlib.suppress(OSError):
        for child in children.read_text(encoding="ascii").split():
            os.kill(int(child), signal.SIGKILL)
    process.kill()
