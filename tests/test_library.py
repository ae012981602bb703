"""The library on its own: what a chart of somebody else's gets."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.harness.manifest_rules import problems
from tests.harness.pod_security import violations

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = sorted((ROOT / "constructs_lib").rglob("*.py"))
SUPERVISOR = sorted((ROOT / "constructs_lib/supervisor").rglob("*.py"))
PUBLISHED = {"annotated_types", "cdk8s", "cdk8s_plus_27", "constructs", "constructs_lib", "jsii"}


def imports(file: Path) -> Iterator[str]:
    """The top-level packages that a file imports."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        if isinstance(node, ast.ImportFrom) and not node.level:
            yield str(node.module).partition(".")[0]


@pytest.mark.parametrize("file", LIBRARY, ids=lambda file: file.name)
def test_the_library_imports_nothing_of_the_app(file: Path) -> None:
    """It stands on the standard library and on what its wheel requires; the supervisor on what is in the pod."""
    expected = (
        {"aim", "aim_ui", "aimrocks", "alembic", "fastapi", "filelock", "sqlalchemy", "uvicorn"}
        if file in SUPERVISOR
        else PUBLISHED
    )
    assert set(imports(file)) <= expected | sys.stdlib_module_names


@pytest.mark.parametrize("file", SUPERVISOR, ids=lambda file: file.name)
def test_the_supervisor_is_python_3_9(file: Path) -> None:
    """The public image has no newer one."""
    ast.parse(file.read_text(encoding="utf-8"), feature_version=(3, 9))


def test_no_flag_that_can_delete_a_repository_is_anywhere() -> None:
    """`aim init -y`, `aim up -y` and `aim server -y` delete runs; `Repo.rm` is what they call.

    The supervisor deletes whole folders in three places: the index, which is derived from the runs, staged copies, and
    the trash, by the chore that is for that.
    """
    sources = [*LIBRARY, *(ROOT / "app").rglob("*.py"), *(ROOT / "dist").glob("argocd/*.yaml")]
    texts = {file.name: file.read_text(encoding="utf-8") for file in sources}
    pattern = r"(?<![\w-])(-y|--yes)\b|\brm\(|rmtree"
    assert {name: re.findall(pattern, text) for name, text in texts.items() if re.search(pattern, text)} == {
        "indexing.py": [""],
        "staging.py": [""],
        "trash.py": [""],
    }


def test_cdk8s_plus_has_one_door() -> None:
    """A newer line of cdk8s-plus is a change of one module."""
    sources = [*LIBRARY, ROOT / "main.py", *(ROOT / "app").glob("*.py"), *(ROOT / "examples").rglob("*.py")]
    assert [file.name for file in sources if "cdk8s_plus_27" in set(imports(file))] == ["plus.py"]


def readme_example(readme: str = "README.md") -> str:
    """The ten lines of Python in the README, or in that of the wheel."""
    text = (ROOT / readme).read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    return str(code)


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel, what it requires and Node.js, far from this folder."""
    folder = tmp_path_factory.mktemp("elsewhere")
    build: list[str | Path] = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT]
    subprocess.run(build, check=True, capture_output=True)
    venv.create(folder / "venv", with_pip=True)
    (wheel,) = folder.glob("*.whl")
    pins: list[str | Path] = ["--constraint", ROOT / "requirements-dev.txt"]
    pip: list[str | Path] = [folder / "venv/bin/python", "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "install", *pins, f"{wheel}[node]", "mypy"], check=True)
    (folder / "chart.py").write_text(readme_example(), encoding="utf-8")
    (folder / "short.py").write_text(readme_example("release/README.md"), encoding="utf-8")
    (folder / "node").write_text("#!/bin/sh\necho 'an old Node.js' >&2\nexit 1\n", encoding="utf-8")
    (folder / "node").chmod(0o755)
    return folder


def compose(folder: Path, script: str) -> list[dict[str, Any]]:
    """Run a chart where PATH has another Node.js, which works no more; its manifests."""
    command: list[str | Path] = [folder / "venv/bin/python", script]
    done = subprocess.run(
        command, cwd=folder, check=False, env={"PATH": f"{folder}:/bin"}, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    (written,) = (folder / "dist").glob("*.yaml")
    manifests = list(yaml.safe_load_all(written.read_text(encoding="utf-8")))
    written.unlink()
    return manifests


def test_the_readmes_chart_is_composed_with_the_wheel_alone(elsewhere: Path) -> None:
    """A training Job that mounts the storage, written in an empty folder, renders manifests that hold together."""
    manifests = compose(elsewhere, "chart.py")
    assert problems([each for each in manifests if each["kind"] != "Job"]) == []
    (job,) = [manifest["spec"]["template"]["spec"] for manifest in manifests if manifest["kind"] == "Job"]
    assert list(violations(job)) == []
    (claim,) = [manifest for manifest in manifests if manifest["kind"] == "PersistentVolumeClaim"]
    assert job["volumes"][0]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]


def test_the_chart_of_the_wheels_readme_is_composed_too(elsewhere: Path) -> None:
    """It is what people read where they find the wheel."""
    assert problems(compose(elsewhere, "short.py")) == []


def test_the_readmes_chart_is_typed(elsewhere: Path) -> None:
    """The wheel carries its types: a right call passes, a wrong one is found."""
    mypy: list[str | Path] = [elsewhere / "venv/bin/mypy", "--strict", "chart.py"]
    done = subprocess.run(mypy, cwd=elsewhere, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    (elsewhere / "wrong.py").write_text(readme_example().replace('size="1Ti"', "size=[]"), encoding="utf-8")
    done = subprocess.run([*mypy[:-1], "wrong.py"], cwd=elsewhere, check=False, capture_output=True, text=True)
    assert 'incompatible type "list' in done.stdout
