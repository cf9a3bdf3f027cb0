"""How two stages of the same name differ, in the words of the house: params and graph."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from flows.graph import Stage
from flows.records import Entry

LONGEST = 60
"""Characters of a value that are shown."""


def locked(name: str, entry: Entry) -> Stage:
    """The stage that an entry of dvc.lock was made by."""
    deps, outs = (tuple(sorted(item["path"] for item in entry.get(kind, []))) for kind in ("deps", "outs"))
    return Stage(name, (), False, {}, entry["cmd"], deps, outs, entry.get("params", {}))


def params(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Every value that differs, as "systems.x.train.order: 4 -> 3"; both as {file: {key: value}}, like dvc.lock."""
    before, after = dict(_leaves(old)), dict(_leaves(new))
    said = []
    for key in dict.fromkeys([*after, *before]):
        if key not in before:
            said.append(f"{key}: new, {_shown(after[key])}")
        elif key not in after:
            said.append(f"{key}: gone, was {_shown(before[key])}")
        elif before[key] != after[key]:
            said.append(f"{key}: {_shown(before[key])} -> {_shown(after[key])}")
    return said


def graph(old: Stage, new: Stage) -> list[str]:
    """What differs in the command, in the paths that are read and in those that are made."""
    said = [f"{new.name} is now `{new.cmd}`, was `{old.cmd}`"] if old.cmd != new.cmd else []
    for verb, before, after in (("reads", old.deps, new.deps), ("makes", old.outs, new.outs)):
        more, less = sorted({*after} - {*before}), sorted({*before} - {*after})
        if more and less:
            said.append(f"{new.name} {verb} {', '.join(more)} instead of {', '.join(less)}")
        elif more or less:
            said.append(f"{new.name} {verb} {', '.join(more) or 'no longer ' + ', '.join(less)}")
    return said


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and their values; the name of a file of params is left out where it is params.yaml."""
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, "" if name == "params.yaml" else f"{name}.")
        else:
            yield name, value


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."
