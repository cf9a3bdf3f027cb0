"""What the tests of words share: a small corpus on disk, brute force, a serial map, real text where there is some."""

from __future__ import annotations

import os
import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import yaml

from stages.core import params, tables
from stages.words import encoded, ngrams
from stages.words.bakeoff import EvaluateWords
from stages.words.new_words import NewWords

CJK = re.compile("[\u4e00-\u9fa50-9A-Za-z]+")
NEWS = "news_xwlb.jsonl.xz"


def write_corpus(folder: Path, texts: Sequence[str]) -> Path:
    """A corpus folder with documents.parquet, one document a text."""
    n = len(texts)
    table = pa.table(
        {
            "id": pa.array(range(n), pa.int64()),
            "source": pa.array(["test"] * n, pa.string()),
            "url": pa.array([""] * n, pa.string()),
            "title": pa.array([""] * n, pa.string()),
            "text": pa.array(list(texts), pa.string()),
            "language": pa.array(["zh"] * n, pa.string()),
        }
    )
    tables.write(table, folder / "documents.parquet")
    return folder


def zipf_text(characters: int, seed: int = 0, alphabet: int = 300) -> str:
    """Text with words of 1 to 4 characters drawn by Zipf's law, punctuation and some Latin in between."""
    rng = random.Random(seed)
    letters = [chr(0x4E00 + 7 * i) for i in range(alphabet)] + list("AB12")
    lexicon = ["".join(rng.choices(letters, k=rng.choice([1, 1, 2, 2, 2, 3, 4]))) for _ in range(2000)]
    weights = [1 / (i + 1) for i in range(len(lexicon))]
    words = rng.choices(lexicon, weights, k=characters // 2)
    ends = rng.choices(["", "，", "。\r\n", " "], [12, 2, 1, 1], k=len(words))
    return "".join(word + end for word, end in zip(words, ends, strict=True))[:characters]


def real_file(name: str) -> Path | None:
    """A file of the mirror (`QUJING_MIRROR`) or of the developers' data beside the repository."""
    places = [os.environ.get("QUJING_MIRROR"), Path(__file__).parents[3] / "shared" / "data"]
    for place in filter(None, places):
        if found := sorted(Path(place).rglob(name)):
            return found[0]
    return None


def serial(function: Callable, tasks: Sequence) -> list:
    """The map of an executor, in this process."""
    return list(map(function, tasks))


def brute_force(texts: list[str], order: int = 4, pieces: re.Pattern = CJK) -> dict[int, Counter]:
    counts = {n: Counter() for n in range(1, order + 1)}
    for text in texts:
        for piece in pieces.findall(text):
            for n in counts:
                counts[n].update(piece[i : i + n] for i in range(len(piece) - n + 1))
    return counts


def named(corpus: encoded.Encoded, counted: ngrams.Ngrams) -> dict[int, dict[str, int]]:
    def name(key: int, n: int) -> str:
        return "".join(chr(corpus.characters[(key >> (16 * (n - 1 - i))) & 0xFFFF]) for i in range(n))

    return {
        n: {name(key, n): count for key, count in zip(keys.tolist(), counted.counts[n].tolist(), strict=True)}
        for n, keys in counted.keys.items()
    }


ROWS = yaml.safe_load((Path(__file__).parents[2] / "params.yaml").read_text(encoding="utf-8"))["systems"]
"""The rows of params.yaml, on which the settings of the tests are built."""


def plain(**changes) -> NewWords:
    """The author's form, with changes."""
    return replace(params.typed(NewWords, ROWS["new_words_plain"]["train"], "tests"), **{"min_count": 5, **changes})


def judge(**changes) -> EvaluateWords:
    """An evaluation without targets, with changes."""
    given = {"target_f1": None, "target_name_recall": None, "keep_full_width": False}
    return replace(params.typed(EvaluateWords, ROWS["new_words"]["evaluate"], "tests"), **{**given, **changes})
