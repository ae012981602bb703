"""Draws the objects of an instance and what they refer to, as SVG: `make docs`."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import cdk8s

from app.instances.chart import add_instance
from app.instances.reading import read_instances

Manifest = Mapping[str, Any]

PICTURES = {"instances/aim.yaml": "docs/images/aim.svg", "examples/team.yaml": "docs/images/team.svg"}
"""Instance files that the documentation shows, and their pictures."""

_COLUMNS = (
    ("Ingress", "HTTPRoute"),
    ("Service", "NetworkPolicy", "PodMonitor"),
    ("Deployment", "CronJob"),
    ("PersistentVolumeClaim", "ConfigMap", "Secret"),
    ("PersistentVolume",),
    ("NFS export",),
)
_COLORS = {"Deployment": "#1f6feb", "CronJob": "#1f6feb", "Service": "#2da44e", "Ingress": "#2da44e"}
_COLORS |= {"HTTPRoute": "#2da44e", "NetworkPolicy": "#cf222e", "NFS export": "#57606a", "Secret": "#9a6700"}
_STORES = "#8250df"
_WIDTH, _GAP, _LINE, _MARGIN = 224, 56, 15, 24

_REFERENCES = {
    "persistentVolumeClaim": ("PersistentVolumeClaim", "claimName"),
    "configMap": ("ConfigMap", "name"),
    "secretKeyRef": ("Secret", "name"),
    "service": ("Service", "name"),
}
"""Keys of manifests that name another object: its kind, and the key of its name."""

_NAMES = {"secretName": "Secret", "volumeName": "PersistentVolume"}

_OUTSIDE = {"Secret": ("made by you",)}
"""What a box says that the instance refers to and does not make."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """An object, or something outside that one refers to.

    Attributes:
        kind: of the object.
        name: of the object.
        lines: of text below.
        made: whether the instance makes it.
    """

    kind: str
    name: str
    lines: tuple[str, ...] = ()
    made: bool = True

    @property
    def height(self) -> int:
        """In pixels."""
        return 42 + _LINE * len(self.lines)


Link = tuple[tuple[str, str], tuple[str, str]]


def picture(file: Path) -> str:
    """Draw the instance of a file.

    Raises:
        InputError: the file cannot work.
    """
    (source,) = read_instances(file)
    with tempfile.TemporaryDirectory() as outdir:
        manifests = list(cdk8s.Testing.synth(add_instance(cdk8s.App(outdir=outdir), source)))
    return draw(manifests, namespace=source.instance.namespace)


def draw(manifests: Sequence[Manifest], *, namespace: str) -> str:
    """Draw manifests: a column for each role, arrows from an object to what it refers to."""
    boxes = {(box.kind, box.name): box for box in _boxes(manifests)}
    links = [link for each in manifests for link in _links(each, manifests)]
    for _, (kind, name) in links:
        boxes.setdefault((kind, name), Box(kind=kind, name=name, made=False, lines=_OUTSIDE.get(kind, ())))
    return "\n".join(_svg(boxes, links, namespace)) + "\n"


def _boxes(manifests: Sequence[Manifest]) -> Iterator[Box]:
    for each in manifests:
        if each["kind"] != "Namespace":
            yield Box(kind=each["kind"], name=each["metadata"]["name"], lines=tuple(_lines(each)))


def _lines(manifest: Manifest) -> Iterator[str]:
    """What a box says besides kind and name."""
    spec = manifest.get("spec", {})
    for port in spec.get("ports", []):
        yield f"{port['name']} {port['port']} → {port['targetPort']}"
    pod = _pod(manifest)
    for container in [*pod.get("initContainers", []), *pod.get("containers", [])]:
        ports = ", ".join(str(port["containerPort"]) for port in container.get("ports", []))
        yield f"{container['name']} {ports}".strip()
    if manifest["kind"] == "NetworkPolicy":
        yield "who may come in, and go out"
    if manifest["kind"] == "CronJob":
        yield spec["schedule"]
    if "capacity" in spec:
        yield spec["capacity"]["storage"]


def _pod(manifest: Manifest) -> Manifest:
    template = manifest.get("spec", {})
    for key in ("jobTemplate", "spec", "template", "spec"):
        template = template.get(key, template)
    return template if "containers" in template else {}


def _links(manifest: Manifest, manifests: Sequence[Manifest]) -> Iterator[Link]:
    """What an object refers to, in the order of the manifest, each once."""
    kind, spec = manifest["kind"], manifest.get("spec", {})
    found = list(_named(manifest))
    selector = {"Service": spec.get("selector"), "NetworkPolicy": spec.get("podSelector", {}).get("matchLabels")}
    wanted = selector.get(kind) or {}
    for other in manifests:
        labels = other.get("spec", {}).get("template", {}).get("metadata", {}).get("labels", {})
        if wanted and wanted.items() <= labels.items():
            found.append((other["kind"], other["metadata"]["name"]))
    for target in dict.fromkeys(found):
        yield (kind, manifest["metadata"]["name"]), target


def _named(value: Any) -> Iterator[tuple[str, str]]:
    """References by name, anywhere within a value."""
    if isinstance(value, list):
        for each in value:
            yield from _named(each)
    if not isinstance(value, dict):
        return
    for key, inner in value.items():
        if key in _REFERENCES and isinstance(inner, dict) and _REFERENCES[key][1] in inner:
            yield _REFERENCES[key][0], inner[_REFERENCES[key][1]]
        elif key in _NAMES:
            yield _NAMES[key], inner
        elif key == "backendRefs":
            yield from (("Service", each["name"]) for each in inner)
        elif key == "nfs":
            yield "NFS export", f"{inner['server']}:{inner['path']}"
        elif key != "claimRef":
            yield from _named(inner)


Places = dict[tuple[str, str], tuple[float, float]]
"""The upper left corner of each box."""


def _placed(boxes: Mapping[tuple[str, str], Box]) -> Places:
    """Put each box in the column of its kind, and each column in the middle."""
    columns = [[box for box in boxes.values() if box.kind in kinds] for kinds in _COLUMNS]
    columns = [column for column in columns if column]
    tallest = max(_height(column) for column in columns)
    places: Places = {}
    for index, column in enumerate(columns):
        top = 2 * _MARGIN + (tallest - _height(column)) / 2
        for box in column:
            places[box.kind, box.name] = (2 * _MARGIN + index * (_WIDTH + _GAP), top)
            top += box.height + _MARGIN
    return places


def _height(column: Sequence[Box]) -> int:
    return sum(box.height + _MARGIN for box in column) - _MARGIN


def _svg(boxes: Mapping[tuple[str, str], Box], links: Sequence[Link], namespace: str) -> Iterator[str]:
    places = _placed(boxes)
    right = max(x for x, _ in places.values()) + _WIDTH + 2 * _MARGIN
    bottom = max(y + boxes[key].height for key, (_, y) in places.items()) + 2 * _MARGIN
    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {right:g} {bottom:g}" {_FONT}>'
    yield _HEAD
    yield f'<rect width="{right:g}" height="{bottom:g}" rx="8" fill="#fff"/>'
    inside = [x for (kind, _), (x, _) in places.items() if kind not in _CLUSTER]
    edge = max(inside) + _WIDTH
    yield (
        f'<rect x="{_MARGIN}" y="{_MARGIN}" width="{edge:g}" height="{bottom - 2 * _MARGIN:g}" rx="8" fill="#f6f8fa" '
        f'stroke="#d0d7de"/>'
    )
    yield f'<text x="{_MARGIN + 10}" y="{_MARGIN + 15}" fill="#57606a">namespace {escape(namespace)}</text>'
    for source, target in links:
        yield _arrow(places[source], boxes[source], places[target], boxes[target])
    for key, box in boxes.items():
        yield from _drawn(box, *places[key])
    yield "</svg>"


_CLUSTER = ("PersistentVolume", "NFS export")
"""Kinds that are in no namespace."""

_HASH = re.compile(r"-[0-9a-f]{10}$")
_FONT = 'font-family="ui-sans-serif, system-ui, sans-serif" font-size="12"'
_HEAD = (
    '<defs><marker id="end" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
    '<path d="M0 0L8 4L0 8z" fill="#8c959f"/></marker></defs>'
)


def _arrow(start: tuple[float, float], source: Box, end: tuple[float, float], target: Box) -> str:
    x, y = start[0] + _WIDTH, start[1] + source.height / 2
    to_x, to_y = end[0] - 1, end[1] + target.height / 2
    bend = (to_x - x) / 2
    path = f"M{x:g} {y:g}C{x + bend:g} {y:g} {to_x - bend:g} {to_y:g} {to_x:g} {to_y:g}"
    if to_x - x > _WIDTH:  # past a column: below its boxes, not behind them
        x, y = start[0] + _WIDTH / 2, start[1] + source.height
        path = f"M{x:g} {y:g}C{x:g} {to_y:g} {x:g} {to_y:g} {to_x:g} {to_y:g}"
    return f'<path d="{path}" fill="none" stroke="#8c959f" stroke-width="1.5" marker-end="url(#end)"/>'


def _drawn(box: Box, x: float, y: float) -> Iterator[str]:
    color, dashes = _COLORS.get(box.kind, _STORES), "" if box.made else ' stroke-dasharray="5 4"'
    yield (
        f'<rect x="{x:g}" y="{y:g}" width="{_WIDTH}" height="{box.height}" rx="6" fill="#fff" stroke="{color}" '
        f'stroke-width="1.5"{dashes}/>'
    )
    name = _HASH.sub("-<hash>", box.name)  # of the supervisor: a picture is no older for another one
    rows = [(box.kind, f'fill="{color}" font-weight="600"'), (name, 'fill="#1f2328"')]
    rows += [(line, 'fill="#57606a" font-size="11"') for line in box.lines]
    for index, (text, style) in enumerate(rows):
        yield f'<text x="{x + 10:g}" y="{y + 17 + index * _LINE:g}" {style}>{escape(text)}</text>'


def main() -> None:
    """Write the pictures of the documentation."""
    for file, target in PICTURES.items():
        Path(target).write_text(picture(Path(file)), encoding="utf-8")


if __name__ == "__main__":
    main()
