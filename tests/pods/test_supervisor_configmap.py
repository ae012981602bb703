"""The supervisor's way into the pod: whole, unchanged, and of one version."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import cdk8s
import pytest

from constructs_lib.supervisor import Refusal, version
from tests.harness.building import aim_server, dynamic, rendered

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "constructs_lib/supervisor"


def sources() -> dict[str, str]:
    """Every Python file of the package, at any depth."""
    return {str(file.relative_to(PACKAGE)): file.read_text(encoding="utf-8") for file in PACKAGE.rglob("*.py")}


def statements(source: str) -> tuple[str, list[int]]:
    """What a Python file does, and in which lines; a text alone does nothing."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            texts = [each for each in node.body if re.match(r"Expr\(value=Constant\(value=['\"]", ast.dump(each))]
            node.body = [each for each in node.body if each not in texts]
    return ast.dump(tree), [node.lineno for node in ast.walk(tree) if isinstance(node, (ast.stmt, ast.expr))]


def pod(chart: cdk8s.Chart) -> Any:
    """The pod's spec."""
    return rendered(chart, "Deployment")["spec"]["template"]["spec"]


def mounted(chart: cdk8s.Chart, root: Path) -> Path:
    """The working directory as a kubelet mounts it: links to hidden folders that hold the files."""
    maps = [manifest for manifest in cdk8s.Testing.synth(chart) if manifest["kind"] == "ConfigMap"]
    data = {each["metadata"]["name"]: each["data"] for each in maps}
    volumes = {each["name"]: each["configMap"]["name"] for each in pod(chart)["volumes"] if "configMap" in each}
    (container,) = pod(chart)["containers"]
    for mount in container["volumeMounts"]:
        if mount["name"] in volumes:
            link(data[volumes[mount["name"]]], root / mount["mountPath"].lstrip("/"))
    return root.joinpath(container["workingDir"].lstrip("/"))


def link(files: dict[str, str], folder: Path) -> None:
    """The files of a ConfigMap in the folder where it is mounted."""
    hidden = folder / "..2024_01_01"
    hidden.mkdir(parents=True)
    (folder / "..data").symlink_to(hidden.name)
    for name, text in files.items():
        (hidden / name).write_text(text, encoding="utf-8")
        (folder / name).symlink_to(Path("..data", name))


def test_every_file_of_the_supervisor_arrives_in_its_place(chart: cdk8s.Chart, tmp_path: Path) -> None:
    """Subfolders too, each from a ConfigMap of its own; the mounted package names its own version.

    Docstrings are left out, and nothing else: every statement is in the line that it was in.
    """
    aim_server(chart, "server", storage=dynamic(chart))
    folder = mounted(chart, tmp_path)
    found = {name: (folder / "supervisor" / name).read_text(encoding="utf-8") for name in sources()}
    for name, source in sources().items():
        assert statements(found[name]) == statements(source), name
    assert sum(map(len, found.values())) < 0.85 * sum(map(len, sources().values()))
    show = "from supervisor import version; print(version.version_of(version.texts()))"
    done = subprocess.run([sys.executable, "-c", show], cwd=folder, capture_output=True, text=True, check=True)
    version = done.stdout.strip()
    assert [each["configMap"]["name"] for each in pod(chart)["volumes"] if "configMap" in each] == [
        f"aim-supervisor-{version}",
        f"aim-supervisor-chores-{version}",
        f"aim-supervisor-patches-{version}",
    ]


@pytest.mark.parametrize(
    "change",
    [
        lambda files: files.update({"serve.py": files["serve.py"] + "#\n"}),
        lambda files: files.update({"more.py": ""}),
        lambda files: files.pop("patches/__init__.py"),
        lambda files: files.update({"patches/serve.py": files.pop("serve.py")}),
    ],
    ids=["text", "more", "fewer", "moved"],
)
def test_another_content_is_another_version(change: Any) -> None:
    """Whatever changes, an old pod keeps its ConfigMaps, and a new one has its own."""
    files = sources()
    before = version.version_of(files)
    assert version.version_of(dict(reversed(files.items()))) == before
    change(files)
    assert version.version_of(files) != before


def test_a_supervisor_of_another_version_refuses(chart: cdk8s.Chart, tmp_path: Path) -> None:
    """An image that was built from other files says so, and what to do; bytecode beside them is no difference."""
    aim_server(chart, "server", storage=dynamic(chart), supervisor="Image")
    command = pod(chart)["containers"][0]["command"]
    (expected,) = [word.partition("=")[2] for word in command if word.startswith("--supervisor-version=")]
    image = tmp_path / "supervisor"
    shutil.copytree(PACKAGE, image, dirs_exist_ok=True)
    version.check(expected, image)
    (image / "serve.py").write_text("", encoding="utf-8")
    with pytest.raises(Refusal, match=f"image brings supervisor .*, and the manifests were made for {expected}"):
        version.check(expected, image)


def test_the_image_is_built_from_every_file() -> None:
    """The build context lets through each folder of the package that has Python files in it."""
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8")
    through = set(re.findall(r"^!constructs_lib/supervisor/(.*)\*\.py$", ignored, re.MULTILINE))
    assert through == {f"{Path(name).parent}/" if "/" in name else "" for name in sources()}
