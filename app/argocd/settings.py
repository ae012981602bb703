"""`argocd.yaml`: where Argo CD finds this repository, and how it applies it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pydantic import ValidationError

from app.errors import InputError
from app.instances.reading import brief, describe, filled, load_mapping
from app.models import validated
from constructs_lib.errors import OptionError, require
from constructs_lib.kubernetes.names import check_namespace, check_object_name

EXAMPLE = "git.example.com"
"""In the settings that the project comes with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What Argo CD has to know that no instance file says."""

    repository: str
    """URL of the Git repository that `dist/` is committed to, as Argo CD reaches it."""
    revision: str = "HEAD"
    """Branch, tag or commit to follow. Default: HEAD, the repository's default branch."""
    path: str = "dist"
    """The output folder in the repository. Default: dist."""
    name: str = "aim-instances"
    """Name of the root Application. Default: aim-instances."""
    namespace: str = "argocd"
    """Namespace that Argo CD is in. Default: argocd."""
    project: str = "default"
    """AppProject of every Application; one of your own must whitelist Namespace and PersistentVolume. Default:
    default."""
    self_heal: bool = True
    """Undo what others change in the cluster. Default: true."""
    finalizer: bool = True
    """Removing an instance, or its Application, removes its server; storage and namespace stay in any case. Default:
    true."""


def read_settings(file: Path) -> Settings:
    """Read the settings.

    Raises:
        InputError: there are none, or one of them cannot work.
    """
    content = load_mapping(file, keys="repository")
    try:
        settings = validated(Settings, filled(Settings, content))
        _check(settings)
    except ValidationError as invalid:
        raise InputError("\n".join(describe(file, error, Settings) for error in invalid.errors())) from None
    except OptionError as error:
        raise InputError(f"{file}: {error.option}: {brief(error.value)}: {error.remedy}") from None
    return settings


def _check(settings: Settings) -> None:
    for option in ("repository", "revision"):
        value = getattr(settings, option)
        require(re.fullmatch(r"\S+", value), option, value, "write it without spaces")
    path = PurePosixPath(settings.path)
    within = not path.is_absolute() and ".." not in path.parts and settings.path.isprintable()
    require(within, "path", settings.path, "write a path within the repository, such as dist")
    check_namespace("namespace", settings.namespace)
    check_object_name("name", settings.name)
    check_object_name("project", settings.project)
