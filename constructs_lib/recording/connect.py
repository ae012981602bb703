"""Lets pods record runs over the network."""

from __future__ import annotations

from constructs_lib.errors import below, require
from constructs_lib.plus import kplus
from constructs_lib.pods.environment import EnvVar, KeyRef, ValueFrom
from constructs_lib.pods.json_patches import PodOrWorkload
from constructs_lib.pods.pod import add_variable
from constructs_lib.recording.variable import check_free, set_repository

CREDENTIALS = "AIM_CREDENTIALS"
"""Holds `user:token` in a container. Kubernetes puts it into the URL, where a manifest would show it."""


def connect(workload: PodOrWorkload, url: str, credentials: KeyRef | None) -> None:
    """Tell the containers of a workload the URL of a tracking server.

    Raises:
        OptionError: no container, a variable that is there already, or a faulty reference to a Secret.
    """
    require(workload.containers, "containers", [], "add the containers first: those that it has can record")
    if credentials is not None:
        with below("credentials"):
            credentials.check()
    for container in workload.containers:
        check_free(container, *([CREDENTIALS] if credentials else []))
    for container in workload.containers:
        _connect(workload, container, url, credentials)


def _connect(workload: PodOrWorkload, container: kplus.Container, url: str, credentials: KeyRef | None) -> None:
    if credentials:
        source = ValueFrom(secret_key_ref=credentials)
        add_variable(workload, container, EnvVar(name=CREDENTIALS, value_from=source))
        # after it: a variable can hold those before it only
        url = url.replace("://", f"://$({CREDENTIALS})@", 1)
    set_repository(container, url)
