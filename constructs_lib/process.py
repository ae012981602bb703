"""How the Aim process is started, probed and stopped, on any image that has Aim in it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

import cdk8s
from constructs import Construct

from constructs_lib.carrier import WORKING_DIR, Supervisor
from constructs_lib.errors import check_list, check_whole, require
from constructs_lib.plus import kplus

PORT = 43800
"""Port of Aim's web server in the pod."""

HEALTH_PORT = 43801
"""Port on which the supervisor answers the kubelet; no Service and no network rule leads to it."""

MOST_WORKERS = 64
"""Each worker has some 100 MiB and opens files of every run; more of them only wait for the same volume."""

REPOSITORY = "/aim"
"""Where the volume is mounted: the Aim repository is the directory `.aim` in it."""

GRACE_PERIOD = cdk8s.Duration.seconds(60)
"""From SIGTERM to SIGKILL: the supervisor gives running queries 30 s, and the indexer 5."""

START_BUDGET = cdk8s.Duration.minutes(15)
"""Until the first answer: a former pod's grace period, the 90 s after which an NFSv4 server gives up the locks of a
dead node, a migration over a slow NFS, and Aim's own 67 s on a tenth of a CPU (measured)."""

PROGRESS_DEADLINE = cdk8s.Duration.minutes(20)
"""Until Kubernetes calls a roll-out stuck: longer than a start may take."""

SCRATCH = "/tmp"
"""Where the scratch volume is mounted: SQLite spills sorts above some 2 MB there, from some 1,500 tagged runs on."""

SCRATCH_SIZE = cdk8s.Size.mebibytes(512)
"""Size limit of the scratch volume; a sort of 10,000 tagged runs takes some 20 MB of it."""

# https://pkg.go.dev/github.com/distribution/reference
_PART = r"[a-z0-9]+((\.|__?|-+)[a-z0-9]+)*"
_DOMAIN = r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*(:[1-9]\d{0,4})?"
_DIGEST = r"@sha(256:[0-9a-f]{64}|512:[0-9a-f]{128})"
_IMAGE = re.compile(rf"({_DOMAIN}/)?{_PART}(/{_PART})*(:\w[\w.-]{{0,127}})?({_DIGEST})?", re.ASCII)
_HOST_LABEL = r"[A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?"
_HOST_NAME = re.compile(rf"(?=.{{1,253}}$)(\*\.)?{_HOST_LABEL}(\.{_HOST_LABEL})*")
_BASE_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class AimProcess:
    """The Aim server's process, under the supervisor that this library brings along.

    Attributes:
        image: what to run it on.
        image_pull_policy: when to pull that.
        workers: processes that answer requests, at least 1.
        base_path: what every URL starts with, such as `/aim`; empty for none.
        allowed_hosts: host names that it answers to; empty for any.
        service_hosts: names of the Service, which it answers to in any case.
    """

    image: str
    image_pull_policy: kplus.ImagePullPolicy
    workers: int
    base_path: str
    allowed_hosts: Sequence[str]
    service_hosts: Sequence[str]

    def check(self) -> None:
        """Refuse values that cannot work."""
        remedy = "write [registry/]repository[:tag][@digest], such as docker.io/aimstack/aim:3.29.1"
        require(
            isinstance(self.image, str) and len(self.image) <= 255 and _IMAGE.fullmatch(self.image),
            "image",
            self.image,
            remedy,
        )
        check_whole("workers", self.workers, low=1, high=MOST_WORKERS)
        check_base_path("base_path", self.base_path)
        check_host_names("allowed_hosts", self.allowed_hosts)

    def add_to(self, deployment: kplus.Deployment, supervisor: Supervisor) -> kplus.Container:
        """Add the container that runs it."""
        hosts = [*self.allowed_hosts, *self.service_hosts] if self.allowed_hosts else []
        allowed = [word for host in hosts for word in ("--allow-host", host)]
        options = ["--workers", str(self.workers), *allowed, *supervisor.options]
        return deployment.add_container(
            name="aim",
            image=self.image,
            image_pull_policy=self.image_pull_policy,
            command=supervised("serve", PORT, self.base_path, *options, health_port=HEALTH_PORT),
            working_dir=WORKING_DIR,
            ports=[
                kplus.ContainerPort(name="http", number=PORT),
                kplus.ContainerPort(name="health", number=HEALTH_PORT),
            ],
            # cdk8s-plus writes its own where there are none
            resources=kplus.ContainerResources(),
            **probes(HEALTH_PORT),
        )


def scratch(scope: Construct) -> kplus.Volume:
    """The volume of a pod for temporary files, the only place besides the runs that a container can write to."""
    return kplus.Volume.from_empty_dir(scope, "Scratch", "tmp", size_limit=SCRATCH_SIZE)


def supervised(role: str, port: int, base_path: str, *options: str, health_port: int) -> list[str]:
    """The command of a container that plays a role of the supervisor's."""
    ports = ["--port", str(port), "--health-port", str(health_port)]
    command = ["python3", "-m", "supervisor", role, "--repository", REPOSITORY, *ports, *options]
    return [*command, "--base-path", base_path] if base_path else command


class _Probes(TypedDict):
    startup: kplus.Probe
    readiness: kplus.Probe
    liveness: kplus.Probe


def probes(health_port: int) -> _Probes:
    """The three probes of a container.

    They ask the supervisor, which answers from memory within milliseconds, also while Aim or the file system hangs, and
    itself waits for 120 s of silence of the server before `/livez` says no. So the periods are short: a start is over
    for the kubelet within a second after the first answer.
    """
    return {
        "startup": _probe("/startz", health_port, period=1, failures=int(START_BUDGET.to_seconds())),
        "readiness": _probe("/readyz", health_port, period=5, failures=3),
        "liveness": _probe("/livez", health_port, period=10, failures=3),
    }


def _probe(path: str, port: int, *, period: int, failures: int) -> kplus.Probe:
    return kplus.Probe.from_http_get(
        path,
        port=port,
        period_seconds=cdk8s.Duration.seconds(period),
        timeout_seconds=cdk8s.Duration.seconds(5),
        failure_threshold=failures,
    )


def check_host_names(option: str, names: Sequence[str]) -> None:
    """Refuse a list of names that no request could ask for."""
    check_list(option, names)
    for index, name in enumerate(names):
        remedy = "write a host name without scheme and port, such as aim.example.com or *.example.com"
        require(isinstance(name, str) and _HOST_NAME.fullmatch(name), f"{option}[{index}]", name, remedy)


def check_base_path(option: str, path: str) -> None:
    """Refuse what cannot begin a URL's path, or would be another one after a proxy."""
    fits = _BASE_PATH.fullmatch(path) and ".." not in path.split("/")
    require(
        fits, option, path, "write a path that starts with '/' and does not end with one, such as /aim; or leave it out"
    )
