"""What can be said of an Aim server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

from annotated_types import Interval

from constructs_lib.access.login_options import LoginOptions
from constructs_lib.errors import below, require
from constructs_lib.kubernetes.names import check_annotations, check_deployment_name, check_object_name
from constructs_lib.labels import check_extra_labels
from constructs_lib.options import Port, check_declared
from constructs_lib.pods.environment import EnvVar, check_environment
from constructs_lib.pods.pod_options import PodOptions
from constructs_lib.pods.resources import Resources
from constructs_lib.pods.supervisor_configmap import SupervisorSource, config_map_names
from constructs_lib.server.metrics import MetricsOptions
from constructs_lib.server.service import ServiceOptions
from constructs_lib.server.urls import check_base_path, check_host_names
from constructs_lib.storage.retention import check_same_wave

DEFAULT_RESOURCES = Resources(
    requests={"cpu": "100m", "memory": "1Gi"},
    limits={"cpu": "1", "memory": "2Gi"},
)
"""Those of Aim's own guide; measured to be right up to some 2,000 runs."""

DEFAULT_TRACKING_RESOURCES = Resources(
    requests={"cpu": "100m", "memory": "256Mi"},
    limits={"cpu": "1", "memory": "1Gi"},
)
"""Measured: docs/explanation/measurements.md, Sizes. One process, so it cannot use more than one CPU."""

DEFAULT_SERVICE = ServiceOptions()

TRACKING_PORT = 53800
"""Port of Aim's tracking server in the pod, and by default that of the Service."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingOptions:
    """Aim's tracking server, which records runs over the network. `{}` is all there is to write."""

    port: Port = TRACKING_PORT
    """Port of the Service. Default: 53800."""
    base_path: str = ""
    """What every URL starts with, such as /track; a proxy in front must not strip it. Default: nothing."""
    without_login: bool = False
    """Let who the network rules admit record without credentials, though the server has a login; from outside of the
    cluster they are needed all the same. Default: false."""
    resources: Resources = DEFAULT_TRACKING_RESOURCES
    """Requests and limits of its container. Default: 256Mi to 1Gi of memory, 100m to 1 CPU; ephemeral-storage as
    beside it."""

    def check(self) -> None:
        """Reject values that cannot work.

        Raises:
            OptionError: names the option.
        """
        check_declared(self)
        check_base_path("base_path", self.base_path)
        self.resources.check()


DEFAULT_TRACKING = TrackingOptions()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions(PodOptions):
    """The web server: what people open."""

    # each worker has some 40 MiB and opens files of every run; more than 64 only wait for the same volume
    workers: Annotated[int, Interval(ge=1, le=64)] = 2
    """Processes that answer requests, 1 to 64. Default: 2, so that one answers while another searches."""
    base_path: str = ""
    """What every URL starts with, such as /aim; a proxy in front must not strip it. Default: nothing."""
    allowed_hosts: Sequence[str] = ()
    """Host names that the server answers to, against DNS rebinding: aim.example.com, or `*.example.com` for one label.
    It always answers to localhost, IP addresses and the names of its Service. Default: any."""
    suspend: bool = False
    """Run no pod, for a restore or maintenance. Default: false."""
    service: ServiceOptions = DEFAULT_SERVICE
    """The Service: how the server is reached. Default: ClusterIP, port 80."""
    login: LoginOptions | None = None
    """A login in front of it and of tracking, in the same pod; nothing is answered without. Default: none."""
    env: Sequence[EnvVar] = ()
    """Further environment variables of Aim's container. Default: none."""
    resources: Resources = DEFAULT_RESOURCES
    """Requests and limits. Default: those of Aim's guide, 1Gi to 2Gi of memory, 100m to 1 CPU. Where they say nothing
    of ephemeral-storage, 100Mi to 1Gi are added: the server has a /tmp of its own."""
    metrics: MetricsOptions | None = field(default=None, metadata={"bare": True})
    """Metrics for Prometheus: `metrics: {}`. Default: nobody may ask for them."""
    allow_anonymous: bool = False
    """Let the server be reached from outside without a `login`, by NodePort, LoadBalancer, Ingress or HTTPRoute. A
    ClusterIP Service alone stays as it is. Default: false."""
    deployment_name: str | None = None
    """Name of the Deployment and the NetworkPolicy, at most 242 characters. Default: the instance's name."""
    supervisor: SupervisorSource = "ConfigMap"
    """Where the pod has the supervisor from: ConfigMaps, so that any image will do; or the image, as the one of
    `make image` brings it, which refuses to start where it is of another version than the manifests. Default:
    ConfigMap."""
    supervisor_name: str | None = None
    """Beginning of the names of the ConfigMaps that carry the supervisor; a folder and a hash of the content follow.
    Default: `<name>-supervisor`."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Further labels of every object and of the pod. Default: none."""
    annotations: Mapping[str, str] = field(default_factory=dict)
    """Annotations of the Deployment, at most 48 KiB, but no sync wave or hook. Default: none."""

    def check(self) -> None:
        """Reject values that cannot work.

        Raises:
            OptionError: names the option.
        """
        PodOptions.check(self)  # `super()` does not work in a class that dataclass has made anew for its slots
        check_environment("env", self.env)
        check_base_path("base_path", self.base_path)
        check_host_names("allowed_hosts", self.allowed_hosts)
        self.service.check()
        if self.login:
            with below("login"):
                self.login.check()
        self.resources.check()
        with below("metrics"):
            if self.metrics:
                self.metrics.check()
        self._check_names()
        check_extra_labels(self.labels)
        check_annotations("annotations", self.annotations)
        check_same_wave("annotations", self.annotations)

    def _check_names(self) -> None:
        if self.deployment_name is not None:
            check_deployment_name("deployment_name", self.deployment_name)
        if self.supervisor_name is not None:
            remedy = "leave it out: the image brings the supervisor, and no ConfigMap is made"
            require(self.supervisor == "ConfigMap", "supervisor_name", self.supervisor_name, remedy)
            for name in config_map_names(self.supervisor_name, self.supervisor).values():
                check_object_name("supervisor_name", name)


DEFAULT_SERVER = ServerOptions()
