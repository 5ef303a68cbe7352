"""Declaration files in YAML, checked by a pydantic model, with errors that carry ``file:line``.

Scalars follow the core schema of YAML 1.2, so ``no`` and ``on`` stay text, and so do dates and
numbers with leading zeros: the model, not the notation, gives a value its type.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, RootModel, ValidationError
from pydantic.fields import FieldInfo

from models.errors import ConfigError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Plain: TypeAlias = "str | int | float | bool | list[Plain] | dict[str | int, Plain] | None"
Place: TypeAlias = "tuple[str | int, ...]"
Model = TypeVar("Model", bound=BaseModel)

MAX_BYTES: Final = 1 << 20
MAX_NODES: Final = 200_000
MAX_DEPTH: Final = 60
MAX_PROBLEMS: Final = 20

# libyaml is about ten times faster; an installation built without it still works.
_LOADER: Final[type[yaml.BaseLoader]] = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
_CONSTANTS: Final[Mapping[str, bool | None]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER: Final = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})", re.ASCII)
_FLOAT: Final = re.compile(
    r"(?=.*[.eE])[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?", re.ASCII
)
_TAG: Final = "tag:yaml.org,2002:"


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML document: plain data, and the line on which each value stands.

    ``lines`` maps the path of a value, such as ``("terms", 0, "max")``, to its 1-based line.
    """

    source: str
    data: Plain
    lines: Mapping[Place, int]

    def error(self, place: Place, message: str) -> ConfigError:
        """Return an error at ``place``, or at the nearest enclosing value that exists."""
        return ConfigError(f"{self.source}:{self._line(place)}: {message}")

    def check(self, model: type[Model]) -> Model:
        """Return the document as ``model``; raise :class:`ConfigError` naming every problem."""
        if not isinstance(self.data, dict) and not _is_root(model):
            raise self.error((), _not_a_mapping(self.data, model))
        try:
            return model.model_validate(self.data)
        except ValidationError as error:
            raise ConfigError(self._problems(model, error)) from None

    def _line(self, place: Place) -> int:
        return self.lines[self._existing(place)]

    def _existing(self, place: Place) -> Place:
        """Drop what is no key of the data: union tags, validator names, missing keys."""
        found: Place = ()
        for item in place:
            if (*found, item) in self.lines:
                found = (*found, item)
        return found

    def _problems(self, model: type[BaseModel], error: ValidationError) -> str:
        details = error.errors(include_url=False)
        texts = sorted({(self._line(d["loc"]), self._explain(model, d)) for d in details})
        shown = [f"{self.source}:{line}: {text}" for line, text in texts[:MAX_PROBLEMS]]
        if len(texts) > MAX_PROBLEMS:
            shown.append(f"{self.source}: {len(texts) - MAX_PROBLEMS} more problems")
        return "\n".join(shown)

    def _explain(self, model: type[BaseModel], detail: ErrorDetails) -> str:
        place = self._existing(detail["loc"])
        match detail["type"]:
            case "extra_forbidden":
                return _unknown_key(str(place[-1]), _keys_at(model, place[:-1]))
            case "missing":
                inside = f" in '{_dotted(place)}'" if place else ""
                return f"missing key '{detail['loc'][-1]}'{inside}"
            case _:
                prefix = f"{_dotted(place)}: " if place else ""
                return prefix + _wrong_value(detail)


def load(path: Path | str, model: type[Model]) -> Model:
    """Read the YAML file at ``path`` into ``model``.

    Raises :class:`ConfigError` with ``file:line`` for a file that cannot be read, is not UTF-8 or
    not YAML, repeats a key, or does not fit the model; an unknown key gets the nearest right name.
    """
    return read(path).check(model)


def read(path: Path | str) -> Document:
    """Read the YAML file at ``path`` without a model, for checks that need lines."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; check the path") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    if len(content) > MAX_BYTES:
        raise ConfigError(f"{path}: larger than {MAX_BYTES} bytes, which no declaration file needs")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{path}:{line}: byte 0x{content[error.start]:02x} is not UTF-8; save the file as UTF-8"
        ) from None
    return parse(text, str(path))


def parse(text: str, source: str) -> Document:
    """Parse YAML ``text``; ``source`` names it in errors.

    Raises :class:`ConfigError` as :func:`load` does.
    """
    try:
        _check_depth(text, source)
        root = yaml.compose(text, Loader=_LOADER)
    except yaml.YAMLError as error:
        raise _syntax_error(error, text, source) from None
    if root is None:
        raise _empty(source)
    walk = _Walk(source)
    walk.lines[()] = root.start_mark.line + 1
    data = walk.plain(root, ())
    if data is None:
        raise _empty(source)
    if not isinstance(data, dict | list):
        hint = _hint(text, walk.lines[()])
        raise ConfigError(f"{source}:{walk.lines[()]}: expected keys, got only {data!r}{hint}")
    return Document(source, data, walk.lines)


def nearest(word: str, candidates: Iterable[str]) -> str:
    """Return ``; did you mean 'x'?`` for the nearest candidate, else the list of the allowed."""
    names = sorted(candidates)
    lowered = {name.lower(): name for name in names}
    close = difflib.get_close_matches(word.lower(), lowered, n=1, cutoff=0.6)
    if close:
        return f"; did you mean '{lowered[close[0]]}'?"
    return f"; allowed: {', '.join(names)}" if names else ""


@dataclass(slots=True)
class _Walk:
    """Turn composed nodes into plain data while noting lines."""

    source: str
    lines: dict[Place, int] = field(default_factory=dict[Place, int])
    nodes: int = 0
    open_nodes: set[int] = field(default_factory=set[int])

    def plain(self, node: yaml.Node, place: Place) -> Plain:
        self._guard(node, place)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        self.open_nodes.add(id(node))
        data = (
            self._mapping(node, place)
            if isinstance(node, yaml.MappingNode)
            else [self._child(item, (*place, index)) for index, item in enumerate(node.value)]
        )
        self.open_nodes.discard(id(node))
        return data

    def _guard(self, node: yaml.Node, place: Place) -> None:
        """Stop aliases that contain themselves or that multiply beyond any real declaration."""
        self.nodes += 1
        if id(node) in self.open_nodes:
            raise self._error(node, f"the alias at '{_dotted(place)}' contains itself")
        if self.nodes > MAX_NODES or len(place) > MAX_DEPTH:
            limit = f"{MAX_NODES} values or {MAX_DEPTH} levels"
            raise self._error(node, f"the aliases expand to more than {limit}")
        kind = node.tag.removeprefix(_TAG)
        if kind not in {"str", "seq", "map"}:
            raise self._error(node, f"the tag {node.tag} is not allowed; write the plain value")

    def _child(self, node: yaml.Node, place: Place) -> Plain:
        self.lines[place] = node.start_mark.line + 1
        return self.plain(node, place)

    def _mapping(self, node: yaml.MappingNode, place: Place) -> dict[str | int, Plain]:
        data: dict[str | int, Plain] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node)
            here = (*place, key)
            if key in data:
                first = self.lines[here]
                raise self._error(key_node, f"key '{key}' is repeated (first on line {first})")
            self.lines[here] = key_node.start_mark.line + 1
            data[key] = self.plain(value_node, here)
        return data

    def _key(self, node: yaml.Node) -> str | int:
        key = self._scalar(node) if isinstance(node, yaml.ScalarNode) else None
        if isinstance(key, bool) or not isinstance(key, str | int):
            raise self._error(node, "a key must be text; put it in quotes")
        return key

    @staticmethod
    def _scalar(node: yaml.ScalarNode) -> str | int | float | bool | None:
        text = str(node.value)
        if node.style:  # quoted or block text
            return text
        if text in _CONSTANTS:
            return _CONSTANTS[text]
        if _INTEGER.fullmatch(text):
            return int(text)
        if _FLOAT.fullmatch(text):
            return float(text)
        return text

    def _error(self, node: yaml.Node, message: str) -> ConfigError:
        return ConfigError(f"{self.source}:{node.start_mark.line + 1}: {message}")


def _check_depth(text: str, source: str) -> None:
    """Refuse deep nesting before composing, which recurses once per level."""
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            line = event.start_mark.line + 1 if event.start_mark else 1
            raise ConfigError(f"{source}:{line}: nested deeper than {MAX_DEPTH} levels")


def _empty(source: str) -> ConfigError:
    return ConfigError(f"{source}:1: the file is empty")


def _syntax_error(error: yaml.YAMLError, text: str, source: str) -> ConfigError:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        line = error.problem_mark.line + 1
        return ConfigError(f"{source}:{line}: not YAML: {error.problem}{_hint(text, line)}")
    position = getattr(error, "position", None)
    line = text.count("\n", 0, position) + 1 if isinstance(position, int) else 1
    return ConfigError(f"{source}:{line}: not YAML: {getattr(error, 'reason', error)}")


def _hint(text: str, line: int) -> str:
    """Say what is usually wrong there; the parser may stop one line after the cause."""
    content = "\n".join(text.splitlines()[max(line - 2, 0) : line])
    if "\t" in content:
        return "; indent with spaces, not tabs"
    if "：" in content:
        return "; write ':' and a space instead of '：'"
    return ""


def _not_a_mapping(data: Plain, model: type[BaseModel]) -> str:
    kind = "a list" if isinstance(data, list) else repr(data)
    return f"expected the keys {', '.join(_names(model))}; got {kind}"


def _unknown_key(key: str, allowed: Iterable[str]) -> str:
    return f"unknown key '{key}'{nearest(key, allowed)}"


def _wrong_value(detail: ErrorDetails) -> str:
    value = detail["input"]
    context = detail.get("ctx", {})
    shown = repr(value) if len(repr(value)) <= 60 else repr(value)[:57] + "..."
    match detail["type"]:
        case "value_error":
            return str(context["error"])
        case "literal_error" | "enum":
            allowed = re.findall(r"'([^']*)'", str(context["expected"]))
            return f"{shown} is not allowed{nearest(str(value), allowed)}"
        case "string_type" if isinstance(value, int | float):
            return f"expected text, got {shown}; put it in quotes"
        case _:
            message = detail["msg"]
            return f"{message[0].lower()}{message[1:]}, got {shown}"


def _dotted(place: Place) -> str:
    return ".".join(str(item) for item in place)


def _names(model: type[BaseModel]) -> list[str]:
    return [info.alias or name for name, info in model.model_fields.items()]


def _is_root(model: type[BaseModel]) -> bool:
    return RootModel in model.__mro__


def _keys_at(model: type[BaseModel], place: Place) -> set[str]:
    """Return the keys that the models at ``place`` accept."""
    types: list[object] = [model]
    for item in place:
        types = [child for one in types for child in _children(one, item)]
    return {name for one in types for flat in _models(one) for name in _names(flat)}


def _flat(annotation: object) -> Iterator[object]:
    """Yield the members of a union, without annotations."""
    if get_origin(annotation) is Annotated:
        yield from _flat(get_args(annotation)[0])
    elif get_origin(annotation) in {Union, UnionType}:
        for member in get_args(annotation):
            yield from _flat(member)
    else:
        yield annotation


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    for one in _flat(annotation):
        if isinstance(one, type) and issubclass(one, BaseModel):
            yield one


def _children(annotation: object, item: str | int) -> Iterator[object]:
    """Yield the types that the value under key or index ``item`` may have."""
    for one in _flat(annotation):
        # a generic alias such as list[X] also passes isinstance(type) but has arguments
        if arguments := get_args(one):
            yield from (a for a in arguments if a is not Ellipsis)
    for model in _models(annotation):
        fields: dict[str, FieldInfo] = model.model_fields
        if _is_root(model):
            yield from _children(fields["root"].annotation, item)
        yield from (f.annotation for n, f in fields.items() if item in {n, f.alias})
