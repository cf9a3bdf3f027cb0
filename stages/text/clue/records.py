"""Files of CLUE: JSON a line, or one JSON value, and a tally of the records that had to be mended or left out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from stages.core.errors import Refusal, one_line
from stages.core.progress import say

Tally = Counter
"""What was mended or left out, and how often: Tally[str]."""

PARTS = ("train", "dev", "test")


def place(folder: Path, task: str, part: str) -> Path:
    """The file of a part of a task in a data set as stages/corpora/clue writes it; raises `Refusal` without one."""
    path = folder / task / f"{part}.json"
    if not path.exists():
        raise Refusal(f"{path} is missing: is {folder} a data set of kind clue that has the task {task}?")
    return path


def lines(path: Path, tally: Tally) -> Iterator[dict[str, Any]]:
    """The objects of a file of one JSON object a line, parted at \\n only: texts hold other separators of lines.

    What is no JSON object is left out and counted.
    """
    with path.open("rb") as file:
        for line in file:  # bytes end at \n, and nowhere else
            if not line.strip():
                continue
            try:
                value = json.loads(line.decode("utf-8-sig"))
            except ValueError:
                value = None
            if isinstance(value, dict):
                yield value
            else:
                tally["lines that are no JSON object left out"] += 1


def whole(path: Path) -> Any:
    """The JSON value that a file is; raises `Refusal` where it is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise Refusal(f"{path} is not one JSON value: {one_line(error)}") from error


def tell(what: str, tally: Tally) -> None:
    """Say in one line what was mended or left out; nothing where nothing was."""
    if counted := [f"{count} {reason}" for reason, count in sorted(tally.items()) if count]:
        say(f"{what}: {', '.join(counted)}")


def json_lines(rows: Iterable[dict[str, Any]]) -> str:
    """Rows as a file of one JSON object a line."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
