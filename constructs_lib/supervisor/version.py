"""Names a version of the supervisor by its content, the same way where manifests are made and in the pod."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path

from . import Refusal

_DIGITS = 10
"""As many as a ReplicaSet's hash has at most; eight could be mistaken for the hash of a construct path."""

_DOCSTRING = re.compile(r'^( *)"""(?:[^"]|"(?!""))*"""$', re.MULTILINE)
"""A text that is a statement of its own; `""` is left of it, as it may be all that a class has."""


def texts(folder: Path = Path(__file__).parent) -> dict[str, str]:
    """Read the package's Python files as a pod gets them, without docstrings, by their paths below it."""
    # no `**`: the folder of a mounted ConfigMap holds its files a second time, in a folder that begins with two dots
    files = sorted([*folder.glob("*.py"), *folder.glob("[a-z]*/*.py")])
    return {file.relative_to(folder).as_posix(): without_docstrings(file.read_text(encoding="utf-8")) for file in files}


def without_docstrings(source: str) -> str:
    """Empty the docstrings of a Python file; its lines keep their numbers, for tracebacks.

    `kubectl apply` keeps a copy of each ConfigMap in an annotation, which has 256 KiB at most: a folder
    comes near with them. By a pattern, as to parse the package takes a tenth of a second of each `make synth`.
    """
    return _DOCSTRING.sub(lambda found: f'{found[1]}""' + "\n" * found[0].count("\n"), source)


def version_of(files: Mapping[str, str]) -> str:
    """Hash names and texts of files, whatever their order."""
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()[:_DIGITS]


def check(expected: str, folder: Path = Path(__file__).parent) -> None:
    """Refuse to run in an image that brings another supervisor than the manifests were made for.

    Args:
        expected: version that the manifests were made for.
        folder: where the package is. Default: this one.

    Raises:
        Refusal: the image brings another version.
    """
    found = version_of(texts(folder))
    if found != expected:
        raise Refusal(
            f"the image brings supervisor {found}, and the manifests were made for {expected}: "
            f"build the image of the same version (make image), or leave out server.supervisor"
        )
