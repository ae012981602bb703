"""What a change of the instance files would do is said before it is applied."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from app.changes.__main__ import main
from app.synthesis import synth

FINE = """namespace: ml
storage: {size: 1Ti, nfs: {server: nfs.example.com, path: /aim}}
server:
  service: {type: ClusterIP}
  workers: 2
"""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Git repository with the instance `aim`, and its manifests committed."""
    (tmp_path / "instances").mkdir()
    (tmp_path / "instances/aim.yaml").write_text(FINE, encoding="utf-8")
    synth(tmp_path / "instances", tmp_path / "dist")
    git(tmp_path, "init")
    commit(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["make diff"])
    return tmp_path


def git(folder: Path, *words: str) -> None:
    """Run git, with nobody's settings."""
    names = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *names, *words], cwd=folder, check=True, capture_output=True)


def commit(folder: Path) -> None:
    """Commit everything."""
    git(folder, "add", ".")
    git(folder, "commit", "--message=change")


def rewrite(repository: Path, *pairs: tuple[str, str]) -> None:
    """Change the instance file."""
    file = repository / "instances/aim.yaml"
    text = file.read_text(encoding="utf-8")
    for before, after in pairs:
        assert before in text
        text = text.replace(before, after)
    file.write_text(text, encoding="utf-8")


def test_nothing_is_said_of_no_change(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The manifests are those that the files make."""
    assert repository
    assert main() == 0
    assert capsys.readouterr().out == "no change\n"


def test_a_change_is_told_field_by_field(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Containers go by their names; a restart is said, and is no warning."""
    rewrite(repository, ("service:", "resources: {limits: {memory: 3Gi}}\n  service:"))
    assert main() == 1
    said = capsys.readouterr().out
    assert said.startswith("Deployment ml/aim: changed\n")
    assert "spec.template.spec.containers.aim.resources.limits.memory: 2Gi -> 3Gi\n" in said
    assert "  note: the pod is replaced" in said


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("1Ti", "1Gi", "PersistentVolumeClaim ml/aim-runs: changed*a claim cannot shrink"),
        ("1Ti", "2Ti", "PersistentVolumeClaim ml/aim-runs: changed*the size of a static volume is fixed"),
        ("/aim}", "/runs}", "PersistentVolume ml.aim-runs: changed*the source of a volume cannot be changed"),
        ("1Ti,", "1Ti, accessMode: ReadWriteOnce,", "spec.accessModes.0: a claim cannot be changed but for"),
        ("namespace: ml", "namespace: ai", "PersistentVolumeClaim ml/aim-runs: removed*ai/aim-runs takes its place, w"),
        ("1Ti,", "1Ti, claimName: runs,", "PersistentVolumeClaim ml/runs takes its place, without its runs; it stays"),
        ("namespace: ml", "name: b\nnamespace: ml", "Deployment ml/aim: removed*the server is gone from the manifests"),
        ("ClusterIP}", "NodePort}\n  allowAnonymous: true", "outside the cluster: ClusterIP becomes NodePort"),
        (
            "workers: 2",
            "allowFrom: [{namespaceSelector: {matchLabels: {a: b}}}]",
            "others than before may come in: {",
        ),
    ],
)
def test_what_cannot_be_applied_or_loses_or_opens_something_is_a_warning(
    repository: Path, capsys: pytest.CaptureFixture[str], before: str, after: str, said: str
) -> None:
    """The reason stands with the object, and the exit code tells it from other changes."""
    rewrite(repository, (before, after))
    assert main() == 3
    rest = capsys.readouterr().out
    for part in said.split("*"):
        assert part in rest
        rest = rest[rest.index(part) :]


def test_a_larger_claim_is_no_warning(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Those of dynamic volumes grow, where the storage class allows it."""
    rewrite(repository, ("nfs: {server: nfs.example.com, path: /aim}", "dynamic: {}"))
    synth(repository / "instances", repository / "dist")
    commit(repository)
    rewrite(repository, ("1Ti", "2Ti"))
    assert main() == 1
    assert "WARNING" not in capsys.readouterr().out


def test_an_instance_that_is_gone_is_a_warning(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its volume stays, and nobody serves it."""
    rewrite(repository, ("aim}", "b}"))
    (repository / "instances/aim.yaml").rename(repository / "instances/b.yaml")
    assert main() == 3
    assert "no instance has it any more; it stays in the cluster with its runs" in capsys.readouterr().out


def test_a_former_revision_is_compared_with(
    repository: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`make diff AGAINST=revision`."""
    rewrite(repository, ("workers: 2", "workers: 3"))
    synth(repository / "instances", repository / "dist")
    commit(repository)
    assert main() == 0
    monkeypatch.setattr("sys.argv", ["make diff", "--against", "HEAD~1", "--markdown"])
    assert main() == 1
    assert "  * `spec.template.spec.containers.aim.command.11`: `2 -> 3`" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [(["--against", "nowhere"], "git -C"), ([], "instances/aim.yaml: storage.size: ")],
)
def test_input_that_cannot_work_is_one_line(
    repository: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    said: str,
) -> None:
    """As `make synth` says it, with an exit code of its own."""
    monkeypatch.setattr("sys.argv", ["make diff", *words])
    if not words:
        rewrite(repository, ("1Ti", "many"))
    assert main() == 2
    assert said in capsys.readouterr().err


def test_instances_of_several_clusters_are_told_apart(
    repository: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two may have one namespace and name; and kubectl asks one cluster at a time."""
    for cluster in ("north", "south"):
        text = FINE.replace("/aim}", f"/{cluster}}}") + f"name: aim\ncluster: {cluster}\n"
        (repository / f"instances/{cluster}.yaml").write_text(text, encoding="utf-8")
    (repository / "instances/aim.yaml").unlink()
    main()
    said = capsys.readouterr().out
    assert "north: Deployment ml/aim: added" in said
    assert "south: Deployment ml/aim: added" in said
    monkeypatch.setattr("sys.argv", ["make diff", "--against", "cluster"])
    assert main() == 2
    assert "the instance files are for north, south; name those of one" in capsys.readouterr().err


def test_a_new_server_that_others_reach_is_a_warning(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is there from the beginning, and no change of a field."""
    text = FINE.replace("/aim}", "/b}").replace("ClusterIP}", "LoadBalancer}\n  allowAnonymous: true")
    (repository / "instances/b.yaml").write_text(text, encoding="utf-8")
    assert main() == 3
    assert "can be reached from outside the cluster: it is a LoadBalancer" in capsys.readouterr().out


def test_a_login_that_is_gone_is_a_warning(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever reaches the server comes in from then on; the way to it is as it was."""
    login = "workers: 2\n  login: {passwords: {name: users, key: htpasswd}, cookieSecret: {name: cookie, key: secret}}"
    rewrite(repository, ("workers: 2", login))
    synth(repository / "instances", repository / "dist")
    commit(repository)
    rewrite(repository, (login, "workers: 2"))
    assert main() == 3
    assert "the login is gone: whoever reaches the server comes in without one" in capsys.readouterr().out


def test_a_volume_that_would_move_to_another_node_is_a_warning(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The API server refuses it, and the runs are on the former node."""
    nfs, local = "nfs: {server: nfs.example.com, path: /aim}", "hostPath: {path: /aim, node: a}"
    rewrite(repository, (nfs, local))
    synth(repository / "instances", repository / "dist")
    commit(repository)
    rewrite(repository, ("node: a", "node: b"))
    assert main() == 3
    assert "the node of a volume cannot be changed" in capsys.readouterr().out
