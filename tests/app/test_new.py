"""A first instance file is written by the project itself, and files can be checked without writing manifests."""

from __future__ import annotations

from pathlib import Path

import pytest

from app import validate
from app.instances.new import main


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where instance files go."""
    monkeypatch.setenv("INSTANCES", str(tmp_path / "instances"))
    return tmp_path / "instances"


def new(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """Run `make new`."""
    monkeypatch.setattr("sys.argv", ["make new", *words])
    return main()


@pytest.mark.parametrize("storage", ["nfs", "csi", "dynamic", "existingClaim", "hostPath"])
@pytest.mark.parametrize("access", ["namespace", "passwords", "oidc", "anybody"])
def test_a_new_instance_file_can_work_as_it_is(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    storage: str,
    access: str,
) -> None:
    """Whatever storage and access are chosen."""
    assert new(monkeypatch, "runs", "--storage", storage, "--access", access) == 0
    assert "then run make synth" in capsys.readouterr().out
    assert validate.main() == 0
    assert capsys.readouterr().out == f"{folder}/runs.yaml: valid\n"


def test_comments_are_the_texts_of_the_reference(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each key has its own above it."""
    new(monkeypatch, "runs", "--namespace", "ml")
    lines = (folder / "runs.yaml").read_text(encoding="utf-8").splitlines()
    assert lines[lines.index("  nfs: {server: nfs.example.com, path: /aim}") - 1].startswith(
        "  # A directory that an NFS"
    )
    assert "namespace: ml" in lines


@pytest.mark.parametrize(
    ("name", "said"), [("runs", "runs.yaml: exists; choose another NAME"), ("A b", "name the file")]
)
def test_no_file_is_overwritten_and_no_name_that_cannot_be_is_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, said: str
) -> None:
    """The instance files of a site are its own."""
    new(monkeypatch, "runs")
    before = (folder / "runs.yaml").read_text(encoding="utf-8")
    assert new(monkeypatch, name, "--storage", "dynamic") == 1
    assert said in capsys.readouterr().err
    assert [file.name for file in folder.iterdir()] == ["runs.yaml"]
    assert (folder / "runs.yaml").read_text(encoding="utf-8") == before


def test_files_that_cannot_work_are_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What only the constructs know counts, too."""
    new(monkeypatch, "runs")
    file = folder / "runs.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("path: /aim", "path: aim"), encoding="utf-8")
    assert validate.main() == 1
    assert "runs.yaml: storage.nfs.path: 'aim'" in capsys.readouterr().err
