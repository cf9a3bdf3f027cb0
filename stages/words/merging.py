"""Which neighbours to merge into a word: what a merge takes off the information per character.

Article: https://kexue.fm/archives/5476 (minimum entropy, part II).

    L = H / l,     H = - sum p_w ln p_w  nats a word,     l = sum p_w len(w)  characters a word
    merging a, b (a != b):   L' = L - F_ab / l,
    F_ab = p_ab ln(p_ab / (p_a p_b)) - (1 - p_ab) ln(1 - p_ab) + sum over i in {a, b} of (p_i - p_ab) ln(1 - p_ab / p_i)

F_ab >= p_ab (PMI - 1), so a pair with PMI > 1 is always worth merging; the bound is where that rule comes from. The
identity is exact: after the merge a, b and ab occur c_a - c_ab, c_b - c_ab and c_ab times among N - c_ab words.
"""

from __future__ import annotations

import numpy as np


def per_character(counts: np.ndarray, lengths: np.ndarray) -> tuple[float, float, float]:
    """(H nats a word, l characters a word, L = H / l nats a character) of words with `counts` and `lengths`."""
    p = counts / counts.sum()
    entropy = -float(_plogp(p).sum())
    length = float((p * lengths).sum())
    return entropy, length, entropy / length


def gain(p_ab: np.ndarray, p_a: np.ndarray, p_b: np.ndarray) -> np.ndarray:
    """F_ab in nats, of pairs of different words with p_ab <= min(p_a, p_b); arrays or numbers."""
    rest = sum(_plogp(p - p_ab) - _plogp(p) for p in (np.asarray(p_a), np.asarray(p_b)))
    return _plogp(np.asarray(p_ab)) - _plogp(1 - np.asarray(p_ab)) + rest


def bound(p_ab: np.ndarray, p_a: np.ndarray, p_b: np.ndarray) -> np.ndarray:
    """p_ab (PMI - 1) in nats, which F_ab never falls below."""
    return p_ab * (np.log(p_ab / (p_a * p_b)) - 1)


def pairs(ids: np.ndarray, joined: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct neighbours (a, b) with a != b, [m, 2], and how often each occurs, [m].

    `ids` [n] are the words of a text, `joined` [n] tells whether the next one follows in the same sentence.
    """
    there = np.flatnonzero(joined[:-1] & (ids[:-1] != ids[1:]))
    keys, counts = np.unique(ids[there].astype(np.int64) << 32 | ids[there + 1], return_counts=True)
    return np.stack([keys >> 32, keys & 0xFFFFFFFF], axis=1), counts


def best_pair(ids: np.ndarray, joined: np.ndarray) -> tuple[tuple[int, int], float]:
    """The pair with the largest F_ab and that F_ab. Raises ValueError for a text without a pair."""
    found, together = pairs(ids, joined)
    if together.size == 0:
        raise ValueError("the text has no two different words beside each other")
    counts = np.bincount(ids)
    gains = gain(together / ids.size, counts[found[:, 0]] / ids.size, counts[found[:, 1]] / ids.size)
    best = int(np.argmax(gains))
    return (int(found[best, 0]), int(found[best, 1])), float(gains[best])


def merge(ids: np.ndarray, joined: np.ndarray, pair: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The text with every neighbouring `pair` (a != b) as one new word, numbered behind all others: (ids, joined)."""
    first = np.flatnonzero((ids[:-1] == pair[0]) & (ids[1:] == pair[1]) & joined[:-1])
    merged, follows = ids.copy(), joined.copy()
    merged[first] = ids.max() + 1
    follows[first] = joined[first + 1]
    return np.delete(merged, first + 1), np.delete(follows, first + 1)


def _plogp(p: np.ndarray) -> np.ndarray:
    return np.where(p > 0, p * np.log(np.where(p > 0, p, 1)), 0.0)
