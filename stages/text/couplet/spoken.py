"""First lines from a person's hand, and answers to read: what the commands share."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from stages.core.errors import Refusal
from stages.text.couplet.robot import Answer


def lines_of(texts: Sequence[str]) -> list[str]:
    """The first lines that arguments stand for: lines of standard input for `-`, of a file, or themselves.

    Empty lines of files are left out. Raises `Refusal` where nothing is left.
    """
    found: list[str] = []
    for text in texts or ["-"]:
        if text == "-":
            found += [line for line in sys.stdin.read().splitlines() if line.strip()]
        elif len(text) < 256 and Path(text).is_file():
            found += [line for line in Path(text).read_text(encoding="utf-8-sig").splitlines() if line.strip()]
        else:
            found.append(text)
    if not found:
        raise Refusal("there is no first line: give one, a file of them, or lines on standard input")
    return found


def told(lines: Sequence[str], answers: Sequence[Sequence[Answer]], as_json: bool) -> Iterator[str]:
    """What is printed: a JSON object a first line, or second lines, with their nats where there are several."""
    for line, some in zip(lines, answers, strict=True):
        if as_json:
            rows = [{"second": one.second, "score": one.score, "characters": one.characters} for one in some]
            yield json.dumps({"first": line, "answers": rows}, ensure_ascii=False)
        elif len(some) == 1:
            yield some[0].second
        else:
            yield from (f"{one.second}\t{one.score:.2f}" for one in some)
