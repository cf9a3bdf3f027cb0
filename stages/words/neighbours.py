"""In how many documents a word occurs, and how freely it combines: the entropy of the characters beside it.

Article: https://kexue.fm/archives/4256 (free use of words; the pipeline of 6920 leaves it out).

    H_left(w) = - sum over a of  p(a | w) ln p(a | w),    a = the character before an occurrence of w as a segment

The neighbour is the next *character* of the text, and every edge of a piece (punctuation, end of line) counts as one
and the same symbol; entropies are in nats. A word that is only ever part of one longer word has entropy near 0.

    key = word << 34 | what << 32 | value         for each occurrence; what = left, right, document

are spilled and counted as n-grams are. The number: 30 million keys (100 MB of text) in about 3 s on two cores.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from stages.words.encoded import Encoded
from stages.words.ngrams import Plan
from stages.words.parallel import Map
from stages.words.segment import Segmented
from stages.words.spill import BACKENDS, gather, spill

LEFT, RIGHT, DOCUMENT = 0, 1, 2
WHAT, WORD = np.uint64(32), np.uint64(34)


def neighbours(
    corpus: Encoded, words: pa.Array, chunks: list[Segmented], plan: Plan, apply: Map, scratch: Path
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Left and right entropy (nats, float64) and document frequency (int64) of `words` (ids as bytes), [n] each."""
    from pyarrow import feather

    feather.write_feather(pa.table({"word": words}), scratch / "vocabulary", compression="uncompressed")
    files = list(apply(partial(_spill_neighbours, corpus, plan, scratch), chunks))
    parts = list(apply(partial(_entropies, files, plan), range(plan.partitions)))
    left, right, documents = np.zeros(len(words)), np.zeros(len(words)), np.zeros(len(words), dtype=np.int64)
    for part in parts:
        for whole, what in ((left, LEFT), (right, RIGHT), (documents, DOCUMENT)):
            rows, values = part[what]
            whole[rows] = values
    return left, right, documents


def _spill_neighbours(corpus: Encoded, plan: Plan, scratch: Path, chunk: Segmented) -> Path:
    import pyarrow.compute as pc
    from pyarrow import feather

    vocabulary = feather.read_table(scratch / "vocabulary")["word"]
    table = feather.read_table(chunk.words, memory_map=False)["word"].combine_chunks()
    rows = pc.index_in(table, value_set=vocabulary).fill_null(-1).to_numpy()
    lengths = pc.binary_length(table).to_numpy() // 2
    places = np.fromfile(chunk.places, dtype=np.int64)
    starts, local = places[: chunk.size], places[chunk.size :]
    kept = rows[local] >= 0
    starts, local = starts[kept], local[kept]
    if starts.size == 0:
        return spill(np.empty(0, dtype=np.uint64), 0, plan.partitions, scratch / f"{chunk.places.name}-keys")
    first, ends = int(starts[0]) - 1, starts + lengths[local]
    ids = corpus.read(first, int(ends[-1]) + 1).astype(np.uint64)
    word = rows[local].astype(np.uint64) << WORD
    document = np.searchsorted(corpus.documents(), starts, side="right").astype(np.uint64)
    keys = np.concatenate(
        [
            word | ids[starts - 1 - first],
            word | (np.uint64(RIGHT) << WHAT) | ids[ends - first],
            word | (np.uint64(DOCUMENT) << WHAT) | document,
        ]
    )
    return spill(keys, 34, plan.partitions, scratch / f"{chunk.places.name}-keys")


def _entropies(files: list[Path], plan: Plan, partition: int) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """For each kind of neighbour: rows of the vocabulary and their values."""
    keys, counts = BACKENDS[plan.backend](gather(files, plan.partitions, partition), plan.device)
    what = (keys >> WHAT) & np.uint64(3)
    found = {}
    for kind in (LEFT, RIGHT, DOCUMENT):
        mine = what == kind
        rows, index = np.unique((keys[mine] >> WORD).astype(np.int64), return_inverse=True)
        c = counts[mine].astype(np.float64)
        if kind == DOCUMENT:
            found[kind] = rows, np.bincount(index, minlength=rows.size)
        else:
            total = np.bincount(index, weights=c, minlength=rows.size)
            found[kind] = rows, np.log(total) - np.bincount(index, weights=c * np.log(c), minlength=rows.size) / total
    return found
