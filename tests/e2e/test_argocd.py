"""Argo CD takes what is committed: it brings it to the cluster, keeps it there, and never touches a run."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from main import synth
from tests.e2e import argocd, kube
from tests.e2e.conftest import Volumes, instance, measured
from tests.e2e.kube import Manifest

QUIET_SECONDS = 300
FINE = ("Synced", "Healthy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A Git repository in a folder, with an instance in it, that an Argo CD follows."""

    folder: Path
    argo: str
    namespace: str
    storage: Manifest

    def commit(self, **options: object) -> None:
        """Write the instance anew, synthesize, and commit."""
        content = instance(self.namespace, self.storage) | options
        self._write("aim", content)
        # a second one, so that the folder is not empty when the first is removed
        other = instance(f"{self.namespace}-other", {"size": "1Gi", "dynamic": {}})
        self._write("other", other)
        self.publish("change")

    def publish(self, message: str) -> None:
        """Synthesize what the instance files say, and commit it."""
        synth(self.folder / "instances", self.folder / "dist")
        git = ["git", "-c", "user.name=test", "-c", "user.email=test@example.com"]
        subprocess.run([*git, "add", "-A"], cwd=self.folder, check=True)
        subprocess.run([*git, "commit", "-qm", message], cwd=self.folder, check=True)

    def _write(self, name: str, content: Manifest) -> None:
        file = self.folder / f"instances/{name}.yaml"
        file.write_text(yaml.safe_dump(content), encoding="utf-8")

    def await_fine(self, *names: str) -> None:
        """Wait until these Applications, and no others, are synced and healthy."""
        expected = dict.fromkeys(names, FINE)
        kube.wait_for(lambda: argocd.status(self.argo) == expected, seconds=180, what=str(names))

    @property
    def child(self) -> str:
        """Name of the instance's Application."""
        return f"{self.namespace}-aim"

    @property
    def both(self) -> tuple[str, str, str]:
        """Names of all Applications."""
        return "aim-instances", self.child, f"{self.namespace}-other-other"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory, volumes: Volumes) -> Iterator[Repository]:
    """An instance that Argo CD has brought to the cluster."""
    with kube.namespaces(2) as (argo, namespace):
        folder = tmp_path_factory.mktemp("repository")
        (folder / "instances").mkdir()
        subprocess.run(["git", "init", "-q", "-b", "main"], cwd=folder, check=True)
        settings = f"repository: file://{folder}\nnamespace: {argo}\n"
        (folder / "argocd.yaml").write_text(settings, encoding="utf-8")
        made = Repository(folder=folder, argo=argo, namespace=namespace, storage=volumes.host_path(namespace))
        made.commit()
        with argocd.running(argo, tmp_path_factory.mktemp("argocd")):
            begin = time.monotonic()
            kube.kubectl("apply", "-n", argo, "-f", folder / "dist/argocd/root.k8s.yaml")
            made.await_fine(*made.both)
            measured("Argo CD: root applied to every instance synced and healthy", time.monotonic() - begin)
            yield made
        kube.kubectl("delete", "namespace", f"{namespace}-other", "--wait=false")


@pytest.fixture(scope="module")
def runs(repository: Repository) -> dict[str, int]:
    """Runs that must survive everything."""
    kube.apply(kube.writer("writer", repository.namespace, kube.claim_of("aim"), "--runs", 3))
    written = kube.written("writer", repository.namespace)
    kube.await_runs(written, repository.namespace)
    return written


def test_nothing_drifts(repository: Repository, runs: dict[str, int]) -> None:
    """What controllers write is no difference: synced for five minutes, and not synced again."""
    assert runs
    history = synced(repository)
    end = time.monotonic() + QUIET_SECONDS
    while time.monotonic() < end:
        assert argocd.status(repository.argo) == dict.fromkeys(repository.both, FINE)
        time.sleep(5)
    assert synced(repository) == history


def synced(repository: Repository) -> list[object]:
    """When the instance has been synced so far."""
    application = kube.found("application", repository.child, "-n", repository.argo)
    return [each["deployedAt"] for each in application["status"]["history"]]


def test_a_deleted_service_comes_back(repository: Repository) -> None:
    """Self-healing undoes what others do."""
    begin = time.monotonic()
    kube.kubectl("delete", "service", "aim", "-n", repository.namespace)
    kube.wait_for(lambda: kube.found("service", "aim", "-n", repository.namespace), seconds=60, what="the Service")
    measured("Argo CD: deleted Service to its return", time.monotonic() - begin)


def test_a_commit_changes_the_image(repository: Repository, runs: dict[str, int]) -> None:
    """A commit is all it takes; the runs are served by the new pod."""
    repository.commit(image=f"{kube.IMAGE}-next")

    def image() -> str:
        return str(kube.server_pod(repository.namespace)["spec"]["containers"][0]["image"])

    kube.wait_for(lambda: image() == f"{kube.IMAGE}-next", seconds=120, what="the image")
    repository.await_fine(*repository.both)
    kube.await_runs(runs, repository.namespace)


def kept(repository: Repository) -> bool:
    """The claim and its volume are there, bound to each other."""
    claim = kube.found("pvc", "aim-runs", "-n", repository.namespace)
    volume = kube.found("pv", claim["spec"]["volumeName"])
    return str(claim["status"]["phase"]) == str(volume["status"]["phase"]) == "Bound"


def test_a_removed_instance_leaves_its_runs(repository: Repository, runs: dict[str, int]) -> None:
    """Its server goes; its storage stays, and serves again when the instance comes back."""
    (repository.folder / "instances/aim.yaml").unlink()
    repository.publish("remove")
    kube.wait_for(lambda: not servers(repository), seconds=120, what="the end of the server")
    repository.await_fine("aim-instances", repository.both[2])
    assert kept(repository)
    repository.commit()
    repository.await_fine(*repository.both)
    kube.await_runs(runs, repository.namespace)


def servers(repository: Repository) -> list[object]:
    """The Deployments of the instance."""
    return list(kube.found("deployments", "-n", repository.namespace)["items"])


@pytest.mark.parametrize("finalizer", [True, False])
def test_a_deleted_application_leaves_the_runs(
    repository: Repository, runs: dict[str, int], *, finalizer: bool
) -> None:
    """With its finalizer the server goes, without it stays; the root brings both back, and no run is lost."""
    if not finalizer:
        patch = '{"metadata": {"finalizers": null}}'
        kube.kubectl("patch", "application", repository.child, "-n", repository.argo, "--type=merge", "-p", patch)
    uid = kube.found("deployment", "aim", "-n", repository.namespace)["metadata"]["uid"]
    kube.kubectl("delete", "application", repository.child, "-n", repository.argo)
    repository.await_fine(*repository.both)
    assert (kube.found("deployment", "aim", "-n", repository.namespace)["metadata"]["uid"] != uid) is finalizer
    assert kept(repository)
    kube.await_runs(runs, repository.namespace)


def test_labels_of_argo_cd_leave_the_selector_alone(repository: Repository, runs: dict[str, int]) -> None:
    """Tracking by label writes `app.kubernetes.io/instance` on metadata only; the Deployment keeps its selector."""
    selector = {"app.kubernetes.io/instance": "aim"}.items()

    def track(by: str) -> None:
        patch = f'{{"data": {{"application.resourceTrackingMethod": "{by}"}}}}'
        kube.kubectl("patch", "configmap", "argocd-cm", "-n", repository.argo, "--type=merge", "-p", patch)

    def deployment() -> Manifest:
        return dict(kube.found("deployment", "aim", "-n", repository.namespace))

    def labelled() -> bool:
        return bool(deployment()["metadata"]["labels"]["app.kubernetes.io/instance"] == repository.child)

    track("label")
    kube.wait_for(labelled, seconds=120, what="the label")
    assert selector <= deployment()["spec"]["selector"]["matchLabels"].items()
    assert selector <= deployment()["spec"]["template"]["metadata"]["labels"].items()
    kube.ready(repository.namespace)
    kube.await_runs(runs, repository.namespace)
    track("annotation")
    kube.wait_for(lambda: not labelled(), seconds=120, what="the label of our own")
    repository.await_fine(*repository.both)
