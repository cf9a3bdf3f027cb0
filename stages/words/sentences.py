"""Example sentences of terms: found by position in the encoded corpus, read from the documents in one pass.

The encoding drops punctuation but keeps every character of the alphabet in order, so the k-th such character of the
corpus is the k-th of the documents: positions become places in the text by counting, with no search for the term.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from stages.core import tables
from stages.words import alphabets
from stages.words.encoded import Encoded

ENDS = np.array([ord(c) for c in "。！？!?；;\n\r"], dtype=np.uint32)
ROOM = 60  # characters of context on each side of a term, at most
USUAL = 40  # characters of a sentence that reads well
LOOKED_AT = 5  # documents whose first sentence with the term is looked at
CHUNK = 1 << 22


def occurrences(ids: np.ndarray, documents: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first tokens with each of the ids `wanted` (distinct) in the first documents that hold it.

    `ids` and `documents` are those of the tokens, documents ascending. Returns (index in `wanted`, token), sorted by
    index and token, at most LOOKED_AT for each.
    """
    size = int(max(ids.max(initial=-1), wanted.max(initial=-1))) + 2
    index = np.full(size, -1, dtype=np.int64)
    index[wanted] = np.arange(wanted.size)
    tokens = np.flatnonzero(index[ids] >= 0)
    _, first = np.unique(index[ids[tokens]] << 32 | documents[tokens], return_index=True)
    tokens = tokens[first]
    found = index[ids[tokens]]
    rank = np.arange(found.size) - np.searchsorted(found, found)
    return found[rank < LOOKED_AT], tokens[rank < LOOKED_AT]


def read(corpus: Encoded, documents: Path, alphabet: str, places: np.ndarray, lengths: np.ndarray) -> list[str]:
    """The sentence around each of `places` (positions among the ids), cut to ROOM characters beside `lengths`."""
    order = np.argsort(places, kind="stable")
    ranks = _ranks(corpus, places[order])
    inside, texts, seen = alphabets.members(alphabet), [""] * places.size, 0
    for batch in tables.batches(documents, ["text"], rows=1024):
        text = "\n".join(batch.column(0).drop_null().to_pylist()) + "\n"
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
        characters = np.flatnonzero(inside[codes])
        mine = slice(*np.searchsorted(ranks, (seen, seen + characters.size)))
        at = characters[ranks[mine] - seen]
        last = characters[np.minimum(ranks[mine] - seen + lengths[order[mine]], characters.size) - 1] + 1
        ends = np.append(np.flatnonzero(np.isin(codes, ENDS)), codes.size)
        begin = np.append(-1, ends)[np.searchsorted(ends, at)] + 1
        end = ends[np.searchsorted(ends, last)] + 1
        begin, end = np.maximum(begin, at - ROOM), np.minimum(end, last + ROOM)
        for i, a, b in zip(order[mine].tolist(), begin.tolist(), end.tolist(), strict=True):
            texts[i] = text[a:b].strip()
        seen += characters.size
    return texts


def examples(index: np.ndarray, sentences: list[str], terms: int, most: int) -> pa.Array:
    """For each of `terms` the `most` sentences whose length is nearest to USUAL, list<string>; no sentence twice."""
    lengths = np.array([len(sentence) for sentence in sentences], dtype=np.int64)
    order = np.lexsort((np.arange(index.size), np.abs(lengths - USUAL), index)) if index.size else index
    chosen: list[list[str]] = [[] for _ in range(terms)]
    for i in order.tolist():
        held = chosen[index[i]]
        if len(held) < most and sentences[i] not in held:
            held.append(sentences[i])
    return pa.array(chosen, pa.list_(pa.string()))


def _ranks(corpus: Encoded, places: np.ndarray) -> np.ndarray:
    """How many characters of the alphabet stand before each of `places` (ascending)."""
    ranks, zeros = places.copy(), 0
    for begin, end in corpus.chunks(CHUNK):
        empty = np.flatnonzero(corpus.read(begin, end) == 0) + begin
        mine = slice(*np.searchsorted(places, (begin, end)))
        ranks[mine] -= zeros + np.searchsorted(empty, places[mine])
        zeros += empty.size
    return ranks
