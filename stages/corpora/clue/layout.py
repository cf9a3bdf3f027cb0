"""A data set of CLUE's tasks in a folder, in the formats of CLUE's own files.

TASK/train.json, dev.json, test.json    JSON lines; C3: one list; CMRC 2018: one object in SQuAD's layout
chid/PART_answer.json                   {"#idiom000378#": 3, ...}
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PARTS = ("train", "dev", "test")

LIST, SQUAD = ("c3",), ("cmrc2018",)
"""Tasks whose files are one JSON value; others have a record a line."""

Record = dict[str, Any] | list[Any]


def joined(task: str, records: Sequence[Record]) -> str:
    """A file of these records: lines, texts with their questions, or paragraphs with theirs."""
    if task in LIST:
        return json.dumps(list(records), ensure_ascii=False, indent=1) + "\n"
    if task in SQUAD:
        articles = [{"id": str(i), "paragraphs": [record]} for i, record in enumerate(records)]
        return json.dumps({"version": "v1.0", "data": articles}, ensure_ascii=False, indent=1) + "\n"
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


def save(out: Path, task: str, part: str, records: Sequence[Record], answers: Mapping[str, int]) -> None:
    """Write one part of a task, and the answers of CHID's blanks where there are any."""
    folder = out / task
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{part}.json").write_text(joined(task, records), encoding="utf-8", newline="\n")
    if answers:
        text = json.dumps(dict(answers), indent=1, sort_keys=True)
        (folder / f"{part}_answer.json").write_text(text + "\n", encoding="utf-8", newline="\n")
