"""Flux takes what is committed, by the manifests of the documentation, and never touches a run."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import yaml

from tests.e2e import flux, kube
from tests.e2e.conftest import Volumes, measured
from tests.e2e.gitops import Repository
from tests.e2e.kube import Manifest

DOCUMENTATION = kube.ROOT / "docs/how-to/flux.md"


def documented(namespace: str, url: str) -> list[Manifest]:
    """What the documentation says to apply, in a namespace and with a repository of the test's."""
    text = DOCUMENTATION.read_text(encoding="utf-8")
    manifests = list(yaml.safe_load_all(text.partition("```yaml")[2].partition("```")[0]))
    for manifest in manifests:
        manifest["metadata"]["namespace"] = namespace
    manifests[0]["spec"]["url"] = url
    return manifests


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory, volumes: Volumes) -> Iterator[Repository]:
    """Two instances that Flux has brought to the cluster, and Applications that it leaves alone."""
    with kube.namespaces(2) as (controller, namespace):
        folder = tmp_path_factory.mktemp("repository")
        storage = volumes.host_path(namespace)
        made = Repository(folder=folder, controller=controller, namespace=namespace, storage=storage)
        made.begin("repository: https://git.example.com/ml/aim.git\n")
        with flux.running(controller, folder, tmp_path_factory.mktemp("flux")) as url:
            begin = time.monotonic()
            kube.apply(*documented(controller, url))
            await_ready(made)
            measured("Flux: Kustomization applied to every instance ready", time.monotonic() - begin)
            yield made
        kube.kubectl("delete", "namespace", f"{namespace}-other", "--wait=false")


@pytest.fixture
def repository(followed: Repository) -> Repository:
    """The same, as it was at first, whatever the former test has done to it."""
    followed.commit()
    await_ready(followed)
    return followed


@pytest.fixture(scope="module")
def runs(followed: Repository) -> dict[str, int]:
    """Runs that must survive everything."""
    return followed.record()


def reconcile(repository: Repository, resource: str) -> None:
    """Bring about what the next interval would, as `flux reconcile` does."""
    asked, where = str(time.time()), (resource, "aim", "-n", repository.controller)
    kube.kubectl("annotate", "--overwrite", *where, f"reconcile.fluxcd.io/requestedAt={asked}")
    kube.wait_for(lambda: kube.found(*where)["status"]["lastHandledReconcileAt"] == asked, seconds=180, what=resource)


def await_ready(repository: Repository) -> None:
    """Wait until the last commit is applied, and everything in it is healthy."""
    reconcile(repository, "gitrepository")
    kube.wait_for(lambda: applied(repository) == repository.revision(), seconds=180, what="the last commit")


def applied(repository: Repository) -> str:
    """The commit that is applied and healthy; with what Flux says where there is none."""
    status = kube.found("kustomization", "aim", "-n", repository.controller)["status"]
    (ready,) = [each for each in status["conditions"] if each["type"] == "Ready"]
    if ready["status"] != "True":
        raise kube.FailedError(ready["message"])
    return str(status["lastAppliedRevision"]).rpartition(":")[2]


def test_a_deleted_service_comes_back(repository: Repository) -> None:
    """The next reconciliation undoes what others do."""
    kube.kubectl("delete", "service", "aim", "-n", repository.namespace)
    reconcile(repository, "kustomization")
    assert kube.found("service", "aim", "-n", repository.namespace)


def test_nothing_drifts(repository: Repository, runs: dict[str, int]) -> None:
    """What controllers write is no difference: a further reconciliation changes nothing."""
    assert runs
    before = versions(repository)
    reconcile(repository, "kustomization")
    assert versions(repository) == before


def versions(repository: Repository) -> dict[str, str]:
    """The state of everything that an instance has."""
    own = "deployment,service,persistentvolumeclaim,networkpolicy,configmap"
    found = kube.found(own, "-n", repository.namespace)["items"]
    (volume,) = [each["spec"]["volumeName"] for each in found if each["kind"] == "PersistentVolumeClaim"]
    found += [kube.found("pv", volume), kube.found("namespace", repository.namespace)]
    return {each["kind"] + each["metadata"]["name"]: each["metadata"]["resourceVersion"] for each in found}


def test_a_commit_changes_the_image(repository: Repository, runs: dict[str, int]) -> None:
    """The runs are served by the new pod."""
    repository.commit(image=f"{kube.IMAGE}-next")
    await_ready(repository)
    assert repository.image() == f"{kube.IMAGE}-next"
    kube.await_runs(runs, repository.namespace)


def test_a_removed_instance_leaves_its_runs(repository: Repository, runs: dict[str, int]) -> None:
    """Its server is pruned; its storage stays, and serves again when the instance comes back."""
    kept = repository.bound()
    repository.remove()
    await_ready(repository)
    assert repository.deployments() == []
    assert repository.bound() == kept
    repository.commit()
    await_ready(repository)
    kube.await_runs(runs, repository.namespace)


def test_a_deleted_kustomization_leaves_the_runs(repository: Repository, runs: dict[str, int]) -> None:
    """Both servers go, their storage stays, and serves again when the Kustomization comes back."""
    (kustomization,) = [each for each in documented(repository.controller, "") if each["kind"] == "Kustomization"]
    kept = repository.bound()
    kube.kubectl("delete", "kustomization", "aim", "-n", repository.controller)
    kube.wait_for(lambda: repository.deployments() == [], seconds=60, what="the end of the server")
    assert repository.bound() == kept
    kube.apply(kustomization)
    await_ready(repository)
    kube.await_runs(runs, repository.namespace)
