"""Prepares a release, and says what remains: `make release VERSION=0.2.0`.

Version, changelog and kept manifests are changed in the working tree; wheel, source distribution and bills of materials
go to `.release/`. Nothing is committed, tagged or uploaded.
"""

from __future__ import annotations

import datetime as dt
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import constructs_lib
from app.errors import InputError, reporting
from release.changelog import released, unreleased, versions
from release.kept import keep

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / ".release"
TWINE, CYCLONEDX = "twine==7.0.0", "cyclonedx-bom==7.5.0"

_REMAINS = """
{version} is prepared; to undo it: git restore . && git clean -d --force tests/releases
What remains, by hand:
  1. .ci/run, then git add --all && git commit --message="Release {version}"
     git tag --annotate v{version} --message={version}
  2. git push --follow-tags
  3. twine upload .release/*.whl .release/*.tar.gz
  4. make image IMAGE=<registry>/aim:{aim}-{version} PUSH=1, which prints the image line with its digest
  5. attach .release/*.cdx.json to the release on the forge, with the section of CHANGELOG.md
  6. in the next commit, __version__ = "<next version>.dev0" in constructs_lib/__init__.py
"""


@reporting()
def main() -> int:
    """Check everything first; then change the tree, and build of it."""
    version = sys.argv[1] if len(sys.argv) > 1 else ""
    check(version)
    write(version)
    build()
    bills(version)
    aim = constructs_lib.DEFAULT_IMAGE.rpartition(":")[2]
    print(_REMAINS.format(version=version, aim=aim), end="")
    return 0


def check(version: str) -> None:
    """Reject what cannot be released.

    Raises:
        InputError: the version is none or not newer, the tree has changes, or nothing has changed since the last one.
    """
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    last, now = versions(changelog)[0], constructs_lib.__version__.partition(".dev")[0]
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        raise InputError(f"VERSION: {version!r}: write three numbers: make release VERSION={now}")
    if _numbers(version) <= _numbers(last) or _numbers(version) < _numbers(now):
        raise InputError(f"VERSION: {version!r}: {last} is released, and {now} is next; write {now} or a later one")
    changed = _run("git", "status", "--porcelain")
    if changed:
        raise InputError(f"working tree: commit or stash these first:\n{changed.rstrip()}")
    if not unreleased(changelog):
        raise InputError('CHANGELOG.md: "Unreleased" is empty; say what changed')


def write(version: str) -> None:
    """Set the version, give the changes a section of it, and keep its manifests."""
    day = dt.datetime.now(tz=dt.timezone.utc).date().isoformat()
    _replace(ROOT / "constructs_lib/__init__.py", f'"{constructs_lib.__version__}"', f'"{version}"')
    changelog = ROOT / "CHANGELOG.md"
    changelog.write_text(released(changelog.read_text(encoding="utf-8"), version, day), encoding="utf-8")
    keep(version, root=ROOT)


def build() -> None:
    """Build wheel and source distribution, and have twine check them."""
    shutil.rmtree(OUT, ignore_errors=True)
    _run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(OUT))
    _run("uvx", "--quiet", TWINE, "check", "--strict", *map(str, OUT.iterdir()))


def bills(version: str) -> None:
    """Write bills of materials of the wheel, with what it requires today, and of the image."""
    environment = OUT / "environment"
    (wheel,) = OUT.glob("*.whl")
    _run("uv", "venv", "--quiet", "--python", sys.executable, str(environment))
    _run("uv", "pip", "install", "--quiet", "--python", str(environment), str(wheel))
    bill = ["uvx", "--quiet", "--from", CYCLONEDX, "cyclonedx-py", "environment", "--output-reproducible"]
    main_component = ["--pyproject", "pyproject.toml", "--mc-type", "library"]
    file = OUT / f"aim-on-kubernetes-{version}.cdx.json"
    _run(*bill, *main_component, "--output-file", str(file), str(environment / "bin/python"))
    shutil.rmtree(environment)
    _run("image/bill", SBOM=str(OUT / f"image-{version}.cdx.json"))


def _numbers(version: str) -> list[int]:
    return [int(number) for number in version.split(".")]


def _replace(file: Path, old: str, new: str) -> None:
    file.write_text(file.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")


def _run(*command: str, **environment: str) -> str:
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise InputError(f"{' '.join(command[:4])}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
