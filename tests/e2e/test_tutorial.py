"""The tutorial, command by command, as a reader types it: from nothing to runs that a browser gets, and away again."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tests.docs.blocks import ROOT, blocks
from tests.e2e import kube

RUNS = 3


def steps(namespace: str, folder: Path) -> Iterator[str]:
    """The commands, on copies of the examples in a namespace; the cluster has the image by the name in them."""
    laptop = (ROOT / "examples/laptop.yaml").read_text(encoding="utf-8")
    job = (ROOT / "examples/manifests/first-run.yaml").read_text(encoding="utf-8")
    for name, text in (("laptop.yaml", laptop), ("first-run.yaml", job)):
        (folder / name).write_text(text.replace("namespace: aim", f"namespace: {namespace}"), encoding="utf-8")
    synth = f"INSTANCES={folder}/laptop.yaml CDK8S_OUTDIR={folder}/out {sys.executable} main.py"
    changes = [
        ("make synth INSTANCES=examples/laptop.yaml OUT=/tmp/aim", synth),
        ("-n aim", f"-n {namespace}"),
        ("namespace aim", f"namespace {namespace}"),
        ("/tmp/aim", f"{folder}/out"),
        ("examples/manifests", str(folder)),
    ]
    for block in blocks("sh"):
        lines = block.text.splitlines() if block.page.name == "tutorial.md" else []
        for line in lines:
            if not line.startswith("kind "):  # a cluster is here
                yield functools.reduce(lambda text, change: text.replace(*change), changes, line)


def shell(command: str) -> str:
    """What a command prints."""
    done = subprocess.run(
        ["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=900, check=False, env=os.environ
    )
    if done.returncode:
        raise kube.FailedError(f"{command}\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


@contextlib.contextmanager
def forwarded(command: str) -> Iterator[str]:
    """Keep a port forwarded meanwhile, on one that is free; its URL."""
    with subprocess.Popen(command.replace("8080:", ":").split(), stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield f"http://{process.stdout.readline().partition('from ')[2].split()[0]}"
        finally:
            process.terminate()


def test_the_tutorial_from_its_first_to_its_last_command(namespace: str, folder: Path) -> None:
    """Each step says what the page says that it will, and every run is there after a restart."""
    lines = list(steps(namespace, folder))
    (index,) = [number for number, line in enumerate(lines) if "port-forward" in line]
    before, forward, after = lines[:index], lines[index], lines[index + 1 :]
    said = "".join(shell(line) for line in before)
    assert said.count(" created") == 8 + 1
    assert 'deployment "laptop" successfully rolled out' in said
    assert [line for line in said.splitlines() if line.startswith("recorded ")] == [
        "recorded rate 0.1",
        "recorded rate 0.03",
        "recorded rate 0.01",
    ]
    assert_shown(forward)
    *restart, _, uninstall, away = after
    for line in restart:
        shell(line)
    assert_shown(forward)
    shell(uninstall)
    assert kube.found("pvc", "laptop-runs", "-n", namespace)["status"]["phase"] == "Bound"
    shell(away)


def assert_shown(forward: str) -> None:
    """The page is there, and the server has all runs."""
    with forwarded(forward) as url:
        with urllib.request.urlopen(f"{url}/runs", timeout=30) as answer:
            assert b"<title>" in answer.read()
        kube.wait_for(lambda: counted(url) == RUNS, seconds=30, what="runs")


def counted(url: str) -> int:
    """How many runs the server lists."""
    with urllib.request.urlopen(f"{url}/api/projects/activity", timeout=30) as answer:
        return int(json.load(answer)["num_runs"])
