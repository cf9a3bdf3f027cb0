"""Segmented text of any standard into one table of sentences as words: the gold that segmenters are scored on.

Read are the bakeoff form (one sentence a line, words parted by blanks) and CoNLL-U (the FORM column).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from stages.core import tables
from stages.core.errors import Refusal
from stages.core.systems import Findings
from stages.corpora.charset import decode
from stages.corpora.readers import kind, open_bytes


@dataclass(frozen=True)
class Segmentation:
    """Params of a gold standard."""

    gold: str  # name of the segmented file in the input folder
    training_words: str  # name of a list of known words there, one a line; "" for none


def segmentation(source: Path | None, params: Segmentation, out: Path) -> Findings:
    """Write `gold.parquet` (words: list of text, one row a sentence), and `training_words.parquet` where there is one.

    Raises `Refusal` where a file is missing or holds no sentence.
    """
    import pyarrow as pa

    if source is None:
        raise Refusal("params.yaml: a corpus of kind segmentation needs an `input`: the folder of its files")
    sentences = list(read_gold(find(source, params.gold)))
    out.mkdir(parents=True)
    columns = tables.schema(words=(pa.list_(pa.string()), "the words of a sentence"))
    tables.write(pa.table({"words": sentences}, schema=columns), out / "gold.parquet")
    if params.training_words:
        with open_bytes(find(source, params.training_words)) as stream:
            words = sorted({word for line in stream if (word := decode(line)[0].strip())})
        tables.write(pa.table({"word": words}), out / "training_words.parquet")
    return Findings(metrics={"sentences": float(len(sentences)), "words": float(sum(map(len, sentences)))})


def read_gold(path: Path) -> Iterator[list[str]]:
    """The sentences of a segmented file, each a list of words; raises `Refusal` where there are none."""
    found = 0
    with open_bytes(path) as stream:
        for words in _conllu(stream) if kind(path.name) == "conllu" else (decode(line)[0].split() for line in stream):
            if words:
                found += 1
                yield words
    if not found:
        raise Refusal(f"{path} holds no sentence: give words parted by blanks, one sentence a line")


def find(folder: Path, name: str) -> Path:
    """The file of that name in a folder, however deep; raises `Refusal` where there is none."""
    found = sorted(path for path in Path(folder).rglob(name) if path.is_file())
    if not found:
        raise Refusal(f"{folder} holds no file named {name}: mend the name in params.yaml")
    return found[0]


def _conllu(stream: IO[bytes]) -> Iterator[list[str]]:
    """FORM of every token of every sentence; comments, multiword ranges (1-2) and empty nodes (1.1) are left out."""
    words: list[str] = []
    for line in stream:
        fields = decode(line)[0].rstrip("\r\n").split("\t")
        if fields == [""]:
            yield words
            words = []
        elif fields[0].isdigit():
            words.append(fields[1])
    yield words
