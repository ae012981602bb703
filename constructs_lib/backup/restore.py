"""`AimRestore`: a Job that brings a copy back."""

from __future__ import annotations

import re
from dataclasses import replace

import cdk8s
from constructs import Construct

from constructs_lib.backup.backup import RESTORE, AimBackup
from constructs_lib.backup.containers import BackupContainers
from constructs_lib.backup.restic import restore_script
from constructs_lib.errors import reported_by, require, require_type
from constructs_lib.kubernetes.names import check_object_name
from constructs_lib.plus import ADDRESS_LABEL, kplus
from constructs_lib.pods.pod import MOUNT_PATH
from constructs_lib.pods.security import pod_security_context
from constructs_lib.storage.sources import ExistingClaim
from constructs_lib.storage.storage import AimStorage, check_namespaces
from constructs_lib.storage.storage_jobs import GRACE_PERIOD
from constructs_lib.storage.storage_options import StorageOptions
from constructs_lib.supervisor.hashes import REMEDY, is_hash
from constructs_lib.supervisor.restoring import restored_folder

_SNAPSHOT = re.compile(r"latest|[0-9a-f]{8,64}")
_KEPT = cdk8s.Duration.days(7)


class AimRestore(Construct):
    """Brings a copy back: into the place of the repository, which is kept beside it, or into an empty volume.

    A server that runs on the volume is refused, and one that starts meanwhile waits. A single run can be brought back
    while the server goes on.

    Its Job has no name before it is created, so that `kubectl create` makes one each time, and `kubectl apply` none.

    Attributes:
        job: the Job.
    """

    job: kplus.Job

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        backup: AimBackup,
        snapshot: str = "latest",
        into: str | None = None,
        run: str | None = None,
    ) -> None:
        """Make the Job.

        Args:
            scope: the chart of the backup, or a construct in one of its namespace.
            id: of this construct.
            backup: whose copies they are.
            snapshot: restic's id of the copy. Default: the newest.
            into: name of a claim in the namespace to restore to. Default: that of the runs.
            run: hash of the only run to bring back. Default: all of them, in the place of what is there.

        Raises:
            OptionError: no backup, one of another namespace, or a faulty name of a snapshot, claim or run.
        """
        with reported_by(scope, id):
            _check(cdk8s.Chart.of(scope), backup, snapshot, into, run)
        super().__init__(scope, id)
        self.job = self._make_job(backup, shares_node=run is not None and into is None)
        pod = backup._jobs.pod_of(self.job)
        parts = replace(backup._parts, storage=self._claim(into)) if into else backup._parts
        containers = BackupContainers(self, pod=pod, parts=parts)
        only = ("--run", run) if run else ()
        containers.add_role("restore", *only)
        containers.add_role("admit", *only, init=True)
        target = f"{MOUNT_PATH}/{restored_folder(run)}"
        script = restore_script(name=backup.name, flags=parts.flags, snapshot=snapshot, target=target, run=run)
        pod.mount_claim(containers.add_restic(script), MOUNT_PATH, parts.storage)

    def _claim(self, name: str) -> AimStorage:
        options = StorageOptions(access_mode="ReadWriteMany")
        return AimStorage(self, "Into", source=ExistingClaim(name=name), options=options)

    def _make_job(self, backup: AimBackup, *, shares_node: bool) -> kplus.Job:
        job = kplus.Job(
            self,
            "Job",
            metadata=backup._jobs.metadata(f"{backup.name}-{RESTORE}-", RESTORE),
            pod_metadata=backup._jobs.metadata(None, RESTORE),
            backoff_limit=0,
            ttl_after_finished=_KEPT,
            termination_grace_period=GRACE_PERIOD,
            security_context=pod_security_context(backup.storage.owner),
        )
        cdk8s.ApiObject.of(job).add_json_patch(
            cdk8s.JsonPatch.move("/metadata/name", "/metadata/generateName"),
        )
        job.pod_metadata.add_label(ADDRESS_LABEL, f"aim-{RESTORE}.{backup.name}")
        if shares_node:
            backup._jobs.colocate(job)
        return job


def _check(chart: cdk8s.Chart, backup: AimBackup, snapshot: str, into: str | None, run: str | None) -> None:
    require_type("backup", backup, AimBackup, "write an AimBackup")
    check_namespaces("backup", chart, backup.storage.namespace)
    remedy = "write restic's id of a snapshot, or latest"
    require(isinstance(snapshot, str) and _SNAPSHOT.fullmatch(snapshot), "snapshot", snapshot, remedy)
    if into is not None:
        check_object_name("into", into)
    require(run is None or (isinstance(run, str) and is_hash(run)), "run", run, REMEDY)
