"""How the Aim process is started, probed and stopped, on any image that has Aim in it."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from importlib import resources

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

_WORKING_DIR = "/opt/aim-on-kubernetes"
_SUPERVISOR = {
    file.name: file.read_text(encoding="utf-8")
    for file in sorted(resources.files("constructs_lib").joinpath("supervisor").iterdir(), key=lambda file: file.name)
    if file.name.endswith(".py")
}
_CHECKSUM = hashlib.sha256(json.dumps(_SUPERVISOR).encode()).hexdigest()[:16]
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
        fits = _BASE_PATH.fullmatch(self.base_path) and ".." not in self.base_path.split("/")
        remedy = "write a path that starts with '/' and does not end with one, such as /aim; or leave it out"
        require(fits, "base_path", self.base_path, remedy)

    def add_to(self, deployment: kplus.Deployment) -> kplus.Container:
        """Add the container that runs it."""
        return deployment.add_container(
            name="aim",
            image=self.image,
            image_pull_policy=self.image_pull_policy,
            command=self._command(),
            # Python finds the package `supervisor` here
            working_dir=_WORKING_DIR,
            ports=[kplus.ContainerPort(name="http", number=PORT)],
            startup=self._store_probe(period=5, failures=int(START_BUDGET.to_seconds() / 5)),
            readiness=self._store_probe(period=10, failures=3),
            liveness=self._probe("/", period=20, failures=6),
            # cdk8s-plus writes its own where there are none
            resources=kplus.ContainerResources(),
        )

    def _command(self) -> list[str]:
        serve = ["python3", "-m", "supervisor", "serve", "--repository", REPOSITORY]
        options = ["--port", str(PORT), "--workers", str(self.workers)]
        return [*serve, *options, *(["--base-path", self.base_path] if self.base_path else [])]

    def _store_probe(self, *, period: int, failures: int) -> kplus.Probe:
        """Asks for something that is read from the volume, in a few milliseconds; `/api/projects/` opens every run."""
        return self._probe("/api/projects/pinned-sequences", period=period, failures=failures)

    def _probe(self, path: str, *, period: int, failures: int) -> kplus.Probe:
        return kplus.Probe.from_http_get(
            f"{self.base_path}{path}",
            port=PORT,
            period_seconds=cdk8s.Duration.seconds(period),
            timeout_seconds=cdk8s.Duration.seconds(10),
            failure_threshold=failures,
        )


def add_supervisor(
    scope: Construct, *, metadata: cdk8s.ApiObjectMetadata, deployment: kplus.Deployment
) -> kplus.ConfigMap:
    """Carry the supervisor into the pod of a Deployment with one container; a changed one rolls the pod."""
    config_map = kplus.ConfigMap(scope, "Supervisor", metadata=metadata, data=_SUPERVISOR)
    volume = kplus.Volume.from_config_map(scope, "SupervisorVolume", config_map, name="supervisor")
    deployment.containers[0].mount(f"{_WORKING_DIR}/supervisor", volume, read_only=True)
    deployment.pod_metadata.add_annotation("checksum/supervisor", _CHECKSUM)
    return config_map
