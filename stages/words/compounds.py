"""Terms of several words: runs of neighbouring words of a cut corpus, with all that a ranking asks of them.

Article: https://kexue.fm/archives/6540 stops at words; 上下文 / 管理器 is a term of two.

    grams of 1..order words, each with count >= least                                (a priori: both parts are frequent)
    cohesion  = min over splits of ln( N c(w) / (c(l) c(r)) )     as solidity (archive 6920), with words as characters
    freedom   = entropy of the word before and after, every edge of a piece is one symbol
    net count = count - max count of a gram that is longer by one word

A gram is known by its first occurrence, so its parts are read off there and no look-up of parts is needed. The
number: 9 million words (57 MB of law) in about 25 s on one core, 60 bytes of memory a word.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stages.words.dictionary import Cut


@dataclass(frozen=True)
class Grams:
    """The grams of n words, [m] each; `ids` [tokens] int32 is the gram that starts at each token, -1 for none."""

    n: int
    ids: np.ndarray
    keys: np.ndarray  # id of the first n - 1 words << 32 | last word
    first: np.ndarray  # token of the first occurrence
    counts: np.ndarray


@dataclass(frozen=True)
class Candidates:
    """All grams in one list, words first, [m] each; `grams` are the same by n."""

    grams: list[Grams]
    parts: np.ndarray  # [m, order] words, -1 behind the last
    counts: np.ndarray
    general: np.ndarray  # count in the general corpus
    documents: np.ndarray
    net: np.ndarray
    cohesion: np.ndarray  # nats, inf for single words
    freedom: np.ndarray  # the smaller of both entropies, nats


def candidates(domain: Cut, documents: np.ndarray, general: Cut | None, order: int, least: int) -> Candidates:
    """The grams of `domain`, whose tokens stand in `documents` [tokens]; longer ones with count >= `least`."""
    joined = domain.joined()
    grams = [words(domain)]
    for _ in range(order - 1):
        longer = extended(grams[-1], domain.rows, joined, least)
        if longer.counts.size == 0:
            break
        grams.append(longer)
    net = [gram.counts.copy() for gram in grams]
    for shorter, longer, held in zip(grams, grams[1:], net, strict=False):
        most = np.zeros(held.size, dtype=held.dtype)
        for part in (shorter.ids[longer.first], shorter.ids[longer.first + 1]):
            np.maximum.at(most, part, longer.counts)
        held -= most
    parts = np.full((sum(gram.counts.size for gram in grams), order), -1, dtype=np.int32)
    at = 0
    for gram in grams:
        here = slice(at, at + gram.counts.size)
        if gram.n == 1:
            parts[here, 0] = np.arange(gram.counts.size)
        else:
            parts[here, : gram.n] = domain.rows[gram.first[:, None] + np.arange(gram.n)]
        at += gram.counts.size
    return Candidates(
        grams,
        parts,
        np.concatenate([gram.counts for gram in grams]),
        np.concatenate(occurrences(grams, general)),
        np.concatenate([distinct(gram, documents) for gram in grams]),
        np.concatenate(net),
        np.concatenate([cohesion(grams, gram, domain.rows.size) for gram in grams]),
        np.concatenate([freedom(gram, domain.rows, joined) for gram in grams]),
    )


def words(cut: Cut) -> Grams:
    """The words of a cut as grams of one."""
    return Grams(1, cut.rows, np.arange(cut.lengths.size - 1), np.empty(0, dtype=np.int64), cut.counts())


def extended(grams: Grams, rows: np.ndarray, joined: np.ndarray, least: int) -> Grams:
    """The grams that are longer by a word and occur `least` times."""
    n, places = grams.n + 1, _places(grams.ids, rows, joined, grams.n)
    keys = grams.ids[places].astype(np.int64) << 32 | rows[places + grams.n]
    distinct_keys, first, which, counts = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
    enough = counts >= least
    renumbered = np.where(enough, np.cumsum(enough) - 1, -1)
    ids = np.full(rows.size, -1, dtype=np.int32)
    ids[places] = renumbered[which]
    return Grams(n, ids, distinct_keys[enough], places[first[enough]], counts[enough])


def occurrences(grams: list[Grams], other: Cut | None) -> list[np.ndarray]:
    """How often the grams occur in another corpus, cut with the same dictionary; zeros where there is none."""
    if other is None:
        return [np.zeros(gram.counts.size, dtype=np.int64) for gram in grams]
    ids, joined, found = other.rows, other.joined(), [other.counts()]
    for gram in grams[1:]:
        places = _places(ids, other.rows, joined, gram.n - 1)
        keys = ids[places].astype(np.int64) << 32 | other.rows[places + gram.n - 1]
        place = np.minimum(np.searchsorted(gram.keys, keys), gram.keys.size - 1)
        known = gram.keys[place] == keys
        ids = np.full(other.rows.size, -1, dtype=np.int32)
        ids[places[known]] = place[known]
        found.append(np.bincount(place[known], minlength=gram.keys.size))
    return found


def _places(ids: np.ndarray, rows: np.ndarray, joined: np.ndarray, n: int) -> np.ndarray:
    """Tokens where a gram of n words starts, is followed by a word in the same piece, and ends in a gram of n."""
    if rows.size <= n:
        return np.empty(0, dtype=np.int64)
    good = (ids[:-n] >= 0) & joined[n - 1 : -1] & (rows[n:] >= 0)
    good &= ids[1 : rows.size - n + 1] >= 0
    return np.flatnonzero(good)


def distinct(grams: Grams, documents: np.ndarray) -> np.ndarray:
    """In how many documents each gram occurs."""
    there = np.flatnonzero(grams.ids >= 0)
    pairs = np.unique(grams.ids[there].astype(np.int64) << 32 | documents[there])
    return np.bincount(pairs >> 32, minlength=grams.counts.size)


def cohesion(grams: list[Grams], gram: Grams, tokens: int) -> np.ndarray:
    """min over splits of ln( N c(w) / (c(l) c(r)) ) in nats; inf for single words."""
    lowest = np.full(gram.counts.size, np.inf)
    for s in range(1, gram.n):
        left, right = grams[s - 1], grams[gram.n - s - 1]
        parts = np.log(left.counts[left.ids[gram.first]]) + np.log(right.counts[right.ids[gram.first + s]])
        np.minimum(lowest, np.log(tokens) + np.log(gram.counts) - parts, out=lowest)
    return lowest


def freedom(grams: Grams, rows: np.ndarray, joined: np.ndarray) -> np.ndarray:
    """The smaller of the entropies of the word before and the word after each gram, nats."""
    edge = -2  # -1 is a character in no word
    there = np.flatnonzero(grams.ids >= 0)
    before, after = there - 1, there + grams.n
    left = np.where((before >= 0) & joined[before], rows[before], edge)
    right = np.where(joined[after - 1], rows[np.minimum(after, rows.size - 1)], edge)
    return np.minimum(*(_entropy(grams.ids[there], side, grams.counts.size) for side in (left, right)))


def _entropy(ids: np.ndarray, beside: np.ndarray, size: int) -> np.ndarray:
    keys, counts = np.unique(ids.astype(np.int64) << 32 | (beside.astype(np.int64) + 2), return_counts=True)
    index = keys >> 32
    total = np.maximum(np.bincount(index, counts, size), 1)
    return np.log(total) - np.bincount(index, counts * np.log(counts), size) / total
