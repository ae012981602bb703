"""Argo CD's Applications: what is taken from where, and what Argo CD itself would say to them."""

from __future__ import annotations

import filecmp
import shlex
import subprocess
import sys
import tarfile
from pathlib import Path

import jsonschema
import pytest
import yaml

from app.errors import InputError
from app.synthesis import synth

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = "repository: https://git.example.com/ml/aim.git\nrevision: main\n"
FINE = "namespace: ml\nstorage: {size: 1Ti, dynamic: {}}\n"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with two instances and the settings."""
    (tmp_path / "instances").mkdir()
    for name in ("a", "b"):
        (tmp_path / f"instances/{name}.yaml").write_text(FINE, encoding="utf-8")
    (tmp_path / "argocd.yaml").write_text(SETTINGS, encoding="utf-8")
    return tmp_path


def written(repository: Path) -> dict[str, str]:
    """What is in the output, by its path there."""
    dist = repository / "dist"
    return {str(file.relative_to(dist)): file.read_text(encoding="utf-8") for file in sorted(dist.rglob("*.yaml"))}


def synthesized(repository: Path) -> dict[str, str]:
    """Synthesize, and read the output."""
    synth(repository / "instances", repository / "dist")
    return written(repository)


def test_each_instance_has_an_application_and_all_have_a_root(repository: Path) -> None:
    """An Application takes exactly its instance's file; the root takes the Applications, but not itself."""
    found = synthesized(repository)
    assert list(found) == ["a.k8s.yaml", "argocd/a.k8s.yaml", "argocd/b.k8s.yaml", "argocd/root.k8s.yaml", "b.k8s.yaml"]
    child, root = (yaml.safe_load(found[f"argocd/{name}.k8s.yaml"]) for name in ("a", "root"))
    assert child["metadata"]["name"] == "ml-a"
    assert child["spec"]["source"]["directory"] == {"include": "a.k8s.yaml"}
    assert root["spec"]["source"]["path"] == "dist/argocd"
    assert root["spec"]["source"]["directory"] == {"exclude": "root.k8s.yaml"}


def test_applications_remove_what_is_gone_and_try_again(repository: Path) -> None:
    """All of them prune; the root has no finalizer, so that deleting it leaves the instances alone."""
    found = synthesized(repository)
    child, root = (yaml.safe_load(found[f"argocd/{name}.k8s.yaml"]) for name in ("a", "root"))
    assert "finalizers" not in root["metadata"]
    for policy in (child["spec"]["syncPolicy"], root["spec"]["syncPolicy"]):
        assert policy["automated"] == {"prune": True, "selfHeal": True}
        assert policy["syncOptions"] == ["ServerSideApply=true"]
        assert policy["retry"]["limit"] > 0
    ignored = {(each["kind"], path) for each in child["spec"]["ignoreDifferences"] for path in each["jsonPointers"]}
    volume = {("PersistentVolume", f"/spec/claimRef/{field}") for field in ("uid", "resourceVersion")}
    assert ignored == {*volume, ("PersistentVolumeClaim", "/spec/volumeName")}


def test_applications_go_with_the_settings(repository: Path) -> None:
    """Without argocd.yaml there is none, and none is left over."""
    synthesized(repository)
    (repository / "argocd.yaml").unlink()
    assert list(synthesized(repository)) == ["a.k8s.yaml", "b.k8s.yaml"]


def test_an_instance_may_be_called_argocd(repository: Path) -> None:
    """Its file says where it comes from, and goes with it."""
    for name in ("a", "b"):
        (repository / f"instances/{name}.yaml").unlink()
    (repository / "instances/argocd.yaml").write_text(FINE, encoding="utf-8")
    assert synthesized(repository) == synthesized(repository)
    (repository / "instances/argocd.yaml").rename(repository / "instances/c.yaml")
    assert list(synthesized(repository)) == ["argocd/c.k8s.yaml", "argocd/root.k8s.yaml", "c.k8s.yaml"]


def test_a_file_where_a_folder_belongs_changes_nothing(repository: Path) -> None:
    """It is refused before the first file is replaced."""
    (repository / "dist").mkdir()
    (repository / "dist/argocd").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="dist/argocd"):
        synth(repository / "instances", repository / "dist")
    assert [file.name for file in (repository / "dist").iterdir()] == ["argocd"]


STAND_IN = """
synth:
\trm -rf dist; mkdir dist; cp instances/* dist
"""


@pytest.mark.parametrize("change", ["add", "change", "remove"])
def test_a_commit_that_leaves_the_output_behind_is_refused(tmp_path: Path, change: str) -> None:
    """The pre-commit hook's own command, with a stand-in for what it makes: also of files that are new or gone."""
    (tmp_path / "Makefile").write_text(STAND_IN, encoding="utf-8")
    (tmp_path / "instances").mkdir()
    (tmp_path / "instances/a.yaml").write_text("a", encoding="utf-8")
    (tmp_path / "instances/b.yaml").write_text("b", encoding="utf-8")
    configuration = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    (entry,) = [hook["entry"] for hook in configuration["repos"][0]["hooks"] if hook["id"] == "synth"]
    hook = shlex.split(entry)

    def run(*command: str) -> int:
        return subprocess.run(command, cwd=tmp_path, check=False, capture_output=True).returncode

    run("make", "synth")
    for command in (["init"], ["add", "-A"], ["-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-m", "a"]):
        assert run("git", *command) == 0
    if change == "remove":
        (tmp_path / "instances/b.yaml").unlink()
    else:
        (tmp_path / f"instances/{'c' if change == 'add' else 'b'}.yaml").write_text("c", encoding="utf-8")
    run("git", "add", "-A", "instances")
    assert run(*hook) == 1
    run("git", "add", "-A", "dist")
    assert run(*hook) == 0


def test_finalizer_and_self_healing_are_a_choice(repository: Path) -> None:
    """Without them an Application that goes leaves its server running, and others' changes stay."""
    child = yaml.safe_load(synthesized(repository)["argocd/a.k8s.yaml"])
    assert child["metadata"]["finalizers"] == ["resources-finalizer.argocd.argoproj.io"]
    assert child["spec"]["syncPolicy"]["automated"]["selfHeal"] is True
    with (repository / "argocd.yaml").open("a", encoding="utf-8") as settings:
        settings.write("finalizer: false\nselfHeal: false\n")
    child = yaml.safe_load(synthesized(repository)["argocd/a.k8s.yaml"])
    assert "finalizers" not in child["metadata"]
    assert child["spec"]["syncPolicy"]["automated"]["selfHeal"] is False


def test_an_instance_that_is_gone_takes_its_application_along(repository: Path) -> None:
    """The root then removes it from the cluster, and with it the server."""
    synthesized(repository)
    (repository / "instances/a.yaml").unlink()
    assert list(synthesized(repository)) == ["argocd/b.k8s.yaml", "argocd/root.k8s.yaml", "b.k8s.yaml"]


def test_an_instance_changes_no_file_but_its_own_two(repository: Path) -> None:
    """Two branches that change two instances merge without a conflict in the output."""
    before = synthesized(repository)
    (repository / "instances/a.yaml").write_text(FINE.replace("ml", "other"), encoding="utf-8")
    after = synthesized(repository)
    assert {file for file in after if after[file] != before[file]} == {"a.k8s.yaml", "argocd/a.k8s.yaml"}


def test_a_cluster_has_a_folder_and_is_the_destination(repository: Path) -> None:
    """The manifests of an instance that changes its cluster move; no other cluster gets them."""
    synthesized(repository)
    for name, cluster in (("a", "north"), ("b", "south")):
        (repository / f"instances/{name}.yaml").write_text(f"{FINE}cluster: {cluster}\n", encoding="utf-8")
    found = synthesized(repository)
    applications = [f"argocd/{name}.k8s.yaml" for name in ("a", "b", "root")]
    assert list(found) == [*applications, "north/a.k8s.yaml", "south/b.k8s.yaml"]
    child = yaml.safe_load(found["argocd/a.k8s.yaml"])
    assert child["metadata"]["name"] == "north-ml-a"
    assert child["spec"]["destination"] == {"name": "north", "namespace": "ml"}
    assert child["spec"]["source"]["path"] == "dist/north"
    (repository / "instances/a.yaml").write_text(f"{FINE}cluster: south\n", encoding="utf-8")
    assert list(synthesized(repository)) == [*applications, "south/a.k8s.yaml", "south/b.k8s.yaml"]
    assert not (repository / "dist/north").exists()


def test_one_export_has_one_server_in_all_clusters(repository: Path) -> None:
    """Two of them would have two indexers on one store, whatever cluster they are in."""
    for name, cluster in (("a", "north"), ("b", "south")):
        text = (
            f"cluster: {cluster}\nnamespace: ml\nstorage: {{size: 1Ti, nfs: {{server: nfs.example.com, path: /x}}}}\n"
        )
        (repository / f"instances/{name}.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="b.yaml: storage: .*a.yaml serves it in cluster north"):
        synth(repository / "instances", repository / "dist")


REFUSED = [
    ("argocd.yaml", "revision: main\n", "argocd.yaml: repository: missing"),
    ("argocd.yaml", f"{SETTINGS}selfheal: true\n", "argocd.yaml: selfheal: unknown key; did you mean selfHeal"),
    ("argocd.yaml", f"{SETTINGS}name: ml-a\n", "a.yaml: name: 'ml-a': its Application .* that of the root"),
    ("argocd.yaml", f"{SETTINGS}name: b\n", "b.yaml: name: 'b': an Application has this name"),
    ("instances/ml-a.yaml", FINE, "ml-a.yaml: name: 'ml-a': an Application has this name"),
    ("instances/root.yaml", FINE, "root.yaml: rename the file"),
    ("instances/c.yaml", f"{FINE}cluster: north\n", "a.yaml: cluster: missing; others name theirs"),
    ("instances/defaults.yaml", "cluster: argocd\n", "a.yaml: cluster: 'argocd': write"),
    ("instances/defaults.yaml", "storage: {labels: {a: b c}}\n", "defaults.yaml: storage.labels.a.: 'b c'"),
    ("instances/defaults.yml", FINE, "defaults.yml: rename the file"),
    ("argocd.yaml", f"{SETTINGS}path: /dist\n", "argocd.yaml: path: '/dist': write a path within the repository"),
    ("argocd.yaml", f"{SETTINGS}path: ../dist\n", "argocd.yaml: path: '../dist': write a path within"),
    ("argocd.yaml", f"{SETTINGS}name: Aim\n", "argocd.yaml: name: 'Aim': write at most 253 lower-case"),
    ("argocd.yaml", f"{SETTINGS}namespace: argo.cd\n", "argocd.yaml: namespace: 'argo.cd': write at most 63"),
    ("argocd.yaml", "repository: ''\n", "argocd.yaml: repository: '': write it without spaces"),
    ("dist/argocd/b.k8s.yaml", "a: b\n", "b.k8s.yaml: was not made by make synth"),
]


@pytest.mark.parametrize(("file", "text", "message"), REFUSED)
def test_what_cannot_work_is_refused_before_anything_is_written(
    repository: Path, file: str, text: str, message: str
) -> None:
    """The error names the file and the way out, and the output stays as it was."""
    synthesized(repository)
    (repository / file).write_text(text, encoding="utf-8")
    before = written(repository)
    with pytest.raises(InputError, match=message):
        synth(repository / "instances", repository / "dist")
    assert written(repository) == before


def test_two_applications_of_one_name_are_refused(repository: Path) -> None:
    """`a` with `b-c` and `a-b` with `c` are different instances, and would be one Application."""
    for file, namespace, name in (("x", "a", "b-c"), ("y", "a-b", "c")):
        text = FINE.replace("ml", namespace) + f"name: {name}\n"
        (repository / f"instances/{file}.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="y.yaml: name: 'a-b-c': its Application would be called as that of .*x.yaml"):
        synth(repository / "instances", repository / "dist")


def crd() -> dict[str, object]:
    """The schema of an Application, every object of it closed to unknown keys."""
    text = (ROOT / "imports/application.yaml").read_text(encoding="utf-8")
    schema = yaml.safe_load(text)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return dict(closed(schema))


def closed(schema: dict[str, object]) -> dict[str, object]:
    """A schema that knows no further keys, but in metadata."""
    properties = schema.get("properties")
    if isinstance(properties, dict):
        properties = {key: closed(each) for key, each in properties.items()}
        return {**schema, "properties": properties, "additionalProperties": False}
    items = schema.get("items")
    return {**schema, "items": closed(items)} if isinstance(items, dict) else schema


@pytest.mark.parametrize("file", sorted((ROOT / "dist/argocd").glob("*.yaml")), ids=lambda file: file.stem)
def test_every_application_fits_the_schema(file: Path) -> None:
    """Strictly: a key that the schema does not have is found."""
    application = yaml.safe_load(file.read_text(encoding="utf-8"))
    fits = jsonschema.Draft202012Validator(crd())
    assert list(fits.iter_errors(application)) == []
    application["spec"]["syncPolicy"]["automated"]["selfheal"] = True
    assert list(fits.iter_errors(application)) != []


def test_the_imports_are_what_the_schema_gives(tmp_path: Path) -> None:
    """`make imports` mends them."""
    cli = ROOT / "node_modules/.bin/cdk8s"
    command: list[str | Path] = [
        cli,
        "import",
        ROOT / "imports/application.yaml",
        "--language",
        "python",
        "--output",
        tmp_path,
    ]
    environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": str(tmp_path)}
    environment["CDK8S_CHECK_UPGRADE"] = "false"
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path, env=environment)
    made, kept = tmp_path / "io/argoproj", ROOT / "imports/io/argoproj"
    assert filecmp.cmp(made / "__init__.py", kept / "__init__.py", shallow=False)
    assert assembly(made) == assembly(kept)


def assembly(folder: Path) -> dict[str, bytes]:
    """What jsii runs, without the times in its archive."""
    (archive,) = (folder / "_jsii").glob("*.tgz")
    with tarfile.open(archive) as files:
        members = [member for member in files.getmembers() if member.isfile()]
        return {member.name: files.extractfile(member).read() for member in members}  # type: ignore[union-attr]
