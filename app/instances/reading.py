"""Reading instance files, and saying what is wrong with one."""

from __future__ import annotations

import contextlib
import difflib
import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode

from app.errors import InputError
from app.instances.defaults import merged
from app.instances.model import Instance
from app.models import Model, exclusive_keys, keys_of, models_of, validated
from app.output import APPLICATIONS
from constructs_lib import KeyRef
from constructs_lib.errors import OptionError, check_text

DEFAULTS = "defaults.yaml"
"""In the folder of the instance files: what they share."""

_LARGEST_FILE = 256 * 1024
_MOST_VALUES = 10_000
"""Some twenty times as many as a file has in which every key is written; anchors can make billions of a few."""

_STEM = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Source:
    """An instance and the file it was read from."""

    path: Path
    instance: Instance
    own: Mapping[str, object]

    @property
    def stem(self) -> str:
        """The file's name without its extension: of the chart, and of its file in the output."""
        return self.path.stem

    def said_in(self, *key: object) -> Path:
        """The file that a key is in: this one, or the one that instances share."""
        return _said_in(self.path, self.own, key)

    @property
    def file(self) -> Path:
        """Its file below the output."""
        return Path(self.instance.cluster or "", f"{self.stem}.k8s.yaml")

    @property
    def name(self) -> str:
        """Name of the instance."""
        return self.instance.name or self.stem


def read_instances(path: Path) -> list[Source]:
    """Read an instance file, or every `*.yaml` and `*.yml` of a folder, in the order of their names.

    What is in `defaults.yaml` beside them is in each of them that does not say otherwise.

    Raises:
        InputError: there is none, or one of them cannot work.
    """
    files = _files(path)
    defaults = (path if path.is_dir() else path.parent) / DEFAULTS
    shared = _read_shared(defaults) if defaults.exists() else {}
    sources = [_read(file, shared) for file in files]
    _check_clusters(sources)
    seen: dict[str, Source] = {}
    for source in sources:
        other = seen.setdefault(source.stem, source)
        if other is not source:
            raise InputError(f"{source.path}: {other.path.name} has the same name; rename one of them")
    return sources


def _read_shared(file: Path) -> dict[str, object]:
    shared = load_mapping(file)
    if "name" in shared:
        raise InputError(f"{file}: name: {brief(shared['name'])}: leave it out: each instance has one of its own")
    return shared


def _files(path: Path) -> Sequence[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise InputError(f"{path}: no such file or folder; INSTANCES names an instance file, or a folder of them")
    written = (file for file in path.iterdir() if file.suffix.lower() in {".yaml", ".yml"} and file.name[0] != ".")
    files = sorted(file for file in written if file.name != DEFAULTS)
    if not files:
        raise InputError(f"{path}: no instance file in it; write one, such as {path / 'aim.yaml'}")
    return files


def _check_clusters(sources: Sequence[Source]) -> None:
    """Refuse what would mix a cluster's manifests with those of others."""
    clusters = {source.instance.cluster for source in sources}
    for source in sources:
        cluster = source.instance.cluster
        if cluster is None and len(clusters) > 1:
            raise InputError(f"{source.path}: cluster: missing; others name theirs, so write it here, too")
        if cluster is not None and (not _STEM.fullmatch(cluster) or cluster == APPLICATIONS):
            remedy = f"write lower-case letters, digits and '-', and not {APPLICATIONS}, where the Applications are"
            raise InputError(f"{source.path}: cluster: {brief(cluster)}: {remedy}")


def _read(file: Path, shared: Mapping[str, object]) -> Source:
    check_stem(file)
    content = load_mapping(file, keys="namespace and storage")
    try:
        instance = validated(Instance, filled(Instance, merged(Instance, shared, content)))
    except OptionError as error:
        raise InputError(
            f"{_said_in(file, content, error.option.split('.'))}: {error.option}: {brief(error.value)}: {error.remedy}"
        ) from None
    except ValidationError as invalid:
        errors = [(error["loc"] if error["type"] != "missing" else (), error) for error in invalid.errors()]
        raise InputError("\n".join(describe(_said_in(file, content, key), error) for key, error in errors)) from None
    return Source(path=file, instance=instance, own=content)


def check_stem(file: Path) -> None:
    """Refuse a file name that no instance file can have.

    Raises:
        InputError: says which names can be.
    """
    if file.stem == Path(DEFAULTS).stem:
        raise InputError(f"{file}: rename the file: what instances share is in {DEFAULTS}, and is no instance")
    if not _STEM.fullmatch(file.stem):
        raise InputError(f"{file}: name the file with lower-case letters, digits and '-', such as aim.yaml")


def filled(model: Model, content: Mapping[str, object], where: str = "") -> dict[str, object]:
    """Resolve empty keys: one with nothing after it, as when all below it is commented out, means its default.

    Raises:
        OptionError: of keys that exclude each other, not exactly one is written.
    """
    keys = keys_of(model)
    result: dict[str, object] = {}
    for key, value in content.items():
        if value is None and "bare" in getattr(keys.get(key), "metadata", ()):
            result[key] = {}
        elif value is not None:
            result[key] = _filled_value(next(models_of(model, key), None), value, f"{where}{key}")
    _check_one_of(model, content, result, where.removesuffix("."))
    return result


def _filled_value(model: Model | None, value: object, where: str) -> object:
    if model and isinstance(value, Mapping):
        return filled(model, value, f"{where}.")
    if model and isinstance(value, list):
        return [_filled_value(model, each, f"{where}[{index}]") for index, each in enumerate(value)]
    return value


def _check_one_of(model: Model, content: object, result: Mapping[str, object], where: str) -> None:
    one_of = exclusive_keys(model)
    written = sorted(key for key in one_of if key in result)
    unknown = set(result) - set(keys_of(model))  # a misspelled one is reported as such
    if one_of and len(written) != 1 and not unknown:
        this = " and ".join(written) or "none"
        raise OptionError(where, content, f"write exactly one of {', '.join(one_of)}; this has {this}")


def _said_in(file: Path, content: object, key: Iterable[object]) -> Path:
    """Find the file that a key is in: the shared one, where that has it and the instance's own does not."""
    key, shared = list(key), file.with_name(DEFAULTS)
    elsewhere = not _has(content, key) and shared.exists() and _has(_load(shared), key)
    return shared if elsewhere else file


def _has(content: object, key: Iterable[object]) -> bool:
    for part in key:
        if isinstance(content, Mapping) and part not in content:
            return False
        content = content[part] if isinstance(content, Mapping) else None
    return True


def load_mapping(file: Path, *, keys: str = "") -> dict[str, object]:
    """Read a YAML file that must hold a mapping.

    Args:
        file: what to read.
        keys: those that it cannot do without, for the message; without any, the file may be empty.

    Raises:
        InputError: it cannot be read, or holds something else.
    """
    content = _load(file)
    if content is None and not keys:
        return {}
    if not isinstance(content, dict):
        what = "empty" if content is None else f"a {type(content).__name__}"
        raise InputError(f"{file}: is {what}; write a mapping{keys and f' with at least the keys {keys}'}")
    return content


def _load(file: Path) -> object:
    try:
        text = _text(file)
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: {error}; write it in UTF-8") from None
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}; make it a file that can be read") from None
    yaml = YAML(typ="safe", pure=True)
    try:
        tree = yaml.compose(text)
        _check_tree(file, tree)
        return yaml.constructor.construct_document(tree) if tree else None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        problem = " ".join(str(part) for part in (error.context, error.problem) if part)
        raise InputError(f"{file}: {place}{problem}; {_yaml_remedy(problem)}") from None
    except (YAMLError, ValueError, KeyError, RecursionError) as error:
        # ruamel.yaml lets these of Python's own through, for a tag such as !!int or a date that is none
        raise InputError(f"{file}: {brief(error)}; write it as plain YAML") from None


def _text(file: Path) -> str:
    """Text of a file of a reasonable size; a named pipe or a device would never end."""
    about = file.stat()
    if not stat.S_ISREG(about.st_mode):
        raise InputError(f"{file}: is no regular file; write the text into one")
    if about.st_size > _LARGEST_FILE:
        raise InputError(f"{file}: has {about.st_size} bytes; write at most {_LARGEST_FILE // 1024} KiB")
    return file.read_text(encoding="utf-8")


def _check_tree(file: Path, root: Node | None) -> None:
    """Refuse a file that its anchors make endless or huge, and text that nothing can hold; before it is built."""
    waiting, seen = [root] if root else [], 0
    while waiting:
        node, seen = waiting.pop(), seen + 1
        if seen > _MOST_VALUES:
            raise InputError(f"{file}: contains itself, or over {_MOST_VALUES} values; write it without anchors")
        if isinstance(node, ScalarNode):
            with _at(file, node):
                check_text("value", node.value)
        elif isinstance(node, MappingNode):
            waiting += [each for pair in node.value for each in pair]
        else:
            waiting += node.value


@contextlib.contextmanager
def _at(file: Path, node: Node) -> Iterator[None]:
    """Say in which line of a file a value stands that cannot work."""
    try:
        yield
    except OptionError as error:
        mark = node.start_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}"
        raise InputError(f"{file}: {place}: {brief(error.value)}: {error.remedy}") from None


def _yaml_remedy(problem: str) -> str:
    remedies = {
        "duplicate key": "write each key once",
        "'\\t'": "indent with spaces, not tabs",
        "tag": "leave the tag out: plain values only",
        "expected a single document": "write one instance a file",
    }
    return next((remedy for sign, remedy in remedies.items() if sign in problem), "write it as plain YAML")


def describe(file: Path, error: ErrorDetails, model: Model = Instance) -> str:
    """Say which key of a file is wrong, and what to write instead."""
    key = _dotted(error["loc"])
    if error["type"] == "unexpected_keyword_argument":
        above = _model_at(error["loc"][:-1], model)
        known = list(keys_of(above))
        near = difflib.get_close_matches(str(error["loc"][-1]), known, n=1)
        advice = f"did you mean {near[0]}?" if near else f"known here: {', '.join(known) or 'none, write {}'}"
        return f"{file}: {key}: unknown key; {advice}{_of_a_secret(above)}"
    if error["type"] == "missing":
        return f"{file}: {key}: missing; write it"
    if error["type"] == "dataclass_type":
        # what was written is not repeated: it may be a secret, where the name of one belongs
        wanted = _model_at(error["loc"], model)
        remedy = f"write a mapping with keys of {', '.join(keys_of(wanted))}{_of_a_secret(wanted)}"
        return f"{file}: {key}: is a {type(error['input']).__name__}; {remedy}"
    message = error["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return f"{file}: {key}: {brief(error['input'])}: {message}"


def brief(value: object) -> str:
    """A value as a message shows it: not a whole file of it."""
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]} ..."


def _dotted(loc: Iterable[int | str]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).removeprefix(".")


def _model_at(loc: Sequence[int | str], model: Model) -> Model:
    for part in loc:
        if isinstance(part, str):
            model = next(models_of(model, part), model)
    return model


def _of_a_secret(model: Model) -> str:
    """What to say besides where a secret may have been written in the place of its name."""
    return ", which are those of a Secret or ConfigMap: in this file, it would be no secret" if model is KeyRef else ""
