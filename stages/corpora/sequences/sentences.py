"""Short sentences of a corpus, by character: every run of Chinese characters that is neither too short nor too long."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stages.core import tables
from stages.core.errors import Refusal
from stages.core.systems import Findings
from stages.corpora.sequences.dataset import MOST, save

if TYPE_CHECKING:
    import pyarrow as pa

BREAKS = r"[^\p{Han}]+"


@dataclass(frozen=True)
class Sentences:
    """Params of the sentences."""

    shortest: int  # characters
    longest: int
    symbols: int  # most frequent characters that are kept; a sentence with another is left out
    most: int  # sentences, 0 for all
    test_share: float
    seed: int


def sentences(source: Path | None, params: Sentences, out: Path) -> Findings:
    """Write the different sentences of the documents in `source`, shuffled by `seed`, to `out`.

    Raises `Refusal` where the corpus has none, or for params out of range.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if source is None:
        raise Refusal("params.yaml: sentences need an `input`, a data set of documents")
    if not 1 <= params.shortest <= params.longest or not 1 <= params.symbols <= MOST or not 0 < params.test_share < 1:
        raise Refusal(
            f"params.yaml: sentences need 1 <= shortest <= longest, symbols of 1 to {MOST} and a test_share within 0..1"
        )
    found = []
    for batch in tables.batches(source / "documents.parquet", ["text"]):
        pieces = pc.list_flatten(pc.split_pattern_regex(batch.column(0).drop_null(), BREAKS))
        size = pc.utf8_length(pieces)
        fits = pc.and_(pc.greater_equal(size, params.shortest), pc.less_equal(size, params.longest))
        found.append(pieces.filter(fits))
    whole = pc.unique(pa.chunked_array(found, pa.string())) if found else pa.array([], pa.string())
    rows, characters = encoded(whole, params.longest, params.symbols)
    order = np.random.default_rng(params.seed).permutation(len(rows))
    rows = rows[order[: params.most or None]]
    test = round(params.test_share * len(rows))
    if not 0 < test < len(rows):
        raise Refusal(
            f"{source} has {len(rows)} sentences of {params.shortest} to {params.longest} Chinese characters: "
            "too few for a training and a test part; change shortest and longest, or give it more text"
        )
    return save({"train": rows[test:], "test": rows[:test]}, ["", *characters], [], str(source), out)


def encoded(texts: pa.Array, length: int, symbols: int) -> tuple[np.ndarray, list[str]]:
    """`texts` as int64 [n, length], and the `symbols` most frequent characters (ties by code), numbered from 1.

    Texts with a character that is not among them are left out.
    """
    import pyarrow.compute as pc

    if not len(texts):
        return np.zeros((0, length), dtype=np.int64), []
    padded = pc.utf8_rpad(texts, length, "\0")
    joined = "".join(padded.to_pylist())
    codes = np.frombuffer(joined.encode("utf-32-le"), dtype="<u4").reshape(len(texts), length)
    values, places, counts = np.unique(codes, return_inverse=True, return_counts=True)
    counts[values == 0] = 0
    kept = np.lexsort((values, -counts))[: min(symbols, int((values > 0).sum()))]
    number = np.full(len(values), -1)
    number[kept], number[values == 0] = np.arange(1, len(kept) + 1), 0
    rows = number[places.reshape(codes.shape)]
    return rows[(rows >= 0).all(1)], [chr(value) for value in values[kept]]
