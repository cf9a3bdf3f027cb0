"""What it costs to lay the left edge of one piece at the right edge of another: lower is better.

Article: https://kexue.fm/archives/3134. R_i is the last column of pixels of i, L_j the first of j:

    d^2(i, j) = sum_y (R_i[y] - L_j[y])^2

Every cost is a function of the right and the left edges, both [n, height, depth], the pixels at the cut first, and
gives [n, n]. Turned pieces (`across`) have their bottom and top where others have their right and left.
"""

from __future__ import annotations

import numpy as np

from stages.core.params import Choices

DEPTH = 4  # columns that a cost may look at


def sides(ink: np.ndarray, depth: int = DEPTH) -> tuple[np.ndarray, np.ndarray]:
    """The right and the left edges of `ink` [n, height, width], outermost first: two of [n, height, depth]."""
    return ink[:, :, : -depth - 1 : -1], ink[:, :, :depth]


def across(ink: np.ndarray) -> np.ndarray:
    """The pieces turned so that the bottom is where the right edge was: [n, width, height]."""
    return ink.transpose(0, 2, 1)


def distance(right: np.ndarray, left: np.ndarray) -> np.ndarray:
    """The article's d^2."""
    return _squares(right[:, :, 0], left[:, :, 0])


def smooth(right: np.ndarray, left: np.ndarray) -> np.ndarray:
    """Half of d^2, and half of d^2 of edges smoothed along the cut by [1, 2, 1] / 4: strokes that slant."""
    return 0.5 * distance(right, left) + 0.5 * _squares(_smoothed(right[:, :, 0]), _smoothed(left[:, :, 0]))


def columns(right: np.ndarray, left: np.ndarray) -> np.ndarray:
    """d^2 between what each side, continued by its slope, expects at the cut."""
    ahead = np.clip(1.5 * right[:, :, 0] - 0.5 * right[:, :, 1], 0, 1)
    behind = np.clip(1.5 * left[:, :, 0] - 0.5 * left[:, :, 1], 0, 1)
    return _squares(ahead, behind)


def absolute(right: np.ndarray, left: np.ndarray) -> np.ndarray:
    """The sum of absolute differences."""
    return np.stack([np.abs(row - left[:, :, 0]).sum(axis=1) for row in right[:, :, 0]])


def correlation(right: np.ndarray, left: np.ndarray) -> np.ndarray:
    """1 less Pearson's correlation, the article's choice for photographs; an edge of one colour costs 1."""
    return 1 - _unit(right[:, :, 0], centred=True) @ _unit(left[:, :, 0], centred=True).T


def cross_correlation(right: np.ndarray, left: np.ndarray) -> np.ndarray:
    """1 less the normalised cross-correlation, without taking means away."""
    return 1 - _unit(right[:, :, 0], centred=False) @ _unit(left[:, :, 0], centred=False).T


COSTS: Choices = {
    "distance": distance,
    "smooth": smooth,
    "columns": columns,
    "absolute": absolute,
    "correlation": correlation,
    "cross_correlation": cross_correlation,
}


def _squares(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = a.astype(np.float64), b.astype(np.float64)
    return np.maximum((a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T, 0)


def _smoothed(edge: np.ndarray) -> np.ndarray:
    padded = np.pad(edge, ((0, 0), (1, 1)), mode="edge")
    return (padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]) / 4


def _unit(edge: np.ndarray, centred: bool) -> np.ndarray:
    edge = edge - edge.mean(axis=1, keepdims=True) if centred else edge
    norm = np.linalg.norm(edge, axis=1, keepdims=True)
    return np.divide(edge, norm, out=np.zeros_like(edge), where=norm > 1e-6)
