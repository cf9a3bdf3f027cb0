"""params.yaml, read into small frozen dataclasses; a wrong key is named together with the nearest right one."""

from __future__ import annotations

import dataclasses
import difflib
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from stages.core.errors import Refusal, one_line

T = TypeVar("T")

Choices = dict
"""The type of a table from the names that params.yaml may use to what they stand for.

A module-level table annotated `NAME: Choices = {"text": thing, ...}` is read with `choose`; the code digest of a row
then covers only the entries that the row names, so that an edited loss re-runs its own systems (see stages/code.py).
"""


def load(path: Path = Path("params.yaml")) -> dict[str, Any]:
    """The whole of params.yaml as plain values; raises `Refusal` where it is missing or not YAML."""
    import yaml

    try:
        values = yaml.load(Path(path).read_text(encoding="utf-8"), yaml.CSafeLoader)  # seven times as fast as Python's
    except FileNotFoundError as error:
        raise Refusal(f"{path} is missing: run from the root of the repository") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Refusal(f"{path} is not valid YAML: {one_line(error)}") from error
    if not isinstance(values, dict):
        raise Refusal(f"{path} is empty: it must hold the sections of the graph")
    return values


def pick(values: Mapping[str, Any], where: str, name: str) -> Any:
    """`values[name]`; raises `Refusal` that names `where`, the missing key and the nearest one there is."""
    if not isinstance(values, Mapping):
        raise Refusal(f"params.yaml: {where} must be a section of keys, not {values!r}")
    if name not in values:
        raise Refusal(f"params.yaml: {where} has no key '{name}'{_nearest(name, values)}")
    return values[name]


def choose(table: Mapping[str, T], name: str, where: str) -> T:
    """The entry `name` of a table of choices; raises `Refusal` that lists the names there are."""
    if name not in table:
        raise Refusal(f"params.yaml: {where} is '{name}'{_nearest(name, table)}; choices: {', '.join(table)}")
    return table[name]


def typed(kind: type[T], values: Any, where: str) -> T:
    """A dataclass of `kind` from the section `values` found at `where` (e.g. "systems.new_words.train").

    Raises `Refusal` for an unknown key, a missing key or a value of another type, each named with its place.
    """
    import pydantic

    if values is None:
        values = {}
    try:
        return pydantic.TypeAdapter(_strict(kind)).validate_python(values)
    except pydantic.ValidationError as error:
        raise Refusal(_sentence(error.errors()[0], kind, where)) from error


def _strict(kind: type[T]) -> type[T]:
    """`kind`, told (and every dataclass in its fields too) to refuse keys it does not know."""
    for part in (kind, *typing.get_args(kind)):
        if dataclasses.is_dataclass(part):
            setattr(part, "__pydantic_config__", {"extra": "forbid"})  # noqa: B010 (no field of a dataclass)
            for hint in typing.get_type_hints(part).values():
                _strict(hint)
    return kind


def _sentence(error: Any, kind: type, where: str) -> str:
    *parents, name = (str(part) for part in error["loc"]) if error["loc"] else ("",)
    place = ".".join([where, *parents])
    if error["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        return f"params.yaml: {place} has an unknown key '{name}'{_nearest(name, _fields(kind, parents))}"
    if error["type"] in ("missing", "missing_argument"):
        return f"params.yaml: {place} has no key '{name}'; add it (params.yaml of the repository shows its meaning)"
    return f"params.yaml: {place}.{name} is {error['input']!r}, but: {error['msg']}"


def _fields(kind: Any, parents: Iterable[str]) -> list[str]:
    for name in parents:
        hints = typing.get_type_hints(kind)
        if name in hints:
            inner = [hints[name], *typing.get_args(hints[name])]
            kind = next((k for k in inner if dataclasses.is_dataclass(k)), kind)
    return [field.name for field in dataclasses.fields(kind)]


def _nearest(name: str, names: Iterable[str]) -> str:
    close = difflib.get_close_matches(str(name), [str(n) for n in names], n=1, cutoff=0.5)
    return f"; did you mean '{close[0]}'?" if close else ""
