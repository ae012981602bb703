"""One instance is one chart."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import cdk8s
from constructs import Construct

import constructs_lib as library
from app.errors import InputError
from app.instances.model import Server
from app.instances.notes import notes
from app.instances.reading import Source, brief
from constructs_lib.access.peers import check_peers
from constructs_lib.options import camel

_TOP_LEVEL = {"name", "namespace", "image", "imagePullPolicy", "imagePullSecrets", "storage"}
"""Keys that are no section's, though constructs of sections take them."""

_OPTION = re.compile(r"\b[a-z]+(_[a-z]+)+\b")
"""A name of an option in Python: of two words or more."""


def add_instance(app: cdk8s.App, source: Source) -> InstanceChart:
    """Add the chart of an instance to an app.

    Raises:
        InputError: a value that cannot work, named by its key in the file.
    """
    return InstanceChart(app, source)


class InstanceChart(cdk8s.Chart):
    """Everything that one instance is, in the order in which an empty cluster can take it.

    Attributes:
        exports: what tells its store from every other one, where several clusters could have it.
        notes: what to know of it before it starts.
        backup: of its runs; None for none.
    """

    exports: tuple[str, ...]
    notes: tuple[str, ...]
    backup: library.AimBackup | None

    def __init__(self, scope: Construct, source: Source) -> None:
        instance = source.instance
        super().__init__(scope, source.stem, namespace=instance.namespace, disable_resource_name_hashes=True)
        with _reported(source, ""):
            if instance.create_namespace:
                library.AimNamespace(self, "namespace")
        with _reported(source, "storage"):
            storage = _storage(self, source)
        # stores that other clusters reach as well, so that it is not enough to compare within one
        shared = storage.source.identity if instance.storage.nfs or instance.storage.csi else None
        self.exports = (shared,) if shared else ()
        with _reported(source, "server"):
            server = library.AimServer(self, "server", storage=storage, image=instance, options=instance.server)
            _open(server, instance.server)
        with _reported(source, "backup"):
            self.backup = _add_backup(self, source, server) if instance.backup else None
        with _reported(source, "maintenance"):
            if instance.maintenance:
                _add_maintenance(self, source, server)
        self.notes = tuple(notes(server, instance))


def _storage(chart: cdk8s.Chart, source: Source) -> library.AimStorage:
    storage = source.instance.storage
    (volume,) = (getattr(storage, name) for name in storage.one_of if getattr(storage, name) is not None)
    return library.AimStorage(chart, "storage", source=volume, name=source.name, options=storage)


def _open(server: library.AimServer, options: Server) -> None:
    """Add the peers of the file to the network rules, and tracking with its own."""
    check_peers("allow_from", options.allow_from)
    if options.allow_from:
        server.allow_from(*options.allow_from)
    check_peers("allow_to", options.allow_to)
    if options.allow_to:
        server.allow_to(*options.allow_to)
    if options.tracking:
        _add_tracking(server, options)
    if options.ingress:
        server.expose_via_ingress(options.ingress)
    if options.route:
        server.expose_via_route(options.route)


def _add_tracking(server: library.AimServer, options: Server) -> None:
    assert options.tracking
    tracking = server.add_tracking(options.tracking)
    check_peers("tracking.allow_from", options.tracking.allow_from)
    if options.tracking.allow_from:
        tracking.allow_from(*options.tracking.allow_from)


def _add_backup(chart: cdk8s.Chart, source: Source, server: library.AimServer) -> library.AimBackup:
    backup = source.instance.backup
    assert backup
    (given,) = (getattr(backup, name) for name in backup.one_of if getattr(backup, name) is not None)
    target = given if isinstance(given, library.BackupTarget) else library.BackupVolume(volume=given)
    return library.AimBackup(
        chart,
        "backup",
        storage=server.storage,
        target=target,
        options=backup,
        name=source.name,
        image=source.instance,
        supervisor=server.supervisor,
    )


def _add_maintenance(chart: cdk8s.Chart, source: Source, server: library.AimServer) -> None:
    assert source.instance.maintenance
    library.AimMaintenance(
        chart,
        "maintenance",
        storage=server.storage,
        options=source.instance.maintenance,
        name=source.name,
        image=source.instance,
        supervisor=server.supervisor,
    )


@contextmanager
def _reported(source: Source, section: str) -> Iterator[None]:
    """Report an option that cannot work by its key in the file.

    Raises:
        InputError: names the file and the key.
    """
    try:
        yield
    except library.OptionError as error:
        key = _key(error.option, section)
        given = "the file's name, " if key == "name" and not source.instance.name else ""
        file = source.path if key == "name" else source.said_in(*key.partition("[")[0].split("."))
        # the library names options as Python does
        remedy = _OPTION.sub(lambda name: camel(name[0]), error.remedy)
        raise InputError(f"{file}: {key}: {given}{brief(error.value)}: {remedy}") from None


def _key(option: str, section: str) -> str:
    """The key of an option: `service.node_port` of the server is `server.service.nodePort`."""
    words, bracket, rest = option.partition("[")
    index, closing, tail = rest.partition("]")
    spelled = ".".join(camel(word) for word in words.split("."))
    if bracket:
        # a user's own key in brackets stays as it is; options below an entry of a list do not
        spelled += bracket + index + closing + ".".join(camel(word) for word in tail.split("."))
    top_level = not section or spelled.partition(".")[0].partition("[")[0] in _TOP_LEVEL
    return spelled if top_level else f"{section}.{spelled}"
