"""Exact counts of all character n-grams, n = 1..4, from one sort.

Articles: https://kexue.fm/archives/6920 (KenLM counts 4-grams there), https://kexue.fm/archives/4256.

    key(i) = a << 48 | b << 32 | c << 16 | d     for the ids a b c d at i, i+1, i+2, i+3, 0 after the piece's end
    c(w)   = number of keys that start with w    so one sorted list of keys holds the counts of every order

Keys are spilled by the hash of their first two ids, so that every n-gram with n >= 2 is complete in one partition
and pruning happens on exact totals; the counts of single characters come from the encoding.
The number: 35 million characters (100 MB) in about 3 s on two cores.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from stages.words.encoded import Encoded
from stages.words.parallel import Map
from stages.words.spill import BACKENDS, gather, spill

BEGIN = np.uint64(0xFFFF)  # KenLM's <s>; the end </s> is the 0 after a piece


@dataclass(frozen=True)
class Ngrams:
    """Counts of the n-grams that are frequent enough.

    `keys[n]` [m] uint64 ascending (the n ids of 16 bits each, the last one lowest) and `counts[n]` [m] int64, for
    n = 1..order; `total` is N, the number of characters counted.
    """

    keys: dict[int, np.ndarray]
    counts: dict[int, np.ndarray]
    total: int

    @property
    def order(self) -> int:
        """The largest n."""
        return max(self.keys)


@dataclass(frozen=True)
class Plan:
    """How the work is cut: positions a chunk, partitions (a power of two), how to sort, and what to keep."""

    chunk: int = 1 << 21
    partitions: int = 64
    backend: str = "numpy"
    device: str = "auto"
    order: int = 4
    min_count: int = 1


def windows(ids: np.ndarray, size: int) -> np.ndarray:
    """The keys of the first `size` positions of `ids` (uint16, [size + 3]): [size] uint64, 0s after a piece's end.

    Between pieces the key is 0.
    """
    keys = np.ndarray(size, ">u8", ids.astype(">u2"), strides=(2,)).astype(np.uint64)  # 8 bytes from each position on
    between = np.flatnonzero(ids[: size + 3] == 0)
    for n in (3, 2, 1, 0):  # what stands after the piece's end, n characters on
        places = between - n
        places = places[np.searchsorted(places, 0) : np.searchsorted(places, size)]
        keys[places] &= ~np.uint64((1 << (64 - 16 * n)) - 1)
    return keys


def count(corpus: Encoded, plan: Plan, apply: Map, scratch: Path) -> Ngrams:
    """Exact counts of all n-grams inside pieces, those below `plan.min_count` left out."""
    files = list(apply(partial(_spill_windows, corpus, plan, scratch), corpus.chunks(plan.chunk)))
    parts = list(apply(partial(_count_partition, files, plan), range(plan.partitions)))
    frequent = np.flatnonzero(corpus.frequencies >= plan.min_count)
    frequent = frequent[frequent > 0]
    keys, counts = {1: frequent.astype(np.uint64)}, {1: corpus.frequencies[frequent]}
    for n in range(2, plan.order + 1):
        keys[n], counts[n] = _ascending(
            *(np.concatenate(arrays) for arrays in zip(*(p[n] for p in parts), strict=True))
        )
    return Ngrams(keys, counts, corpus.total)


def count_prefixes_of_frequent(corpus: Encoded, plan: Plan, apply: Map, scratch: Path) -> Ngrams:
    """The author's shortcut: KenLM's padded 4-grams, pruned first, and each added to all its prefixes.

    A piece is a line "<s> <s> <s> a b c ... </s>", so its first character is counted 4 times, its first two 3 times,
    and its last two start nothing; n-grams live only on the mass of 4-grams with count >= `plan.min_count`. N is the
    mass of those 4-grams. (KenLM would also count across blanks, which end a piece here.)
    """
    files = list(apply(partial(_spill_padded, corpus, plan, scratch), corpus.chunks(plan.chunk)))
    whole = replace(plan, order=-1)
    parts = list(apply(partial(_count_partition, files, whole), range(plan.partitions)))
    keys, counts = (np.concatenate(arrays) for arrays in zip(*(p[4] for p in parts), strict=True))
    total = int(counts.sum())
    while (padded := keys >> np.uint64(48) == BEGIN).any():
        keys = np.where(padded, keys << np.uint64(16), keys)
    grams = {}
    for n in range(1, plan.order + 1):
        prefix = keys >> np.uint64(16 * (4 - n))
        there = prefix & np.uint64(0xFFFF) != 0
        distinct, inverse = np.unique(prefix[there], return_inverse=True)
        sums = np.zeros(distinct.size, dtype=np.int64)
        np.add.at(sums, inverse, counts[there])
        grams[n] = distinct, sums
    return Ngrams({n: g[0] for n, g in grams.items()}, {n: g[1] for n, g in grams.items()}, total)


def _spill_windows(corpus: Encoded, plan: Plan, scratch: Path, chunk: tuple[int, int]) -> Path:
    begin, end = chunk
    keys = windows(corpus.read(begin, end + 3), end - begin)
    return spill(keys[keys != 0], 32, plan.partitions, scratch / f"windows-{begin}")


def _spill_padded(corpus: Encoded, plan: Plan, scratch: Path, chunk: tuple[int, int]) -> Path:
    begin, end = chunk
    ids = corpus.read(begin - 1, end + 3)
    keys = windows(ids[1:], end - begin)
    first = keys[(ids[:-4] == 0) & (keys != 0)]  # a b c d at the start of a line
    keys = keys[(keys >> np.uint64(16)) & np.uint64(0xFFFF) != 0]  # at most one end symbol
    padded = [first >> np.uint64(16 * n) | _begins(n) for n in (3, 2)]
    one = first[(first >> np.uint64(32)) & np.uint64(0xFFFF) != 0]  # "<s> a b c", where there is a b
    padded.append(one >> np.uint64(16) | _begins(1))
    return spill(np.concatenate([keys, *padded]), 0, plan.partitions, scratch / f"padded-{begin}")


def _begins(n: int) -> np.uint64:
    return np.uint64(sum(0xFFFF << (16 * (3 - i)) for i in range(n)))


def _count_partition(files: list[Path], plan: Plan, partition: int) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Keys and counts of each order (only of whole 4-keys where `plan.order` is -1) in one partition, pruned."""
    keys, counts = BACKENDS[plan.backend](gather(files, plan.partitions, partition), plan.device)
    if plan.order == -1:
        enough = counts >= plan.min_count
        return {4: (keys[enough], counts[enough])}
    found = {}
    for n in range(4, 1, -1):
        if n < 4:  # merge the keys that agree in their first n ids
            keys = keys >> np.uint64(16)
            starts = np.flatnonzero(np.diff(keys, prepend=np.uint64(0)))  # no key is 0
            keys, counts = keys[starts], np.add.reduceat(counts, starts) if starts.size else counts
        enough = (counts >= plan.min_count) & (keys & np.uint64(0xFFFF) != 0)
        found[n] = keys[enough], counts[enough]
    return found


def _ascending(keys: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(keys)
    return keys[order], counts[order]
