"""Writes a commented instance file that is valid: `make new`."""

from __future__ import annotations

import argparse
import os
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

from app.errors import InputError, reporting
from app.instances.model import Instance, Server, Storage
from app.instances.reading import check_stem, read_instances
from app.models import Model, texts_of
from constructs_lib.kubernetes.names import check_namespace

_STORAGES = {
    "nfs": "{server: nfs.example.com, path: /aim}",
    "csi": "{driver: csi.example.com, volumeHandle: handle}",
    "dynamic": "{}",
    "existingClaim": "{name: runs}",
    "hostPath": "{path: /srv/aim, node: node-1}",
}
_BESIDE = {"existingClaim": ("accessMode", "ReadWriteMany")}
"""What a storage needs besides its source, where that is not the size."""
_COOKIE = "    cookieSecret: {name: aim-login, key: cookie-secret}\n"
_PROVIDER = """
    oidc:
      issuer: https://login.example.com
      clientId: aim
      clientSecret: {name: aim-login, key: client-secret}
      emailDomains: [example.com]
"""
_INGRESS = " {host: aim.example.com, tlsSecret: aim-tls}\n"
_ACCESS: dict[str, dict[str, str]] = {
    "namespace": {},
    "passwords": {"login": f"\n    passwords: {{name: aim-users, key: htpasswd}}\n{_COOKIE}", "ingress": _INGRESS},
    "oidc": {"login": _PROVIDER + _COOKIE, "ingress": _INGRESS},
    "anybody": {"allowAnonymous": " true\n", "service": " {type: LoadBalancer}\n"},
}
"""Keys of the server by who may come in, and what is written after their colons."""

_WIDTH = 100


def instance_file(*, namespace: str, storage: str, access: str) -> str:
    """Make the text of an instance file; the comments are the texts of the reference."""
    return "".join(_lines(namespace, storage, access))


def _lines(namespace: str, storage: str, access: str) -> Iterator[str]:
    yield "# yaml-language-server: $schema=schema.json\n"
    yield f"{_comment(Instance, 'namespace')}namespace: {namespace}\n"
    yield f"{_comment(Instance, 'createNamespace')}createNamespace: true\nstorage:\n"
    key, value = _BESIDE.get(storage, ("size", "100Gi"))
    yield f"{_comment(Storage, key, '  ')}  {key}: {value}\n"
    yield f"{_comment(Storage, storage, '  ')}  {storage}: {_STORAGES[storage]}\n"
    yield "server:\n"
    for key, value in _ACCESS[access].items():
        yield f"{_comment(Server, key, '  ')}  {key}:{value}"
    yield f"{_comment(Server, 'workers', '  ')}  workers: 2\n"
    yield f"{_comment(Server, 'tracking', '  ')}  # tracking: {{}}\n"


def _comment(model: Model, key: str, indent: str = "") -> str:
    lines = textwrap.wrap(texts_of(model)[key], _WIDTH)
    return "".join(f"{indent}# {line}\n" for line in lines)


def write(folder: Path, name: str, *, namespace: str, storage: str, access: str) -> Path:
    """Write the file of a new instance.

    Raises:
        InputError: a faulty name, or a file of that name exists.
        OptionError: a faulty name of a namespace.
    """
    file = folder / f"{name}.yaml"
    check_stem(file)
    if file.exists():
        raise InputError(f"{file}: exists; choose another NAME, or change that file")
    check_namespace("namespace", namespace)
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text(instance_file(namespace=namespace, storage=storage, access=access), encoding="utf-8")
    return file


@reporting()
def main() -> int:
    """Write a file, read it together with the other instance files, and say what to do next."""
    parser = argparse.ArgumentParser(prog="make new", description=__doc__)
    parser.add_argument("name", help="of the instance, and of its file")
    parser.add_argument("--namespace", help="default: the name")
    parser.add_argument("--storage", choices=_STORAGES, default="nfs")
    parser.add_argument("--access", choices=_ACCESS, default="namespace")
    options = parser.parse_args()
    folder = Path(os.environ.get("INSTANCES") or "instances")
    namespace = options.namespace or options.name
    file = write(folder, options.name, namespace=namespace, storage=options.storage, access=options.access)
    read_instances(folder)
    print(f"{file}: set what is yours in it, then run make synth, and kubectl apply -f dist/{file.stem}.k8s.yaml")
    return 0


if __name__ == "__main__":
    sys.exit(main())
