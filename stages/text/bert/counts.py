"""What counts alone know of a hidden character c: how frequent it is, who comes before it, who stands on both sides.

unigram       p(c)
bigram        p(c | a), a before it
neighbours    p(c | a, b) ~ p(c | a) p(b | c), b after it: a chain of characters, seen from both ends
p(b | a) = (n(a, b) + s p(b)) / (n(a) + s)       smoothed by how frequent b is
"""

from __future__ import annotations

import numpy as np

SMOOTHING = 5.0  # s, characters; the best of 1, 2, 5, 10 on the embedded encyclopedia


class Counts:
    """Counts of the rows [n, length] of a corpus, [PAD] at the end of each, over a vocabulary of `size`."""

    def __init__(self, rows: np.ndarray, size: int, least: int) -> None:
        """Only tokens from `least` on are guessed."""
        self.least = least
        single = np.bincount(rows[rows >= least], minlength=size) + 1.0 * (np.arange(size) >= least)
        self.frequency = single / single.sum()  # [size]
        pairs = rows[:, :-1] * size + rows[:, 1:]
        there = (rows[:, :-1] > 0) & (rows[:, 1:] > 0)
        counts = np.bincount(pairs[there], minlength=size * size).reshape(size, size)
        smoothed = counts + SMOOTHING * np.maximum(self.frequency, 1e-9)
        self.log_next = np.log(smoothed / smoothed.sum(1, keepdims=True)).astype(np.float32)  # [a, b]

    def unigram(self, n: int) -> np.ndarray:
        """log p of every token at each of `n` places, [n, size]."""
        with np.errstate(divide="ignore"):
            return np.broadcast_to(np.log(self.frequency), (n, len(self.frequency)))

    def bigram(self, before: np.ndarray, mask: int) -> np.ndarray:
        """log p of every token after `before` [n], [n, size]; one that is `mask` tells nothing."""
        unknown = np.log(np.maximum(self.frequency, 1e-9))
        return self._normalised(np.where((before == mask)[:, None], unknown, self.log_next[before]))

    def neighbours(self, before: np.ndarray, after: np.ndarray, mask: int) -> np.ndarray:
        """log p of every token between `before` and `after` [n], [n, size]; one that is `mask` tells nothing."""
        known = np.where((after == mask)[:, None], 0.0, self.log_next[:, after].T)
        return self._normalised(self.bigram(before, mask) + known)

    def _normalised(self, known: np.ndarray) -> np.ndarray:
        known[:, : self.least] = -np.inf
        most = known.max(1, keepdims=True)
        return known - most - np.log(np.exp(known - most).sum(1, keepdims=True))
