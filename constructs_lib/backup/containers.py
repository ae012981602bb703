"""Containers of a backup's pods: those with Aim in them, and restic's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cdk8s
from constructs import Construct

from constructs_lib.backup.backup_options import BackupOptions
from constructs_lib.backup.targets import FOLDER, BackupTarget, from_secret
from constructs_lib.plus import kplus
from constructs_lib.pods.aim_containers import SCRATCH
from constructs_lib.pods.environment import EnvVar
from constructs_lib.pods.image import ImageOptions
from constructs_lib.pods.pod import AimPod
from constructs_lib.pods.supervisor_configmap import Supervisor
from constructs_lib.storage.storage import AimStorage
from constructs_lib.storage.storage_jobs import add_role

_SCRATCH_SIZE = cdk8s.Size.gibibytes(4)
"""For restic's cache: names and hashes of all files, a hundredth of the repository."""

EPHEMERAL = "5Gi"
_CERTIFICATES, _CERTIFICATE = "/etc/aim-backup", "ca.crt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the pods of a backup are made of.

    Attributes:
        name: of the instance.
        image: with Aim.
        options: of the backup.
        supervisor: how the supervisor comes into the pods.
        storage: where the runs are.
        target: where the copies go.
        volume: of the target; None where it has none.
    """

    name: str
    image: ImageOptions
    options: BackupOptions
    supervisor: Supervisor
    storage: AimStorage
    target: BackupTarget
    volume: AimStorage | None

    @property
    def flags(self) -> list[str]:
        """Options of every command of restic."""
        certificate = ["--cacert", f"{_CERTIFICATES}/{_CERTIFICATE}"] if self.target.certificate else []
        return [*certificate, *self.target.flags]


class BackupContainers:
    """Adds containers to one pod of a backup; of the one that is no init container, everything is to be mounted first.

    Attributes:
        pod: the pod.
    """

    def __init__(self, scope: Construct, *, pod: AimPod, parts: Parts, ephemeral: str = EPHEMERAL) -> None:
        """Make the scratch volume, which the containers share.

        Args:
            scope: where its construct is made.
            pod: to add to.
            parts: what the pods of the backup are made of.
            ephemeral: limit of the node's disk that the pod may use. Default: 5Gi.
        """
        self.pod = pod
        self._scope, self._parts = scope, parts
        self._resources = parts.options.resources.with_scratch(ephemeral)
        self._scratch = kplus.Volume.from_empty_dir(scope, "Scratch", "tmp", size_limit=_SCRATCH_SIZE)

    def add_role(self, role: str, *arguments: str, init: bool = False) -> kplus.Container:
        """Add a container with Aim in which the supervisor has a role on the volume of runs."""
        parts = self._parts
        container = add_role(
            self.pod,
            role,
            *arguments,
            image=parts.image,
            supervisor=parts.supervisor,
            storage=parts.storage,
            resources=self._resources,
            init=init,
        )
        container.mount(SCRATCH, self._scratch)
        return container

    def add_restic(self, script: str) -> kplus.Container:
        """Add an init container with restic, which runs a script and reaches the target."""
        parts, image = self._parts, self._parts.image
        container = self.pod.add_container(
            name="restic",
            image=ImageOptions(
                image=parts.options.restic_image,
                image_pull_policy=image.image_pull_policy,
                image_pull_secrets=image.image_pull_secrets,
            ),
            command=["/bin/sh", "-c", script],
            resources=self._resources,
            env=self._environment(),
            init=True,
        )
        container.mount(SCRATCH, self._scratch)
        self._mount_certificate(container)
        if parts.volume:
            self.pod.mount_claim(container, FOLDER, parts.volume)
        return container

    def _environment(self) -> Sequence[EnvVar]:
        parts = self._parts
        own = {
            "RESTIC_REPOSITORY": parts.target.repository(parts.name),
            "RESTIC_CACHE_DIR": f"{SCRATCH}/restic",
            "TMPDIR": SCRATCH,
        }
        password = from_secret("RESTIC_PASSWORD", parts.options.password)
        variables = [EnvVar(name=name, value=value) for name, value in own.items()]
        return [*variables, password, *parts.target.env, *parts.options.env]

    def _mount_certificate(self, container: kplus.Container) -> None:
        certificate = self._parts.target.certificate
        if certificate:
            secret = kplus.Secret.from_secret_name(self._scope, "CertificateSecret", certificate.name)
            items = {certificate.key: kplus.PathMapping(path=_CERTIFICATE)}
            volume = kplus.Volume.from_secret(self._scope, "Certificate", secret, name="certificate", items=items)
            container.mount(_CERTIFICATES, volume, read_only=True)
