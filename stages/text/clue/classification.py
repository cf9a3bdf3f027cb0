"""Tasks with one class a record: what TNEWS, IFLYTEK, AFQMC, CMNLI, OCNLI, CLUEWSC and CSL have in common.

    [CLS] first [SEP]   or   [CLS] first [SEP] second [SEP]          segments 0 throughout, the longer part cut first

Each task's module says how a record is read; labels are those of the files, and of the submission:
{"id": "7", "label": "108"} a line.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.text.bert.vocabulary import Vocabulary
from stages.text.clue.heads import Classifier
from stages.text.clue.metrics import accuracy
from stages.text.clue.records import Tally, json_lines, lines
from stages.text.clue.samples import NOTHING, Samples, fitted, packed


@dataclass(frozen=True)
class Record:
    """A text, or a pair, and its label: "" where that is not known."""

    id: str
    first: str
    second: str
    label: str

    @property
    def shown(self) -> str:
        """What a person reads."""
        return f"{self.first} ／ {self.second}" if self.second else self.first

    @property
    def gold(self) -> str:
        """The right answer."""
        return self.label

    @property
    def texts(self) -> list[str]:
        """All texts."""
        return [self.first, self.second]


@dataclass(frozen=True)
class Classification:
    """A task; `parse` makes of a line's object (id, first, second, label), or None where it is of no use."""

    name: str
    file: str  # of the submission
    labels: tuple[str, ...]
    parse: Callable[[dict[str, Any], Tally], tuple[str, str] | None]
    metric: str = "accuracy"

    def read(self, path: Path, part: str, tally: Tally) -> list[Record]:
        """The records of a file; of the test part all, as each must be answered."""
        found = []
        for number, row in enumerate(lines(path, tally)):
            texts = self.parse(row, tally)
            label = str(row.get("label", ""))
            if texts is None or not texts[0].strip():
                tally["records without a text" + (" kept" if part == "test" else " left out")] += 1
                texts = texts or ("", "")
                if part != "test":
                    continue
            if part == "test":
                label = label if label in self.labels else ""
            elif label not in self.labels:
                tally[f"records of no known label ('{label[:20]}') left out"] += 1
                continue
            found.append(Record(identity(row, number), *texts, label))
        return found

    def samples(self, records: Sequence[Record], known: Vocabulary, length: int, stride: int, tally: Tally) -> Samples:
        """The records as token ids of `length` at most; `stride` is not used."""
        rows, number = [], {label: i for i, label in enumerate(self.labels)}
        for record in records:
            parts = [known.encode(text).ids for text in record.texts if text]
            cut = fitted(parts or [[known.unknown]], length - 1 - max(1, len(parts)))
            tally["texts cut"] += sum(map(len, parts)) > length - 1 - len(parts)
            rows.append([[known.cls, *(token for part in cut for token in [*part, known.sep])]])
        targets = [number.get(record.label, NOTHING) for record in records]
        return packed(rows, targets, range(len(records)))

    def head(self, dim: int, pool: str) -> Classifier:
        """A class of the sentence vector."""
        return Classifier(dim, len(self.labels), pool)

    def decode(self, answers: Sequence[list[float]], samples: Samples, records: Sequence[Record]) -> list[str]:
        """The best label of each record."""
        found = [""] * len(records)
        for i, scores in zip(samples.of, answers, strict=True):
            found[i] = self.labels[max(range(len(scores)), key=scores.__getitem__)]
        return found

    def score(self, records: Sequence[Record], found: Sequence[str]) -> dict[str, float]:
        """The accuracy."""
        return {"accuracy": accuracy([record.label for record in records], found)}

    def submission(self, records: Sequence[Record], found: Sequence[str]) -> str:
        """A line a record."""
        return json_lines({"id": record.id, "label": label} for record, label in zip(records, found, strict=True))

    def parsed(self, text: str) -> dict[str, str]:
        """The inverse of `submission`, by id."""
        return {row["id"]: row["label"] for row in map(json.loads, text.splitlines())}


def identity(row: dict[str, Any], number: int) -> str:
    """The id of a record; its place in the file where it has none."""
    return str(row.get("id", row.get("idx", number)))


def sentences(first: str, second: str) -> Callable[[dict[str, Any], Tally], tuple[str, str] | None]:
    """A `parse` that takes the fields of these names; "" for a task of single sentences."""

    def parse(row: dict[str, Any], tally: Tally) -> tuple[str, str] | None:
        found = tuple(row.get(name) if name else "" for name in (first, second))
        if not all(isinstance(text, str) for text in found) or (second and not found[1].strip()):
            return None
        return found

    return parse
