"""CLUE's eleven tasks in small, from grammars of our own and the facts of the embedded site, in CLUE's formats.

Article: https://kexue.fm/archives/8739. Names, words and templates are drawn anew for every record, and no record
occurs twice. Records of the test part have numbers and no labels, as CLUE's.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stages.core.errors import Refusal
from stages.core.systems import Findings
from stages.corpora.clue import several, single
from stages.corpora.clue.layout import LIST, PARTS, SQUAD, Record, save

MADE: dict[str, Callable[[np.random.Generator], Any]] = {
    "afqmc": single.afqmc,
    "c3": several.c3,
    "chid": several.chid,
    "cluener": several.cluener,
    "cluewsc2020": single.cluewsc2020,
    "cmnli": single.cmnli,
    "cmrc2018": several.cmrc2018,
    "csl": single.csl,
    "iflytek": single.iflytek,
    "ocnli": single.ocnli,
    "tnews": single.tnews,
}

TRIES = 100  # for each record, to find one that is new


@dataclass(frozen=True)
class Made:
    """Params of the data set: records of each task in each part."""

    train: int
    dev: int
    test: int
    seed: int


def made(source: Path | None, params: Made, out: Path) -> Findings:
    """Write all tasks to `out`; `source` is not used. Raises `Refusal` where a task has not so many records."""
    sizes = (params.train, params.dev, params.test)
    for task, make in MADE.items():
        rng = np.random.default_rng([params.seed, zlib.crc32(task.encode())])
        records = distinct(task, make, sum(sizes), rng)
        for part, size in zip(PARTS, sizes, strict=True):
            held, records = records[:size], records[size:]
            save(out, task, part, *asked(task, part, held))
    counts = dict(zip(PARTS, map(float, sizes), strict=True))
    return Findings(metrics={"tasks": float(len(MADE)), **counts})


def distinct(task: str, make: Callable[[np.random.Generator], Any], most: int, rng: np.random.Generator) -> list[Any]:
    """So many different records."""
    found: dict[str, Any] = {}
    for _ in range(TRIES * most):
        record = make(rng)
        found.setdefault(json.dumps(record, ensure_ascii=False, sort_keys=True), record)
        if len(found) == most:
            kept = list(found.values())  # of those that come again the first came early: let no part have more of them
            return [kept[i] for i in rng.permutation(most)]
    raise Refusal(f"params.yaml: the grammar of {task} has {len(found)} records, not {most}: ask for fewer")


def asked(task: str, part: str, records: list[Any]) -> tuple[list[Record], dict[str, int]]:
    """The records as they stand in a file of the part, and the answers that stand in another one."""
    numbered = [_numbered(task, part, number, record) for number, record in enumerate(records)]
    if task == "chid":
        answers = {name: place for _, given in numbered for name, place in given.items()}
        return [record for record, _ in numbered], {} if part == "test" else answers
    return numbered, {}


def _numbered(task: str, part: str, number: int, record: Any) -> Any:
    """A record with its number, and for the test without what is asked for."""
    hidden = part == "test"
    if task in LIST:
        said, questions, name = record
        kept = [{"id": number, **{k: v for k, v in q.items() if k != "answer" or not hidden}} for q in questions]
        return [said, kept, f"{name}-{number}"]
    if task in SQUAD:
        name, rows = f"{part.upper()}_{number}", []
        for i, question in enumerate(record["qas"]):
            answers = question["answers"] * (3 if part == "dev" else 1)  # as three annotators give them
            rows.append({**question, "id": f"{name}_QUERY_{i}", "answers": [] if hidden else answers})
        return {"id": name, "context": record["context"], "qas": rows}
    if task == "chid":
        names = [f"#idiom{10 * number + i:06d}#" for i, _ in enumerate(record["answers"])]
        texts = [text.replace("＿", name) for text, name in zip(record["content"], names, strict=True)]
        return {"candidates": record["candidates"], "content": texts}, dict(zip(names, record["answers"], strict=True))
    shown = {name: value for name, value in record.items() if not (hidden and name.startswith("label"))}
    return {"id": number, **shown}
