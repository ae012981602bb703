"""The probes of a container that the supervisor runs."""

from __future__ import annotations

import functools
from typing import TypedDict

import cdk8s

from constructs_lib.plus import kplus

START_SECONDS = 15 * 60
"""Until the first answer: a former pod's grace period, the 90 s after which an NFSv4 server gives up the locks of a
dead node, a migration over a slow NFS, and Aim's own 67 s on a tenth of a CPU (measured)."""


class Probes(TypedDict, total=False):
    """The three probes of a container."""

    startup: kplus.Probe
    """Until it succeeds, the others wait."""
    readiness: kplus.Probe
    """While it fails, a Service leads nobody to the pod."""
    liveness: kplus.Probe
    """When it fails, the container is started anew."""


def health_probes(port: int) -> Probes:
    """Make the three probes of a container, on the health port of its supervisor.

    They ask the supervisor, which answers from memory within milliseconds, also while Aim or the file system hangs, and
    itself waits for 120 s of silence of the server before `/livez` says no. So the periods are short: a start is over
    for the kubelet within a second after the first answer.
    """
    return {
        "startup": _probe("/startz", port, period=1, failures=START_SECONDS),
        "readiness": _probe("/readyz", port, period=5, failures=3),
        "liveness": _probe("/livez", port, period=10, failures=3),
    }


def page_probes(path: str, port: int) -> Probes:
    """Make the three probes of a container without a supervisor, on a page that costs nothing."""
    return {
        "startup": _probe(path, port, period=1, failures=60),
        "readiness": _probe(path, port, period=5, failures=3),
        "liveness": _probe(path, port, period=10, failures=3),
    }


@functools.cache  # of every pod alike, and each is a handful of messages to Node.js
def _probe(path: str, port: int, *, period: int, failures: int) -> kplus.Probe:
    return kplus.Probe.from_http_get(
        path,
        port=port,
        period_seconds=cdk8s.Duration.seconds(period),
        timeout_seconds=cdk8s.Duration.seconds(5),
        failure_threshold=failures,
    )
