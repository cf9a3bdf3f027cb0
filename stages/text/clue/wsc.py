"""CLUEWSC: does this pronoun mean that noun?

Article: https://kexue.fm/archives/8739; data: https://github.com/CLUEbenchmark/CLUE. A record is {"target":
{"span1_text": "树叶", "span1_index": 22, "span2_text": "他", "span2_index": 30}, "text": ..., "label": "false"}, read
with both marked: 就像一片_树叶_飘入了树林，[他]走到了... The number: 73.85 with BERT, 82.28 with RoBERTa on
CLUE's server.
"""

from __future__ import annotations

from typing import Any

from stages.text.clue.classification import Classification
from stages.text.clue.records import Tally

MARKS = (("_", "_"), ("[", "]"))  # around the noun, around the pronoun


def parse(row: dict[str, Any], tally: Tally) -> tuple[str, str] | None:
    """The text with both spans marked; None where it lacks one. A span that is elsewhere is found and counted."""
    text, target, spans = row.get("text"), row.get("target"), []
    if not isinstance(text, str) or not isinstance(target, dict):
        return None
    for i, marks in enumerate(MARKS, start=1):
        words, index = target.get(f"span{i}_text"), target.get(f"span{i}_index")
        if not isinstance(words, str) or not words or not isinstance(index, int):
            return None
        start = nearest(text, words, index)
        if start is None:
            return None
        tally["spans moved to where they stand"] += start != index
        spans.append((start, start + len(words), marks))
    for start, end, (opening, closing) in sorted(spans, reverse=True):  # the right one first: the other stays in place
        text = f"{text[:start]}{opening}{text[start:end]}{closing}{text[end:]}"
    return text, ""


def nearest(text: str, words: str, index: int) -> int | None:
    """Where `words` begin in `text`, nearest to `index`; None where they do not occur."""
    starts = [i for i in range(len(text) - len(words) + 1) if text.startswith(words, i)]
    return min(starts, key=lambda start: (abs(start - index), start), default=None)


TASK = Classification("cluewsc2020", "cluewsc11_predict.json", ("false", "true"), parse)
