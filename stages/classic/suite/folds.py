"""The protocol: the same folds for all, what is measured on each, and which differences are more than chance.

Papers: Nadeau and Bengio 2003 (the corrected t-test); Guo et al. 2017, https://arxiv.org/abs/1706.04599 (calibration).

    t = mean d / sqrt((1 / J + n_test / n_train) var d)     over the J differences d of two models on the same folds
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import stats

BINS = 10
"""Of confidence, for the calibration error."""


def stratified(y: np.ndarray, folds: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(train, test) of each fold, every class in its share: the samples of a class are dealt out in drawn order."""
    chance = np.random.default_rng(seed)
    drawn = chance.permutation(len(y))
    fold = np.empty(len(y), dtype=np.int64)
    fold[drawn[np.argsort(y[drawn], kind="stable")]] = np.arange(len(y)) % folds
    for k in range(folds):
        yield np.flatnonzero(fold != k), np.flatnonzero(fold == k)


def scores(p: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """accuracy, macro_f1, log_loss (nats) and calibration (expected error, BINS bins) of probabilities [n, classes]."""
    said, n = p.argmax(1), len(y)
    classes = np.arange(p.shape[1])
    right = said == y
    hit = np.array([(right & (y == k)).sum() for k in classes])
    both = np.array([(said == k).sum() + (y == k).sum() for k in classes])
    sure = p.max(1)
    place = np.minimum((sure * BINS).astype(int), BINS - 1)
    gap = np.bincount(place, sure - right, BINS)
    return {
        "accuracy": float(right.mean()),
        "macro_f1": float((2 * hit / np.maximum(both, 1))[both > 0].mean()),
        "log_loss": float(-np.log(np.maximum(p[np.arange(n), y], np.finfo(float).eps)).mean()),
        "calibration": float(np.abs(gap).sum() / n),
    }


def corrected(a: np.ndarray, b: np.ndarray, test: float) -> float:
    """The p-value of two models' scores on the same folds, of which a share `test` of the samples is the test part."""
    d = a - b
    spread = d.var(ddof=1) * (1 / len(d) + test / (1 - test))
    if spread == 0:
        return 1.0 if d.mean() == 0 else 0.0
    return float(2 * stats.t.sf(abs(d.mean()) / spread**0.5, len(d) - 1))
