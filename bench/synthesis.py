"""What synthesis costs: one instance against the floor, and each further one."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import app  # noqa: F401  # chooses Node.js for the processes that are measured

ROOT = Path(__file__).resolve().parents[1]
INSTANCE = "namespace: ml\nstorage: {{size: 1Ti, nfs: {{server: nfs.example.com, path: /aim/{}}}}}\n"
COUNTS = (1, 100, 300, 500)
ROUNDS = 7

# an app with an empty chart, and none of the project's modules; the Node.js that `app` chooses is in the environment
FLOOR = """
import cdk8s, cdk8s_plus_27
app = cdk8s.App()
cdk8s.Chart(app, "aim", namespace="ml")
app.synth()
"""


SYNTH = [sys.executable, "-O", str(ROOT / "main.py")]
"""As `make synth` does it."""


def measure(command: list[str], instances: Path, outdir: Path) -> tuple[float, float]:
    """Seconds of a process and its Node.js, and peak MiB of the larger of the two."""
    env = {**os.environ, "INSTANCES": str(instances), "CDK8S_OUTDIR": str(outdir), "PYTHONPATH": str(ROOT)}
    # whatever is set here: for who runs it twice, Python has compiled the modules
    env |= {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(outdir.parent / "bytecode")}
    begin = time.perf_counter()
    peak = (
        "import resource, subprocess, sys; done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(done.returncode)"
    )
    done = subprocess.run([sys.executable, "-c", peak, *command], env=env, check=True, capture_output=True, text=True)
    return time.perf_counter() - begin, int(done.stdout) / 1024


def instance_folder(root: Path, count: int) -> Path:
    """A folder with so many instance files."""
    folder = root / f"instances-{count}"
    folder.mkdir()
    for number in range(count):
        (folder / f"aim-{number}.yaml").write_text(INSTANCE.format(number), encoding="utf-8")
    return folder


def paired(root: Path) -> None:
    """One instance against the floor, one after the other, round by round."""
    one, times, peaks = instance_folder(root, 1), [], []
    floor = [sys.executable, "-c", FLOOR]
    measure(SYNTH, one, root / "dist")
    measure(floor, one, root / "floor")
    for _ in range(ROUNDS):
        seconds, peak = measure(SYNTH, one, root / "dist")
        floor_seconds, floor_peak = measure(floor, one, root / "floor")
        times.append(seconds / floor_seconds)
        peaks.append(peak / floor_peak)
    print(f"one instance / floor: time {statistics.median(times):.2f} (wanted: 1.5), peak memory {max(peaks):.2f}")


def growing(root: Path) -> None:
    """Many instances against one, and what each further one costs."""
    folders = {count: instance_folder(root / "many", count) for count in COUNTS}
    seconds = {}
    measure(SYNTH, folders[1], root / "many" / "dist-1")
    for count, folder in folders.items():
        runs = [measure(SYNTH, folder, root / "many" / f"dist-{count}")[0] for _ in range(3)]
        seconds[count] = min(runs)
        print(f"{count:4} instances: {seconds[count]:.2f} s, {seconds[count] / seconds[1]:.2f} times one")
    print(f"100 instances / one: {seconds[100] / seconds[1]:.2f} (wanted: 5)")
    first = (seconds[100] - seconds[1]) / 99
    last = (seconds[500] - seconds[100]) / 400
    print(f"cost of an instance, from 100 to 500 / from 1 to 100: {last / first:.2f} (flat: 1)")


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        (root / "many").mkdir()
        paired(root)
        growing(root)
