"""Brings the supervisor into a pod: a ConfigMap carries it, or the image has it."""

from __future__ import annotations

import functools
from typing import Literal

import cdk8s
from constructs import Construct

from constructs_lib.plus import kplus
from constructs_lib.supervisor.version import texts, version_of

WORKING_DIR = "/opt/aim-on-kubernetes"
"""Of the containers with Aim in them: Python finds the package `supervisor` here."""

_FILES = texts()

SUPERVISOR_VERSION = version_of(_FILES)
"""Hash of the supervisor's files."""

_KEYS = {path.replace("/", "."): path for path in _FILES}
"""Keys of the ConfigMap, which may have no slash in them, and the files that they are mounted as."""


@functools.cache
def _items() -> dict[str, kplus.PathMapping]:
    return {key: kplus.PathMapping(path=path) for key, path in _KEYS.items()}


SupervisorSource = Literal["ConfigMap", "Image"]
"""Where the pod has the supervisor from.

With `ConfigMap`, any image with Aim 3.29 will do. With `Image`, the image brings it, as the one of `make image` does;
another version than that of the manifests refuses to start.
"""


class Supervisor(Construct):
    """The package `supervisor`, for the containers with Aim in them.

    The ConfigMap is immutable, and its name ends with a hash of its content: the one exception from names without
    hashes. A mutable one of a fixed name lets `kubectl rollout undo` run the old template with the new supervisor, and
    a container that restarts in an old pod take new files beside the old ones.

    Attributes:
        config_map: the ConfigMap; None where the image brings the supervisor.
        options: what the supervisor's command says about where it comes from.
    """

    config_map: kplus.ConfigMap | None
    options: tuple[str, ...]

    def __init__(
        self, scope: Construct, id: str, *, source: SupervisorSource, metadata: cdk8s.ApiObjectMetadata
    ) -> None:
        """Make the ConfigMap, unless the image brings the supervisor.

        Args:
            scope: the server.
            id: of this construct.
            source: where the pod has the supervisor from.
            metadata: of the ConfigMap, with its name: see `config_map_name`.
        """
        super().__init__(scope, id)
        self.config_map = self._volume = None
        if source == "Image":
            # one word: some hashes alone, such as 12e3, are numbers to a reader of YAML
            self.options = (f"--supervisor-version={SUPERVISOR_VERSION}",)
            return
        self.options = ()
        data = {key: _FILES[path] for key, path in _KEYS.items()}
        self.config_map = kplus.ConfigMap(self, "ConfigMap", metadata=metadata, data=data, immutable=True)
        self._volume = kplus.Volume.from_config_map(self, "Volume", self.config_map, name="supervisor", items=_items())

    def mount_in(self, container: kplus.Container) -> None:
        """Mount the ConfigMap in a container, where there is one.

        Args:
            container: of a pod in the same namespace.
        """
        if self._volume:
            container.mount(f"{WORKING_DIR}/supervisor", self._volume, read_only=True)


def config_map_name(prefix: str) -> str:
    """Name of the ConfigMap: another content has another name."""
    return f"{prefix}-{SUPERVISOR_VERSION}"
