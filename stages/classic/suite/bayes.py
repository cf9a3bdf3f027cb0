"""Naive Bayes: features independent given the class, so that log-odds are linear in them (or in counts of them).

Article: https://kexue.fm/archives/4271.

    log P(y | x) = log P(y) + sum_j log P(x_j | y) + constant

    gaussian       x_j ~ N(mean, variance), each variance raised by FLOOR times the largest variance of a feature
    multinomial    P(x | y) ~ prod_j p_jy^x_j,  p_jy = (count_jy + alpha) / (count_y + alpha d)
    bernoulli      x_j > 0 or not,              p_jy = (documents_jy + alpha) / (documents_y + 2 alpha)

The number: joint logarithms equal to scikit-learn's to 1e-8 (tests/classic/test_suite.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import special

FLOOR = 1e-9

Joint = Callable[[np.ndarray], np.ndarray]
"""Samples [n, d] -> log P(x, y) [n, classes]."""


@dataclass(frozen=True)
class Bayes:
    """A joint law of features and classes."""

    joint: Joint
    size: int  # numbers it has learnt

    def probabilities(self, x: np.ndarray) -> np.ndarray:
        """P(y | x), [n, classes]."""
        return special.softmax(self.joint(x), axis=1)


def gaussian(x: np.ndarray, y: np.ndarray, classes: int) -> Bayes:
    """From samples [n, d] and classes [n] 0.. `classes` - 1."""
    share, of = _shares(y, classes)
    mean = of @ x / of.sum(1, keepdims=True)  # [classes, d]
    spread = np.stack([x[y == k].var(0) for k in range(classes)]) + FLOOR * x.var(0).max()

    def joint(x: np.ndarray) -> np.ndarray:
        off = (x[:, None] - mean) ** 2 / spread  # [n, classes, d]
        return share - 0.5 * (off + np.log(2 * np.pi * spread)).sum(2)

    return Bayes(joint, mean.size + spread.size + classes)


def multinomial(x: np.ndarray, y: np.ndarray, classes: int, alpha: float = 1.0) -> Bayes:
    """From counts [n, d], none below 0."""
    share, of = _shares(y, classes)
    counts = of @ x + alpha
    weights = np.log(counts) - np.log(counts.sum(1, keepdims=True))  # [classes, d]
    return Bayes(lambda x: share + x @ weights.T, weights.size + classes)


def bernoulli(x: np.ndarray, y: np.ndarray, classes: int, alpha: float = 1.0) -> Bayes:
    """From anything [n, d]: what is above 0 is there."""
    share, of = _shares(y, classes)
    p = (of @ (x > 0) + alpha) / (of.sum(1, keepdims=True) + 2 * alpha)
    there, absent = np.log(p), np.log1p(-p)
    return Bayes(lambda x: share + (x > 0) @ (there - absent).T + absent.sum(1), p.size + classes)


def _shares(y: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """log P(y) [classes], and which sample is of which class, [classes, n]."""
    of = (y == np.arange(classes)[:, None]).astype(float)
    with np.errstate(divide="ignore"):
        return np.log(of.mean(1)), of
