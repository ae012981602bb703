"""Renovate's configuration: its own validator knows whether it is valid, and this what it finds."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from constructs_lib.access.login_options import DEFAULT_LOGIN_IMAGE
from constructs_lib.backup.restic import RESTIC_IMAGE

ROOT = Path(__file__).resolve().parents[1]

PINNED = {
    "actionlint": "rhysd/actionlint",
    "kube-score": "zegl/kube-score",
    "Aim": "docker.io/aimstack/aim",
    "base of the image": "docker.io/library/python",
    "checkov": "checkov",
    "cyclonedx-py": "cyclonedx-bom",
    "login": "quay.io/oauth2-proxy/oauth2-proxy",
    "pip-licenses": "pip-licenses",
    "restic": "docker.io/restic/restic",
    "twine": "twine",
}
"""What no manager of Renovate's own finds, as it stands in files of this project's own."""


def found() -> set[tuple[str, str]]:
    """Names and versions that the custom managers extract."""
    managers = json.loads((ROOT / "renovate.json").read_text(encoding="utf-8"))["customManagers"]
    return {
        (match["depName"], match["currentValue"])
        for manager in managers
        for file in files(manager["managerFilePatterns"])
        for pattern in manager["matchStrings"]
        for match in re.finditer(pattern.replace("(?<", "(?P<"), file.read_text(encoding="utf-8"))
    }


def files(patterns: list[str]) -> list[Path]:
    """Files of the repository that match a pattern, which stands between slashes."""
    folders = ("instances", "examples", "constructs_lib", "image", "release")
    every = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    every += [ROOT / "Makefile", ROOT / ".ci/run"]
    return [path for path in every if any(re.search(each[1:-1], str(path.relative_to(ROOT))) for each in patterns)]


def test_each_pin_that_stands_in_a_file_of_this_project_is_found() -> None:
    """A tool or image that is not found would stay at its version for ever."""
    names = {name.removeprefix("github.com/") for name, _ in found()}
    assert set(PINNED.values()) <= names
    assert not names - set(PINNED.values()), "not of this list: a false match, or a new pin"


@pytest.mark.parametrize(
    ("image", "module", "package"),
    [
        (RESTIC_IMAGE, "restic", "github.com/restic/restic"),
        (DEFAULT_LOGIN_IMAGE, "oauth2_proxy", "github.com/oauth2-proxy/oauth2-proxy/v7"),
    ],
)
def test_a_program_is_tested_in_the_version_of_its_default_image(image: str, module: str, package: str) -> None:
    """It is built from its Go module, as no test pulls images."""
    pins = (ROOT / f"tests/harness/{module}/go.mod").read_text(encoding="utf-8")
    (version,) = re.findall(rf"^\s*{re.escape(package)} v(\S+)", pins, re.MULTILINE)
    assert image.rpartition(":")[2].removeprefix("v") == version


def test_a_digest_stays_beside_its_tag() -> None:
    """An image that is pinned is told from its tag, so that both move together."""
    managers = json.loads((ROOT / "renovate.json").read_text(encoding="utf-8"))["customManagers"]
    (pattern,) = managers[0]["matchStrings"]
    text = f"image: docker.io/aimstack/aim:3.29.1@sha256:{'0' * 64}\n"
    match = re.search(pattern.replace("(?<", "(?P<"), text)
    assert match
    assert match.groupdict() == {
        "depName": "docker.io/aimstack/aim",
        "currentValue": "3.29.1",
        "currentDigest": f"sha256:{'0' * 64}",
    }
