"""Runs a rendered container as close to a pod as a process can be: without a container engine, with the real Aim.

In namespaces of its own (mounts, processes, network) the command is PID 1, sees a root that it cannot write to, has no
/tmp, runs as the pod's user, and finds the volume where the manifest mounts it. Aim is the test environment's.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tests.harness.aim_environment import ENVIRONMENT, MISSING, PATH, PYTHON
from tests.harness.manifest_rules import Manifest, pod_of

PORT = 43800
HEALTH_PORT = 43801
OWNER = 10001
"""The storage's default owner."""

INIT = Path(__file__).with_name("sandbox_init.py")
CLIENT = Path(__file__).with_name("aim_client.py")
_GET = """
import sys, urllib.request
print(urllib.request.urlopen(sys.argv[1], timeout=float(sys.argv[2])).read().decode("latin-1"))
"""
_HEALTH = """
import sys, urllib.error, urllib.request
try:
    answer = urllib.request.urlopen(sys.argv[1], timeout=5)
except urllib.error.HTTPError as error:
    answer = error
print(answer.status, answer.read().decode(), end="")
"""


def skip(reason: str) -> NoReturn:
    """Skip the test, where the machine lacks what it needs; fail it where no skip is accepted (`.ci/run`)."""
    if os.environ.get("NO_SKIPS"):
        pytest.fail(reason)
    pytest.skip(reason)


def need_aim() -> None:
    """Skip the test where there is no environment with Aim."""
    if not (ENVIRONMENT / "bin/aim").exists():
        skip(MISSING)


@dataclasses.dataclass(kw_only=True)
class Pod:
    """A running container.

    Attributes:
        process: its namespaces' parent.
        pid: of the command, as this side sees it.
        log: what it wrote.
        network: what a command needs in front of it to run in the pod's network.
        identity: as whom `nsenter` runs a command in the pod.
        environment: of its command.
        commands: what was started in it.
    """

    process: subprocess.Popen[bytes]
    pid: int
    log: Path
    network: list[str]
    identity: list[str]
    environment: dict[str, str]
    commands: list[subprocess.Popen[str]] = dataclasses.field(default_factory=list)

    @property
    def logs(self) -> str:
        """Everything that the container has written so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    @property
    def _inside(self) -> list[str]:
        return ["nsenter", "-t", str(self.pid), "--all", "--root", "--wd", *self.identity]

    def start(self, *command: object) -> subprocess.Popen[str]:
        """Start a command in the pod, as `kubectl exec` does."""
        started = subprocess.Popen([*self._inside, *map(str, command)], stdout=subprocess.PIPE, text=True)
        self.commands.append(started)
        return started

    @contextlib.contextmanager
    def hung(self) -> Iterator[None]:
        """Make the volume hang for every new access meanwhile, as a hard NFS mount does without its server."""
        if os.geteuid() != 0 or not Path("/dev/fuse").exists():
            skip("only root can mount, and only where there is FUSE")
        inside = ["nsenter", "-t", str(self.pid), "--mount", "--root", "--wd"]
        command = [*inside, str(PYTHON), str(CLIENT.parent / "hung_volume.py"), "/aim"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            assert process.stdout.readline() == "hung\n"
            try:
                yield
            finally:
                process.kill()

    def end_commands(self) -> None:
        """End what was started in the pod."""
        for command in self.commands:
            command.kill()
            command.wait()
            if command.stdout:
                command.stdout.close()

    def client(self, action: str, *options: object, repository: str = "/aim") -> subprocess.Popen[str]:
        """Start something that a pod with Aim does to the repository (`aim_client.py`)."""
        return self.start(PYTHON, CLIENT, action, repository, *options)

    @contextlib.contextmanager
    def running(self, container: Manifest) -> Iterator[Pod]:
        """Run a further container of the pod in it, as one that shares its processes; the command need not be PID 1."""
        with tempfile.NamedTemporaryFile() as log:
            script = f'cd {container["workingDir"]} && exec "$@"'
            command = [*self._inside, "/bin/sh", "-c", script, "sh", *container["command"]]
            process = subprocess.Popen(command, env=self.environment, stdout=log, stderr=subprocess.STDOUT)
            pid = _child(process, Path(log.name))
            try:
                yield dataclasses.replace(self, process=process, pid=pid, log=Path(log.name), commands=[])
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                process.wait()

    def get(self, path: str, *, timeout: float = 10, port: int = PORT) -> str | None:
        """Body of a 200 answer of the server; None for any other, or none."""
        command = [*self.network, sys.executable, "-c", _GET, f"http://127.0.0.1:{port}{path}", str(timeout)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout + 30, check=False)
        return done.stdout if done.returncode == 0 else None

    def stop(self, *, seconds: float = 60) -> tuple[int, float]:
        """Send SIGTERM, as the kubelet does; the exit code, and how long it took."""
        begin = time.monotonic()
        os.kill(self.pid, signal.SIGTERM)
        return self.process.wait(seconds), time.monotonic() - begin

    def ended(self, *, seconds: float = 90) -> tuple[int, str]:
        """Wait for its end; the exit code, and the last line that it wrote."""
        code = self.process.wait(seconds)
        return code, self.logs.strip().splitlines()[-1]

    def kill(self) -> None:
        """SIGKILL, to everything in it at once."""
        if self.process.poll() is not None:
            raise AssertionError(f"the container had ended with {self.process.returncode}:\n{self.logs}")
        os.kill(self.pid, signal.SIGKILL)
        self.process.wait(10)

    def health(self, page: str, *, port: int = HEALTH_PORT) -> tuple[int, str]:
        """Status and body of a page of the supervisor's; 0 where nobody answers."""
        command = [*self.network, sys.executable, "-c", _HEALTH, f"http://127.0.0.1:{port}/{page}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        status, _, body = done.stdout.partition(" ")
        return int(status or 0), body

    def await_ready(self, path: str = "/api/projects/pinned-sequences", *, seconds: float = 90) -> None:
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
def running(manifests: list[Manifest], volume: Path, *, host: str = "aim-1", path: str = PATH) -> Iterator[Pod]:
    """Run the pod of rendered manifests on a volume, and end it afterwards.

    Args:
        manifests: with one workload among them.
        volume: what its claim stands for.
        host: name of the pod.
        path: where its commands are found. Default: Aim's environment first.
    """
    need_aim()
    if not shutil.which("unshare"):
        skip("no `unshare` on PATH: a pod is run in namespaces of Linux")
    with contextlib.ExitStack() as stack:
        scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="pod-"))
        root, log = Path(scratch, "root"), Path(scratch, "log")
        root.mkdir()
        pod_spec = pod_of(manifests)
        container = pod_spec["containers"][0]
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        volumes = [each for each in pod_spec["volumes"] if each["name"] in mounted]
        sources = {each["name"]: source_of(each, manifests, volume, Path(scratch)) for each in volumes}
        spec = spec_of(pod_spec, container, sources)
        spec["environment"]["PATH"] = path
        namespaces = ["--mount", "--pid", "--net", "--uts", "--fork", "--kill-child", "--mount-proc"]
        unprivileged = [] if os.geteuid() == 0 else ["--map-root-user"]
        arguments = json.dumps({**spec, "root": str(root), "host": host})
        command = ["unshare", *unprivileged, *namespaces, sys.executable, str(INIT), arguments]
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        pid = 0
        try:
            pid = _child(process, log)
            user = str(spec["uid"])
            identity = ["--preserve-credentials"] if unprivileged else [f"--setuid={user}", f"--setgid={user}"]
            network = ["nsenter", "-t", str(pid), "--net", *(["--user", *identity] if unprivileged else [])]
            pod = Pod(
                process=process,
                pid=pid,
                log=log,
                network=network,
                identity=identity,
                environment=spec["environment"],
            )
            stack.callback(pod.end_commands)
            yield pod
        finally:
            # --kill-child is lost when the command changes its user
            if pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.kill()
            process.wait()


@contextlib.contextmanager
def training(manifests: list[Manifest], volume: Path, **options: str) -> Iterator[Pod]:
    """A pod of somebody else's on the same volume, as the same user, that does nothing until it is told to."""
    copied = copy.deepcopy(manifests)
    pod_of(copied)["containers"][0]["command"] = ["sleep", "infinity"]
    with running(copied, volume, **{"host": "trainer", **options}) as started:
        yield started


@contextlib.contextmanager
def disk(folder: Path, size: str) -> Iterator[None]:
    """A small disk of the pod's user, mounted at a folder."""
    if os.geteuid() != 0:
        skip("only root can mount")
    options = f"size={size},uid={OWNER},gid={OWNER},mode=755"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(path: Path) -> None:
    """Fill a disk to the last byte."""
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def own(*paths: Path) -> None:
    """Give files to the pod's user, where this is root; elsewhere pod and tests are the same user."""
    for path in paths if os.geteuid() == 0 else ():
        os.chown(path, OWNER, OWNER)


def written(writer: subprocess.Popen[str]) -> dict[str, int]:
    """Points of every run that a writer has said to be whole."""
    output, _ = writer.communicate(timeout=180)
    assert writer.returncode == 0
    runs = [json.loads(line) for line in output.splitlines()]
    return {run["hash"]: run["points"] for run in runs}


def assert_all_there(runs: dict[str, int], server: Pod) -> None:
    """Every run and point is on the volume, and the server has indexed it, within a minute."""

    def counted() -> dict[str, int]:
        output, _ = server.client("count").communicate(timeout=180)
        return dict(json.loads(output))

    wait_for(lambda: runs.items() <= counted().items(), seconds=60, still=server)


def spec_of(pod: Manifest, container: Manifest, sources: dict[str, str]) -> dict[str, Any]:
    """What `sandbox_init.py` is told about a container, whose volumes are folders of this machine."""
    mounts = [(sources[m["name"]], m["mountPath"], m.get("readOnly", False)) for m in container["volumeMounts"]]
    _make_mount_points(mounts)
    environment = {variable["name"]: variable.get("value", "") for variable in container.get("env", [])}
    return {
        "uid": pod["securityContext"]["runAsUser"],
        "command": container["command"],
        "directory": container.get("workingDir", "/"),
        "environment": environment,
        "binds": [*mounts, *([path, path, True] for path in (str(ENVIRONMENT), _base_prefix(), str(CLIENT.parent)))],
    }


def source_of(volume: Manifest, manifests: list[Manifest], claim: Path, scratch: Path) -> str:
    """A folder of this machine that stands for a volume of the pod."""
    if "persistentVolumeClaim" in volume:
        return str(claim)
    folder = scratch / volume["name"]
    folder.mkdir()
    if "emptyDir" in volume:
        own(folder)
        return str(folder)
    name = volume["configMap"]["name"]
    (data,) = [m["data"] for m in manifests if m["kind"] == "ConfigMap" and m["metadata"]["name"] == name]
    for key, text in data.items():
        (folder / key).write_text(text, encoding="utf-8")
    return str(folder)


def _make_mount_points(mounts: list[tuple[str, str, bool]]) -> None:
    """The kubelet makes those of volumes that are mounted in another one, which is read-only in the pod."""
    for (source, above, _), (_, below, _) in itertools.permutations(mounts, 2):
        if Path(below).is_relative_to(above):
            Path(source, Path(below).relative_to(above)).mkdir(exist_ok=True)


def _base_prefix() -> str:
    """Where the interpreter of Aim's environment is installed."""
    show = [str(PYTHON), "-c", "import sys; print(sys.base_prefix)"]
    return subprocess.run(show, capture_output=True, text=True, check=True).stdout.strip()


def _child(process: subprocess.Popen[bytes], log: Path) -> int:
    """Wait until the command has begun; its process id."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    for _ in range(500):
        if process.poll() is not None:
            skip(f"this machine allows no namespaces: {log.read_text(encoding='utf-8').strip()}")
        with contextlib.suppress(OSError):
            found = children.read_text(encoding="ascii").split()
            command = Path(f"/proc/{found[0]}/cmdline").read_text(encoding="utf-8") if found else ""
            if command and INIT.name not in command:
                return int(found[0])
        time.sleep(0.02)
    raise AssertionError(log.read_text(encoding="utf-8"))
