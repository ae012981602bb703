"""How the Aim process is started, probed and stopped, on any image that has Aim in it."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from importlib import resources
from typing import TypedDict

import cdk8s
from constructs import Construct

from constructs_lib.errors import check_whole, require
from constructs_lib.plus import kplus

PORT = 43800
"""Port of Aim's web server in the pod."""

REPOSITORY = "/aim"
"""Where the volume is mounted: the Aim repository is the directory `.aim` in it."""

GRACE_PERIOD = cdk8s.Duration.seconds(60)
"""From SIGTERM to SIGKILL: the supervisor gives running queries 30 s, and the indexer 5."""

START_BUDGET = cdk8s.Duration.minutes(15)
"""Until the first answer: a former pod's grace period, the 90 s after which an NFSv4 server gives up the locks of a
dead node, a migration over a slow NFS, and Aim's own 67 s on a tenth of a CPU (measured)."""

PROGRESS_DEADLINE = cdk8s.Duration.minutes(20)
"""Until Kubernetes calls a roll-out stuck: longer than a start may take."""

WORKING_DIR = "/opt/aim-on-kubernetes"
"""Of the containers with Aim in them: Python finds the package `supervisor` here."""

_SUPERVISOR = {
    file.name: file.read_text(encoding="utf-8")
    for file in sorted(resources.files("constructs_lib").joinpath("supervisor").iterdir(), key=lambda file: file.name)
    if file.name.endswith(".py")
}
CHECKSUM = hashlib.sha256(json.dumps(_SUPERVISOR).encode()).hexdigest()[:16]
# https://pkg.go.dev/github.com/distribution/reference
_PART = r"[a-z0-9]+((\.|__?|-+)[a-z0-9]+)*"
_DOMAIN = r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*(:[1-9]\d{0,4})?"
_DIGEST = r"@sha(256:[0-9a-f]{64}|512:[0-9a-f]{128})"
_IMAGE = re.compile(rf"({_DOMAIN}/)?{_PART}(/{_PART})*(:\w[\w.-]{{0,127}})?({_DIGEST})?", re.ASCII)
_BASE_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class AimProcess:
    """The Aim server's process, under the supervisor that this library brings along.

    Attributes:
        image: what to run it on.
        image_pull_policy: when to pull that.
        workers: processes that answer requests, at least 1.
        base_path: what every URL starts with, such as `/aim`; empty for none.
    """

    image: str
    image_pull_policy: kplus.ImagePullPolicy
    workers: int
    base_path: str

    def check(self) -> None:
        """Refuse values that cannot work."""
        remedy = "write [registry/]repository[:tag][@digest], such as docker.io/aimstack/aim:3.29.1"
        require(
            isinstance(self.image, str) and len(self.image) <= 255 and _IMAGE.fullmatch(self.image),
            "image",
            self.image,
            remedy,
        )
        check_whole("workers", self.workers, low=1)
        check_base_path("base_path", self.base_path)

    def add_to(self, deployment: kplus.Deployment) -> kplus.Container:
        """Add the container that runs it."""
        return deployment.add_container(
            name="aim",
            image=self.image,
            image_pull_policy=self.image_pull_policy,
            command=supervised("serve", PORT, self.base_path, "--workers", str(self.workers)),
            working_dir=WORKING_DIR,
            ports=[kplus.ContainerPort(name="http", number=PORT)],
            # cdk8s-plus writes its own where there are none
            resources=kplus.ContainerResources(),
            # something that is read from the volume, in a few milliseconds; `/api/projects/` opens every run
            **probes(PORT, self.base_path, ready="/api/projects/pinned-sequences", alive="/"),
        )


class Supervisor(Construct):
    """The package `supervisor`, in a ConfigMap that the containers with Aim in them mount.

    Attributes:
        config_map: the ConfigMap.
    """

    config_map: kplus.ConfigMap

    def __init__(self, scope: Construct, id: str, *, metadata: cdk8s.ApiObjectMetadata) -> None:
        """Make the ConfigMap."""
        super().__init__(scope, id)
        self.config_map = kplus.ConfigMap(self, "ConfigMap", metadata=metadata, data=_SUPERVISOR)
        self._volume = kplus.Volume.from_config_map(self, "Volume", self.config_map, name="supervisor")

    def mount_in(self, container: kplus.Container) -> None:
        """Carry it into a container."""
        container.mount(f"{WORKING_DIR}/supervisor", self._volume, read_only=True)


def supervised(role: str, port: int, base_path: str, *options: str) -> list[str]:
    """The command of a container that plays a role of the supervisor's."""
    command = ["python3", "-m", "supervisor", role, "--repository", REPOSITORY, "--port", str(port), *options]
    return [*command, "--base-path", base_path] if base_path else command


class _Probes(TypedDict):
    startup: kplus.Probe
    readiness: kplus.Probe
    liveness: kplus.Probe


def probes(port: int, base_path: str, *, ready: str, alive: str) -> _Probes:
    """The three probes of a container, by the paths that they ask for."""
    begin = int(START_BUDGET.to_seconds() / 5)
    return {
        "startup": _probe(f"{base_path}{ready}", port, period=5, failures=begin),
        "readiness": _probe(f"{base_path}{ready}", port, period=10, failures=3),
        "liveness": _probe(f"{base_path}{alive}", port, period=20, failures=6),
    }


def _probe(path: str, port: int, *, period: int, failures: int) -> kplus.Probe:
    return kplus.Probe.from_http_get(
        path,
        port=port,
        period_seconds=cdk8s.Duration.seconds(period),
        timeout_seconds=cdk8s.Duration.seconds(10),
        failure_threshold=failures,
    )


def check_base_path(option: str, path: str) -> None:
    """Refuse what cannot begin a URL's path, or would be another one after a proxy."""
    fits = _BASE_PATH.fullmatch(path) and ".." not in path.split("/")
    require(
        fits, option, path, "write a path that starts with '/' and does not end with one, such as /aim; or leave it out"
    )
