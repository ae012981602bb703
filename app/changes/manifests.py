"""Manifests as objects, by kind, namespace and name: of a folder, of a Git revision, or of a cluster."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML

from app.errors import InputError
from app.output import APPLICATIONS

Manifest = Mapping[str, Any]

_OF_THE_CLUSTER = ("creationTimestamp", "generation", "managedFields", "resourceVersion", "uid")
"""Metadata that an API server adds."""

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
"""Annotation of what `kubectl apply` applied; with server-side apply there is none."""


class Key(NamedTuple):
    """Identity of an object."""

    cluster: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        """Spell it as kubectl does, after the cluster, where there are several: `north: Service ml/aim`."""
        name = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.cluster}: {self.kind} {name}" if self.cluster else f"{self.kind} {name}"


Objects = dict[Key, Manifest]


def objects_in(folder: Path) -> Objects:
    """Read the manifests of a folder."""
    files = {file.relative_to(folder): file for file in sorted(folder.rglob("*.k8s.yaml"))}
    return _objects({name: file.read_text(encoding="utf-8") for name, file in files.items()})


def objects_at(revision: str, folder: Path) -> Objects:
    """Read the manifests that a folder had at a Git revision.

    Raises:
        InputError: Git knows no such revision, or the folder is in no repository.
    """
    listing = _run("git", "-C", str(folder.parent), "ls-tree", "-r", "--name-only", revision, f"./{folder.name}/")
    names = [name for name in listing.splitlines() if name.endswith(".k8s.yaml")]
    texts = [_run("git", "-C", str(folder.parent), "show", f"{revision}:./{name}") for name in names]
    return _objects({Path(name).relative_to(folder.name): text for name, text in zip(names, texts, strict=True)})


def objects_of_cluster(wanted: Objects) -> tuple[Objects, Objects]:
    """Ask kubectl's cluster for objects: as they are, and as the API server would make them of the manifests.

    The server fills in defaults on both sides, so that only a real change is one. What it refuses is compared as it is
    written: in a namespace that does not exist yet, nothing can be tried.

    Raises:
        InputError: kubectl is missing, or reaches no cluster; or the instance files are for several.
    """
    clusters = sorted({key.cluster for key in wanted})
    if len(clusters) > 1:
        raise InputError(f"the instance files are for {', '.join(clusters)}; name those of one: INSTANCES=file")
    live = {_key("".join(clusters), manifest): manifest for manifest in _living(list(wanted.values()))}
    applied = {key: _tried(manifest, live[key]) if key in live else manifest for key, manifest in wanted.items()}
    return {key: _without_server_fields(live[key]) for key in wanted if key in live}, applied


def _living(wanted: list[Manifest]) -> list[Manifest]:
    """Those of the objects that exist, by one question for all."""
    text = _kubectl("get", "--ignore-not-found", given={"apiVersion": "v1", "kind": "List", "items": wanted})
    answer = json.loads(text or "{}")
    items: list[Manifest] = answer.get("items", [answer] if answer else [])
    return items


def _tried(manifest: Manifest, live: Manifest) -> Manifest:
    """Apply a manifest without effect, in the way in which the object was applied before.

    The other way would keep fields that the manifest no longer has: they belong to the field manager that wrote them.
    """
    by_client = _LAST_APPLIED in live["metadata"].get("annotations", {})
    options = [] if by_client else ["--server-side", "--force-conflicts"]
    try:
        return _without_server_fields(json.loads(_kubectl("apply", "--dry-run=server", *options, given=manifest)))
    except InputError as refused:  # where a field is immutable, the warnings name it as well
        print(refused, file=sys.stderr)
        return _without_server_fields(_merged(live, manifest))


def _merged(live: Manifest, wanted: Manifest) -> Manifest:
    both = {key: (live[key], value) for key, value in wanted.items() if isinstance(live.get(key), Mapping)}
    return {**live, **wanted, **{key: _merged(old, new) for key, (old, new) in both.items()}}


def _kubectl(verb: str, *options: str, given: Mapping[str, Any]) -> str:
    return _run("kubectl", verb, *options, "--filename=-", "--output=json", given=json.dumps(given))


def _run(*command: str, given: str = "") -> str:
    try:
        return subprocess.run(command, input=given, capture_output=True, text=True, check=True).stdout
    except FileNotFoundError:
        raise InputError(f"{command[0]}: not on PATH; install it") from None
    except subprocess.CalledProcessError as error:
        raise InputError(f"{' '.join(command[:3])}: {error.stderr.strip()}") from None


def _documents(text: str) -> Iterator[Manifest]:
    return (document for document in YAML(typ="safe").load_all(text) if document)


def _objects(texts: Mapping[Path, str]) -> Objects:
    """Read the objects of files, whose names are relative to the output: its folders are clusters.

    Argo CD's Applications are left out: they say where the manifests are, and change no instance.
    """
    return {
        _key(str(file.parent).removeprefix("."), manifest): manifest
        for file, text in texts.items()
        if APPLICATIONS not in file.parts
        for manifest in _documents(text)
    }


def _key(cluster: str, manifest: Manifest) -> Key:
    metadata = manifest["metadata"]
    return Key(cluster, manifest["kind"], metadata.get("namespace", ""), metadata["name"])


def _without_server_fields(manifest: Manifest) -> Manifest:
    metadata = {key: value for key, value in manifest["metadata"].items() if key not in _OF_THE_CLUSTER}
    annotations = {key: value for key, value in metadata.pop("annotations", {}).items() if key != _LAST_APPLIED}
    rest = {key: value for key, value in manifest.items() if key != "status"}
    return {**rest, "metadata": {**metadata, "annotations": annotations}}
