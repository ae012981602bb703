"""What a release leaves for the tests of later ones: `tests/releases/<version>/`.

Of each instance file that the tests have, the file and its manifests; and what the library offers. The supervisor's
text is kept once: with the manifests of `aim`, which are applied to a cluster.
"""

from __future__ import annotations

import io
import shutil
import tempfile
from pathlib import Path

from ruamel.yaml import YAML

from app.instances.reading import read_instances
from app.synthesis import write_instances
from release.api import interface

WHOLE = "aim"
"""Instance whose manifests are kept with the supervisor's text."""

API = "interface.yaml"


def keep(version: str, *, root: Path) -> Path:
    """Write the folder of a release, anew if it is there.

    Args:
        version: of the release.
        root: of the repository.
    """
    folder = root / "tests/releases" / version
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file in sorted([*(root / "instances").glob("*.yaml"), *(root / "tests/instances").glob("*.yaml")]):
        shutil.copy(file, folder)
        (folder / f"{file.stem}.k8s.yaml").write_text(manifests_of(file), encoding="utf-8")
    with (folder / API).open("w", encoding="utf-8") as stream:
        _yaml().dump(interface(), stream)
    return folder


def manifests_of(file: Path) -> str:
    """Make the manifests of one instance file; whole, or without the supervisor's text."""
    with tempfile.TemporaryDirectory() as out:
        write_instances(read_instances(file), Path(out))
        (written,) = Path(out).rglob("*.k8s.yaml")
        text = written.read_text(encoding="utf-8")
    return text if file.stem == WHOLE else shortened(text)


def shortened(text: str) -> str:
    """Leave the supervisor's text out of manifests."""
    manifests = list(YAML(typ="safe").load_all(text))
    for manifest in manifests:
        if "__init__.py" in manifest.get("data", {}):
            manifest["data"] = {"__init__.py": f"(left out: see {WHOLE}.k8s.yaml)"}
    stream = io.StringIO()
    _yaml().dump_all(manifests, stream)
    return stream.getvalue()


def _yaml() -> YAML:
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.width = 1000
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    return yaml
