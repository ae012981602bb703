"""Every Python block of the documentation runs, and is typed."""

from __future__ import annotations

import functools
import re
import subprocess
import sys
from pathlib import Path

import cdk8s
import pytest

from tests.docs.blocks import PAGES, ROOT, Block, blocks, inline_code

BEFORE = """
import cdk8s

from constructs_lib import *
from constructs_lib import AimPod, AimServer, AimStorage, ImageOptions, KeyRef, NfsExport, StorageOptions, attach
from constructs_lib.plus import kplus

app = cdk8s.App()
chart = cdk8s.Chart(app, "aim", namespace="aim", disable_resource_name_hashes=True)
nfs = NfsExport(server="nfs.example.com", path="/aim")
storage = AimStorage(chart, "storage", source=nfs, options=StorageOptions(size="100Gi"))
server = AimServer(chart, "server", storage=storage)
job = kplus.Job(chart, "job")
AimPod(job).add_container(image=ImageOptions(image="registry.example.com/train:1"))
"""
"""What a block that shows some lines leaves out."""

WHOLE = "app = cdk8s.App()"


def program(text: str) -> str:
    """A block as a program."""
    return text if WHOLE in text else f"{BEFORE}\n{text}\napp.synth()\n"


@pytest.mark.parametrize("block", blocks("python"), ids=str)
def test_a_block_of_python_runs(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Alone where it imports something, otherwise after the lines above; a chart is written."""
    monkeypatch.setattr(cdk8s, "App", functools.partial(cdk8s.App, outdir=str(tmp_path)))
    exec(compile(program(block.text), str(block), "exec"), {"__name__": "documentation"})
    assert list(tmp_path.glob("*.yaml"))


def test_every_block_of_python_is_typed(tmp_path: Path) -> None:
    """mypy, strict, has nothing to say; and finds a wrong option."""
    for number, block in enumerate(blocks("python")):
        (tmp_path / f"block_{number}.py").write_text(program(block.text), encoding="utf-8")
    assert mypy(tmp_path) == ""
    (tmp_path / "wrong.py").write_text(program("AimStorage(chart, 'x', source=1)"), encoding="utf-8")
    assert 'incompatible type "int"' in mypy(tmp_path)


def mypy(folder: Path) -> str:
    """What mypy says of the modules of a folder."""
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--disable-error-code=no-untyped-call"]
    files = [str(path) for path in sorted(folder.glob("*.py"))]
    return subprocess.run([*command, *files], cwd=ROOT, check=False, capture_output=True, text=True).stdout


CALLS = sorted({code for page in PAGES for code in inline_code(page) if re.match(r"CsiVolume\.\w+\(\w+=", code)})


@pytest.mark.parametrize("call", CALLS)
def test_a_call_within_a_sentence_works(call: str) -> None:
    """It makes a volume that is accepted."""
    found: dict[str, object] = {}
    exec(f"from constructs_lib import CsiVolume\nmade = {call}\nmade.check()", found)
    assert found["made"]
