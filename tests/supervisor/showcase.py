"""Makes a repository that has something for every page of Aim's UI: `python showcase.py FOLDER [--text HTML]`.

Runs in Aim's environment, so it imports nothing of the project. The names of runs are the same every time.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import wave
from typing import Any

import aim
import aim.sdk.base_run
from aim.sdk.repo import Repo
from aim.storage.types import BLOB
from PIL import Image

EXPERIMENT, RUNS, STEPS = "showcase", 3, 20
CODE = """```aim
from aim.sdk.repo import ui
ui.text("drawn by a report")
```"""


def main() -> None:
    """Record runs, describe them, write a report, and index it all."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--text", default="<b>a text</b>", help="what a run says wherever it can say something")
    options = parser.parse_args()
    numbers = itertools.count()
    aim.sdk.base_run.generate_run_hash = lambda: f"{next(numbers):024x}"
    repository = Repo.from_path(options.folder, init=True)
    for number in range(RUNS):
        record(repository, number, options.text)
    repository._recreate_index()


def record(repository: Repo, number: int, text: str) -> None:
    """Record a run with values of every type that Aim has a page for."""
    quiet = {"log_system_params": False, "capture_terminal_logs": False, "system_tracking_interval": None}
    run = aim.Run(repo=repository, experiment=EXPERIMENT, **quiet)
    run.name, run.description = f"run {number} {text}", text
    run.add_tag(f"tag {text}")
    run["hparams"] = {"rate": 10.0**-number, "layers": [64, 32], "note": text}
    for step in range(STEPS):
        for subset in ("train", "val"):
            run.track(1 / (step + number + 1), name="loss", step=step, context={"subset": subset})
    for step in range(2):
        for name, value in objects(text).items():
            run.track(value, name=name, step=step)
    run.log_info(text)
    run.close()


def objects(text: str) -> dict[str, Any]:
    """One value of each type, with a text where it can have one."""
    return {
        "images": aim.Image(Image.new("RGB", (8, 8), "red"), caption=text),
        "texts": aim.Text(text),
        "audios": aim.Audio(sound(), format="wav", caption=text),
        "distributions": aim.Distribution([1, 2, 2, 3]),
        "figures": figure(text),
    }


def sound() -> io.BytesIO:
    """A tenth of a second of silence."""
    file = io.BytesIO()
    with wave.open(file, "wb") as audio:
        audio.setnchannels(1)
        audio.setsampwidth(2)
        audio.setframerate(8000)
        audio.writeframes(bytes(1600))
    return io.BytesIO(file.getvalue())


def figure(text: str) -> aim.Figure:
    """A figure as plotly would give it, which need not be here."""
    made = aim.Figure.__new__(aim.Figure)
    aim.storage.object.CustomObject.__init__(made)
    layout = {"title": {"text": text}}
    drawn = {
        "data": [{"type": "scatter", "x": [1, 2], "y": [2, 1], "text": [text, text], "name": text}],
        "layout": layout,
    }
    made.storage["source"], made.storage["version"], made.storage["format"] = "plotly", "5.0.0", "raw_json"
    made.storage["data"] = BLOB(data=json.dumps(drawn))
    return made


if __name__ == "__main__":
    main()
