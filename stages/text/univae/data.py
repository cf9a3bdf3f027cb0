"""Sentences that a UniVAE is trained and judged on, cut where they are too long."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from stages.core import tables
from stages.core.errors import Refusal
from stages.nets import sequences

BREAKS = "，。！？；：、,.!?;: \u3000"
"""After one of these a sentence is cut."""


@dataclass(frozen=True)
class Sentences:
    """A part of a data set; topics and patterns are there where their truth is known."""

    texts: list[str]
    topics: list[str] | None = None
    patterns: list[str] | None = None


def load(folder: Path | None, part: str) -> Sentences:
    """The `part`, train or test, of the data set in `folder`.

    It has PART.parquet with a column text (and perhaps topic and pattern), or is a data set of sequences. Raises
    `Refusal` where it is neither.
    """
    if folder is None:
        raise Refusal("params.yaml: a UniVAE needs `input` and `truth`, a data set of sentences")
    if (folder / "dataset.json").exists():
        held = sequences.load(folder)
        rows = getattr(held, part).tolist()
        return Sentences(["".join(held.symbols[i] for i in row) for row in rows])
    table = tables.read(folder / f"{part}.parquet")
    if "text" not in table.column_names:
        raise Refusal(f"{folder}/{part}.parquet has no column text: give a data set of sentences")
    columns = {name: table[name].to_pylist() for name in ("topic", "pattern") if name in table.column_names}
    return Sentences(table["text"].to_pylist(), columns.get("topic"), columns.get("pattern"))


def cut(text: str, most: int) -> str:
    """`text`, or of one longer than `most` characters what ends at its last break there, else the first `most`."""
    if len(text) <= most:
        return text
    end = max(text.rfind(sign, 0, most) for sign in BREAKS) + 1
    return text[: end or most]
