"""Brings the supervisor into a pod: ConfigMaps carry it, or the image has it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePosixPath
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

_FOLDERS = sorted({PurePosixPath(file).parent.as_posix() for file in _FILES})
"""Folders of the package, below it: `.` is its own, and comes first.

Each has a ConfigMap, as `kubectl apply` keeps a copy of an object in an annotation, which has 256 KiB at most.
"""

SupervisorSource = Literal["ConfigMap", "Image"]
"""Where the pod has the supervisor from.

With `ConfigMap`, any image with Aim 3.29 will do. With `Image`, the image brings it, as the one of `make image` does;
another version than that of the manifests refuses to start.
"""


class Supervisor(Construct):
    """The package `supervisor`, for the containers with Aim in them.

    Its ConfigMaps are immutable, and their names end with a hash of the package: the one exception from names without
    hashes. A mutable one of a fixed name lets `kubectl rollout undo` run the old template with the new supervisor, and
    a container that restarts in an old pod take new files beside the old ones.

    Attributes:
        config_maps: one for each folder of the package; none where the image brings the supervisor.
        options: what the supervisor's command says about where it comes from.
    """

    config_maps: tuple[kplus.ConfigMap, ...]
    options: tuple[str, ...]

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        source: SupervisorSource,
        prefix: str,
        metadata: Callable[[str], cdk8s.ApiObjectMetadata],
    ) -> None:
        """Make the ConfigMaps, unless the image brings the supervisor.

        Args:
            scope: the server; or the backup or the chores that have none of a server's.
            id: of this construct.
            source: where the pod has the supervisor from.
            prefix: beginning of the ConfigMaps' names: see `config_map_names`.
            metadata: makes the metadata of a ConfigMap from its name.
        """
        super().__init__(scope, id)
        # one word: some hashes alone, such as 12e3, are numbers to a reader of YAML
        self.options = (f"--supervisor-version={SUPERVISOR_VERSION}",) if source == "Image" else ()
        names = config_map_names(prefix, source).items()
        made = {folder: self._carry(folder, metadata(name)) for folder, name in names}
        self.config_maps = tuple(made.values())
        self._volumes = {folder: self._volume(folder, config_map) for folder, config_map in made.items()}

    def _carry(self, folder: str, metadata: cdk8s.ApiObjectMetadata) -> kplus.ConfigMap:
        return kplus.ConfigMap(self, _name("files", folder), metadata=metadata, data=_files(folder), immutable=True)

    def _volume(self, folder: str, config_map: kplus.ConfigMap) -> kplus.Volume:
        name = _name("supervisor", folder)
        return kplus.Volume.from_config_map(self, f"volume-{name}", config_map, name=name)

    def mount_in(self, container: kplus.Container) -> None:
        """Mount the ConfigMaps in a container, where there are some.

        The kubelet makes the mount points of those that are mounted in another one (`MakeNestedMountpoints`).

        Args:
            container: of a pod in the same namespace.
        """
        for folder, volume in self._volumes.items():
            container.mount(PurePosixPath(WORKING_DIR, "supervisor", folder).as_posix(), volume, read_only=True)


def config_map_names(prefix: str, source: SupervisorSource) -> dict[str, str]:
    """Names of the ConfigMaps, by the folders that they carry: another content has other names.

    Args:
        prefix: beginning of the names.
        source: where the pod has the supervisor from; there are no ConfigMaps where the image brings it.
    """
    folders = _FOLDERS if source == "ConfigMap" else []
    return {folder: f"{_name(prefix, folder)}-{SUPERVISOR_VERSION}" for folder in folders}


def _name(prefix: str, folder: str) -> str:
    return prefix if folder == "." else f"{prefix}-{folder}"


def _files(folder: str) -> dict[str, str]:
    """Texts of the files in one folder, by their names."""
    paths = {PurePosixPath(file): text for file, text in _FILES.items()}
    return {path.name: text for path, text in paths.items() if path.parent.as_posix() == folder}
