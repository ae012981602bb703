"""Argo CD takes what is committed: it brings it to the cluster, keeps it there, and never touches a run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.e2e import argocd, kube
from tests.e2e.conftest import Volumes, measured
from tests.e2e.gitops import Repository
from tests.e2e.kube import Manifest

FINE = ("Synced", "Healthy")


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory, volumes: Volumes) -> Iterator[Repository]:
    """Two instances that Argo CD has brought to the cluster."""
    with kube.namespaces(2) as (argo, namespace):
        folder = tmp_path_factory.mktemp("repository")
        storage = volumes.host_path(namespace)
        made = Repository(folder=folder, controller=argo, namespace=namespace, storage=storage)
        made.begin(settings(made))
        with argocd.running(argo, tmp_path_factory.mktemp("argocd")):
            begin = time.monotonic()
            kube.kubectl("apply", "-f", folder / "dist/argocd/root.k8s.yaml")
            await_fine(made, *both(made))
            measured("Argo CD: root applied to every instance synced and healthy", time.monotonic() - begin)
            yield made
        kube.kubectl("delete", "namespace", f"{namespace}-other", "--wait=false")


@pytest.fixture
def repository(followed: Repository) -> Repository:
    """The same, as it was at first, whatever the former test has done to it."""
    (followed.folder / "argocd.yaml").write_text(settings(followed), encoding="utf-8")
    followed.commit()
    kube.kubectl("apply", "-f", followed.folder / "dist/argocd/root.k8s.yaml")
    await_commit(followed)
    kube.wait_for(lambda: finalizers(followed), seconds=60, what="the finalizer")
    return followed


def settings(repository: Repository) -> str:
    """Where Argo CD finds the repository, and where it is itself."""
    return f"repository: file://{repository.folder}\nnamespace: {repository.controller}\n"


def child(repository: Repository) -> str:
    """Name of the instance's Application."""
    return f"{repository.namespace}-aim"


def both(repository: Repository) -> tuple[str, str, str]:
    """Names of all Applications."""
    return "aim-instances", child(repository), f"{repository.namespace}-other-other"


def await_fine(repository: Repository, *names: str) -> None:
    """Wait until these Applications, and no others, are synced and healthy."""
    fine = dict.fromkeys(names, FINE)
    kube.wait_for(lambda: argocd.status(repository.controller) == fine, seconds=180, what=str(names))


def await_commit(repository: Repository) -> None:
    """Wait until the last commit is what all Applications are synced with, and healthy by."""

    def compared_with() -> object:
        application = kube.found("application", child(repository), "-n", repository.controller)
        return application["status"]["sync"]["revision"]

    kube.wait_for(lambda: compared_with() == repository.revision(), seconds=180, what="the commit")
    await_fine(repository, *both(repository))


@pytest.fixture(scope="module")
def runs(followed: Repository) -> dict[str, int]:
    """Runs that must survive everything."""
    return followed.record()


def test_the_applications_fit_the_schema_of_argo_cd(repository: Repository) -> None:
    """The API server takes them strictly: it would refuse a key that Argo CD does not have."""
    applications = repository.folder / "dist/argocd"
    strictly = ["--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict"]
    said = kube.kubectl("apply", "-n", repository.controller, *strictly, "-f", applications)
    assert said.count("(server dry run)") == len(both(repository))


def test_the_schema_of_the_imports_is_that_of_argo_cd() -> None:
    """It has fewer keys, and none that is of another type."""
    (real,) = [file for file in argocd.definitions() if file.name == "application-crd.yaml"]
    ours = schema_of(kube.ROOT / "imports/application.yaml")
    assert list(differences(ours, schema_of(real))) == []
    ours["properties"]["spec"]["properties"]["project"]["type"] = "integer"
    assert list(differences(ours, schema_of(real))) == [".spec.project"]


def schema_of(definition: Path) -> Manifest:
    """The schema of the one version of a custom resource definition."""
    (version,) = yaml.safe_load(definition.read_text(encoding="utf-8"))["spec"]["versions"]
    return dict(version["schema"]["openAPIV3Schema"])


def differences(ours: Manifest, real: Manifest, path: str = "") -> Iterator[str]:
    """What one schema has, and the other has not, or has of another type."""
    if ours.get("type") != real.get("type"):
        yield path
    for name, each in ours.get("properties", {}).items():
        yield from differences(each, real.get("properties", {}).get(name, {}), f"{path}.{name}")
    if "items" in ours:
        yield from differences(ours["items"], real.get("items", {}), f"{path}[]")


def test_nothing_drifts(repository: Repository, runs: dict[str, int]) -> None:
    """What controllers write is no difference: four comparisons find none, and nothing is synced again."""
    assert runs
    history = synced(repository)
    for _ in range(4):
        compare_again(repository)
        assert argocd.status(repository.controller) == dict.fromkeys(both(repository), FINE)
    assert synced(repository) == history


def compare_again(repository: Repository) -> None:
    """Wait until the instance has been compared with its source once more."""

    def compared() -> object:
        application = kube.found("application", child(repository), "-n", repository.controller)
        return application["status"]["reconciledAt"]

    before = compared()
    kube.wait_for(lambda: compared() != before, seconds=60, what="a comparison")


def synced(repository: Repository) -> list[object]:
    """When the instance has been synced so far."""
    application = kube.found("application", child(repository), "-n", repository.controller)
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
    kube.wait_for(lambda: repository.image() == f"{kube.IMAGE}-next", seconds=120, what="the image")
    await_fine(repository, *both(repository))
    kube.await_runs(runs, repository.namespace)


def test_a_removed_instance_leaves_its_runs(repository: Repository, runs: dict[str, int]) -> None:
    """Its server goes; its storage stays, and serves again when the instance comes back."""
    kept = repository.bound()
    repository.remove()
    kube.wait_for(lambda: not repository.deployments(), seconds=120, what="the end of the server")
    await_fine(repository, "aim-instances", both(repository)[2])
    assert repository.bound() == kept
    repository.commit()
    await_fine(repository, *both(repository))
    kube.await_runs(runs, repository.namespace)


def finalizers(repository: Repository) -> object:
    """The finalizers of the instance's Application."""
    application = kube.found("application", child(repository), "-n", repository.controller)
    return application["metadata"].get("finalizers")


def drop_finalizer(repository: Repository) -> None:
    """Commit the setting, and wait for it: the root would heal an Application that is changed by hand."""
    text = settings(repository) + "finalizer: false\n"
    (repository.folder / "argocd.yaml").write_text(text, encoding="utf-8")
    repository.commit()
    kube.wait_for(lambda: not finalizers(repository), seconds=60, what="the end of the finalizer")


@pytest.mark.parametrize("finalizer", [True, False])
def test_a_deleted_application_leaves_the_runs(
    repository: Repository, runs: dict[str, int], *, finalizer: bool
) -> None:
    """With its finalizer the server goes, without it stays; the root brings both back, and no run is lost."""
    if not finalizer:
        drop_finalizer(repository)
    kept = repository.bound()
    uid = kube.found("deployment", "aim", "-n", repository.namespace)["metadata"]["uid"]
    kube.kubectl("delete", "application", child(repository), "-n", repository.controller)
    await_fine(repository, *both(repository))
    assert (kube.found("deployment", "aim", "-n", repository.namespace)["metadata"]["uid"] != uid) is finalizer
    assert repository.bound() == kept
    kube.await_runs(runs, repository.namespace)


def test_a_deleted_root_leaves_the_instances(repository: Repository) -> None:
    """It has no finalizer; applied again it goes on."""
    kept = repository.bound()
    kube.kubectl("delete", "application", "aim-instances", "-n", repository.controller)
    for _ in range(3):  # nothing that follows from the deletion comes later
        compare_again(repository)
    await_fine(repository, *both(repository)[1:])
    assert repository.bound() == kept
    kube.kubectl("apply", "-f", repository.folder / "dist/argocd/root.k8s.yaml")
    await_fine(repository, *both(repository))


def test_what_is_kept_is_no_difference_when_it_is_gone_from_the_source(repository: Repository) -> None:
    """A namespace that is not made any more stays, and the Application is synced."""
    kept = repository.bound()
    repository.commit(createNamespace=False)
    await_commit(repository)
    assert repository.bound() == kept


def test_labels_of_argo_cd_leave_the_selector_alone(repository: Repository, runs: dict[str, int]) -> None:
    """Tracking by label writes `app.kubernetes.io/instance` on metadata only; the Deployment keeps its selector."""
    selector = {"app.kubernetes.io/instance": "aim"}.items()

    def track(by: str) -> None:
        patch = f'{{"data": {{"application.resourceTrackingMethod": "{by}"}}}}'
        kube.kubectl("patch", "configmap", "argocd-cm", "-n", repository.controller, "--type=merge", "-p", patch)

    def deployment() -> Manifest:
        return dict(kube.found("deployment", "aim", "-n", repository.namespace))

    def labelled() -> bool:
        return bool(deployment()["metadata"]["labels"]["app.kubernetes.io/instance"] == child(repository))

    track("label")
    kube.wait_for(labelled, seconds=120, what="the label")
    assert selector <= deployment()["spec"]["selector"]["matchLabels"].items()
    assert selector <= deployment()["spec"]["template"]["metadata"]["labels"].items()
    kube.ready(repository.namespace)
    kube.await_runs(runs, repository.namespace)
    track("annotation")
    kube.wait_for(lambda: not labelled(), seconds=120, what="the label of our own")
    await_fine(repository, *both(repository))
