"""Records with Aim's client everything that it can record over the network, reads it back, and prints what it read.

Runs in Aim's environment, so it imports nothing of this project:
`python recorder.py aim://127.0.0.1:53800 folder-of-the-repository scratch-folder`.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aim
import numpy as np
from aim.sdk.index_manager import RepoIndexManager
from aim.sdk.repo import Repo
from aim.storage.context import Context
from PIL import Image

CONTEXT = {"subset": "train", "fold": 3}


class BaseFigure:
    """Stands for a figure of plotly: Aim knows one by the names of class and module."""

    __module__ = "plotly.basedatatypes"

    def to_json(self) -> str:
        """A figure, as plotly writes it."""
        return '{"data": [], "layout": {"title": {"text": "loss"}}}'


def record(url: str, scratch: Path) -> str:
    """Record a run with a value of every kind; returns its hash."""
    run = aim.Run(repo=url, experiment="everything", log_system_params=True, system_tracking_interval=0.2)
    run["hparams"] = {"rate": 0.001, "layers": [1, 2, {"deep": None}], "on": True, 7: "seven"}
    run["grüße"] = "日本"
    run.set("loose", {"path": Path("/x")}, strict=False)
    run["gone"] = 1
    del run["gone"]
    for step in range(5):
        run.track(1 / (step + 1), name="loss", step=step, epoch=step // 2, context=CONTEXT)
        run.track({"accuracy": step / 5, "f1": step}, step=step * 10**9)
    run.track([aim.Text("first"), aim.Text("second")], name="texts", step=10**6)
    run.track(aim.Image(Image.new("RGB", (8, 8), "red"), caption="red"), name="images", context=CONTEXT)
    run.track(aim.Audio(b"RIFF" + bytes(4000), format="wav", caption="beep"), name="audios")
    run.track(aim.Distribution(np.arange(1000), bin_count=20), name="distributions")
    run.track(aim.Figure(BaseFigure()), name="figures")
    run.name, run.description, run.archived = "a name", "a description\nof lines", True
    run.add_tag("good")
    run.add_tag("bad")
    run.remove_tag("bad")
    run.log_info("an info", where="here")
    run.log_warning("a warning")
    run.report_progress(expect_next_in=60)
    _record_artifacts(run, scratch)
    print("captured from the terminal", file=sys.stderr)
    time.sleep(1.5)  # Aim samples the system and the terminal at its own pace
    run.report_successful_finish()
    run.close()
    return str(run.hash)


def _record_artifacts(run: Any, scratch: Path) -> None:
    (scratch / "model").mkdir(parents=True)
    for name in ("weights", "shape"):
        (scratch / "model" / name).write_text(name, encoding="utf-8")
    run.set_artifacts_uri(f"file://{scratch}/store")
    run.log_artifact(str(scratch / "model/weights"), name="best", block=True)
    run.log_artifacts(str(scratch / "model"), block=True)


def resume(url: str, run_hash: str) -> None:
    """Record on, in a run that has ended."""
    run = aim.Run(run_hash, repo=url, system_tracking_interval=None)
    run.repo._client.reconnect()  # what the client does after a broken connection: it asks for its resources again
    run.track(0.125, name="loss", step=5, context=CONTEXT)
    run["resumed"] = True
    assert run.archived
    run.archived = False  # queries pass over archived runs
    run.experiment = "resumed"
    run.close()


def read(url: str, run_hash: str, scratch: Path) -> dict[str, Any]:
    """Read everything, as a script that evaluates runs does."""
    repository = Repo.from_path(url)
    run = repository.get_run(run_hash)
    assert run
    params = run[...]
    system = params.pop("__system_params")
    return {
        "hash": run_hash,
        "params": repr(params),
        "system": sorted(system),
        "props": [run.name, run.description, run.archived, run.experiment, run.tags, run.active],
        "times": [run.creation_time <= run.end_time, run.created_at.year > 2000, run.duration > 0],
        "metrics": {
            f"{each.name} {each.context.to_dict()}": _values(each)
            for each in run.metrics()
            if not each.name.startswith("__")
        },
        "sampled": sorted({each.name for each in run.metrics() if each.name.startswith("__")}),
        "objects": _objects(run),
        "terminal": "captured from the terminal" in repr(list(run.get_terminal_logs().values.values_list())),
        "log": [str(each.message) for each in run.get_log_records().values.values_list()],
        "artifacts": {name: each.uri.replace(str(scratch), "") for name, each in run.artifacts.items()},
        "downloaded": Path(run.artifacts["best"].download(str(scratch / "down"))).read_text(encoding="utf-8"),
        "sequences": sorted(each["name"] for each in run.collect_sequence_info(("metric", "images"))["images"]),
        "listed": [run_hash in repository.list_all_runs(), run_hash in repository.list_active_runs()],
        "counted": repository.total_runs_count() >= 1,
        "known": [repository.run_exists(run_hash), repository.run_exists("missing")],
        "all": sorted(repr(key) for key in repository.collect_params_info()),
        "queried": {name: _queried(query, run_hash) for name, query in _queries(repository).items()},
    }


def _values(metric: Any) -> str:
    steps, (values, epochs, _) = metric.data.items_list()
    return repr((sorted(zip(steps, values, epochs, strict=True)), metric.values.last_value()))


def _objects(run: Any) -> dict[str, Any]:
    empty = Context({})
    (image,) = run.get_image_sequence("images", Context(CONTEXT)).values.values_list()
    (audio,) = run.get_audio_sequence("audios", empty).values.values_list()
    (figure,) = run.get_figure_sequence("figures", empty).values.values_list()
    (distribution,) = run.get_distribution_sequence("distributions", empty).values.values_list()
    (texts,) = run.get_text_sequence("texts", empty).values.values_list()
    return {
        "image": [image.json(), image.to_pil_image().getpixel((3, 3))],
        "audio": [audio.json(), len(audio.storage["data"].load())],
        "figure": [figure.json(), figure.data],
        "distribution": distribution.to_np_histogram()[0].tolist(),
        "texts": [each.data for each in texts],
    }


def _queries(repository: Any) -> dict[str, Callable[[], Any]]:
    """Queries, which Aim's client evaluates itself: no instruction carries one to the server."""
    return {
        "runs": lambda: repository.query_runs("run.hparams.rate < 1", report_mode=0).iter_runs(),
        "metrics": lambda: repository.query_metrics("metric.name == 'loss'", report_mode=0).iter_runs(),
        "images": lambda: repository.query_images("images.name == 'images'", report_mode=0).iter_runs(),
    }


def _queried(query: Callable[[], Any], run_hash: str) -> str:
    """How often the query finds the run, or the error that it ends with."""
    try:
        return str(sum(each.run.hash == run_hash for each in query()))
    except Exception as error:  # noqa: BLE001  # compared with the one that Aim alone ends with
        return f"{type(error).__name__}: {error}"


def index(folder: str, run_hash: str) -> None:
    """Index a run, as the web server beside the tracking server does: Aim's client reads what is indexed."""
    RepoIndexManager.get_index_manager(Repo.from_path(folder)).index(run_hash)


def main(url: str, folder: str, scratch: Path) -> None:
    """Record, resume, read and delete, as Aim's documentation shows it."""
    run_hash = record(url, scratch)
    resume(url, run_hash)
    index(folder, run_hash)
    found = read(url, run_hash, scratch)
    repository = Repo.from_path(url)
    found["deleted"] = repository.delete_run(run_hash)
    time.sleep(1)  # Aim keeps the list of runs for half a second
    found["left"] = run_hash in repository.list_all_runs()
    print(json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
