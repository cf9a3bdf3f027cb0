"""CLUENER: names of ten kinds in a text.

Article: https://kexue.fm/archives/8739, https://kexue.fm/archives/8373; data:
https://github.com/CLUEbenchmark/CLUENER2020. A record is {"text": ..., "label": {"name": {"叶老桂": [[9, 11]]}, ...}},
ends counted in. A GlobalPointer of ten heads scores all spans of [CLS] text [SEP]; what is above 0 is a name, so that
names may lie inside names. The number: 78.68 with BERT, 79.38 with RoBERTa on CLUE's server, mean F1 over kinds. A line
of the submission is {"id": "0", "label": {...}}.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.text.bert.vocabulary import Vocabulary
from stages.text.clue.classification import identity
from stages.text.clue.cmrc import spanned
from stages.text.clue.metrics import Entity, macro, micro
from stages.text.clue.pointer import Spans
from stages.text.clue.records import Tally, json_lines, lines
from stages.text.clue.samples import Samples, packed

KINDS = (
    "address", "book", "company", "game", "government", "movie", "name", "organization", "position", "scene",
)  # fmt: skip

Label = dict[str, dict[str, list[list[int]]]]
"""As the files have it: kind, words, [first, last] of each time they occur."""


@dataclass(frozen=True)
class Text:
    """A text and its names, sorted; none where they are not known."""

    id: str
    text: str
    names: tuple[Entity, ...]

    @property
    def shown(self) -> str:
        """What a person reads."""
        return self.text

    @property
    def gold(self) -> str:
        """The right answer."""
        return told(self.text, self.names)

    @property
    def texts(self) -> list[str]:
        """All texts."""
        return [self.text]


class Cluener:
    """The task."""

    name, file, metric = "cluener", "cluener_predict.json", "macro_f1"

    def read(self, path: Path, part: str, tally: Tally) -> list[Text]:
        """The texts of a file; names that are not what stands there, or of another kind, are left out and counted."""
        found = []
        for number, row in enumerate(lines(path, tally)):
            text = str(row.get("text", ""))
            if not text.strip() and part != "test":
                tally["records without a text left out"] += 1
                continue
            found.append(Text(identity(row, number), text, tuple(sorted(self.names(text, row.get("label"), tally)))))
        return found

    def names(self, text: str, label: Any, tally: Tally) -> Iterator[Entity]:
        """The names of a label, each once."""
        seen = set()
        for kind, entities in label.items() if isinstance(label, dict) else ():
            for words, places in entities.items():
                for first, last in places:
                    entity = (kind, int(first), int(last))
                    if kind not in KINDS or text[first : last + 1] != words or entity in seen:
                        tally["names that are not there, twice, or of no known kind left out"] += 1
                    else:
                        seen.add(entity)
                        yield entity

    def samples(self, texts: Sequence[Text], known: Vocabulary, length: int, stride: int, tally: Tally) -> Samples:
        """The texts as token ids of `length` at most; `stride` is not used."""
        rows, cells, windows, slices = [], [], [], []
        for one in texts:
            tokens = known.encode(one.text)
            size = min(len(tokens.ids), length - 2)
            tally["texts cut"] += len(tokens.ids) > size
            held = []
            for kind, first, last in one.names:
                span = spanned(tokens, (one.text[first : last + 1], first))
                if (
                    span is None
                    or span[1] >= size
                    or (tokens.starts[span[0]], tokens.ends[span[1]]) != (first, last + 1)
                ):
                    tally["names that are no whole tokens, or cut off"] += 1
                else:
                    held.append((KINDS.index(kind), span[0] + 1, span[1] + 1))
            rows.append([[known.cls, *tokens.ids[:size], known.sep]])
            cells.append(held)
            windows.append((1, size + 1))
            slices.append((tokens.starts[:size], tokens.ends[:size]))
        return packed(rows, cells, range(len(texts)), windows, slices)

    def head(self, dim: int, pool: str) -> Spans:
        """Spans of ten kinds; `pool` is not used."""
        return Spans(dim, len(KINDS), bias=True)

    def decode(
        self, answers: Sequence[list[tuple[int, int, int]]], samples: Samples, texts: Sequence[Text]
    ) -> list[tuple[Entity, ...]]:
        """The names of each text."""
        found: list[tuple[Entity, ...]] = [()] * len(texts)
        for row, (i, spans) in enumerate(zip(samples.of, answers, strict=True)):
            begins, ends = samples.slices[row]
            names = ((KINDS[kind], begins[start - 1], ends[end - 1] - 1) for kind, start, end in spans)
            found[i] = tuple(sorted(names))
        return found

    def score(self, texts: Sequence[Text], found: Sequence[tuple[Entity, ...]]) -> dict[str, float]:
        """F1 of spans, and as the official script has it: of words, mean over kinds."""
        right = [one.names for one in texts]
        words = [[label(one.text, names) for one, names in zip(texts, side, strict=True)] for side in (right, found)]
        return {"f1": micro(right, found), "macro_f1": macro(*words, KINDS)[""]}

    def submission(self, texts: Sequence[Text], found: Sequence[tuple[Entity, ...]]) -> str:
        """A line a text."""
        return json_lines(
            {"id": one.id, "label": label(one.text, names)} for one, names in zip(texts, found, strict=True)
        )

    def parsed(self, text: str) -> dict[str, tuple[Entity, ...]]:
        """The inverse of `submission`, by id."""
        return {
            row["id"]: tuple(
                sorted((kind, *place) for kind, held in row["label"].items() for ps in held.values() for place in ps)
            )
            for row in map(json.loads, text.splitlines())
        }


def label(text: str, names: Sequence[Entity]) -> Label:
    """Names as the files have them."""
    found: Label = {}
    for kind, first, last in sorted(names):
        found.setdefault(kind, {}).setdefault(text[first : last + 1], []).append([first, last])
    return found


def told(text: str, names: Sequence[Entity]) -> str:
    """Names for a person to read: 叶老桂 name、浙商银行 company."""
    return "、".join(f"{text[first : last + 1]} {kind}" for kind, first, last in sorted(names, key=lambda n: n[1:]))


TASK = Cluener()
