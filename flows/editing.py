"""params.yaml changed by a flow, its comments, quotes and anchors kept as people wrote them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def edited(path: Path) -> Iterator[Any]:
    """The YAML file as ruamel.yaml's mappings, written back (beside, then renamed) where the block ends well."""
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.preserve_quotes = True  # type: ignore[assignment]
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.width = 1000  # never break a line that a person left whole
    yaml.representer.add_representer(type(None), _null)
    values = yaml.load(path.read_text(encoding="utf-8"))
    yield values
    beside = path.with_name(f"{path.name}.new")
    with beside.open("w", encoding="utf-8") as out:
        yaml.dump(values, out)
    os.replace(beside, path)


def move_tail(old: Any, new: Any) -> None:
    """Put the comment that follows the last line of the mapping `old` (it is about what comes next) behind `new`."""
    while hasattr(old, "ca"):
        *_, (last, _) = old.non_merged_items()
        if last in old.ca.items:
            new.ca.items[list(new)[-1]] = old.ca.items.pop(last)
            return
        old = old[last]


def _null(representer: Any, _value: None) -> Any:
    return representer.represent_scalar("tag:yaml.org,2002:null", "null")
