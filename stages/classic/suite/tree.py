"""A tree of questions "is feature j above c?", grown level by level on features cut into bins.

Article: https://kexue.fm/archives/4271; Breiman et al. 1984. One tree serves all: a leaf holds the weighted mean of its
targets t [n, k], and a split is taken where it lowers the weighted squared error the most, that is, raises

    sum over both sides of |sum w t|^2 / sum w

For targets that are one of k classes (rows of the identity) this is Gini's impurity; for residuals it is boosting's.

The numbers: the splits are those of an exhaustive search, and accuracy is within a point of scikit-learn's trees
(tests/classic/test_suite.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BINS = 256
LEAST = 1e-10
"""The least gain that a split is taken for."""


@dataclass(frozen=True)
class Bins:
    """Where the features of a training set are cut; values between two that occur go to the nearer one."""

    edges: tuple[np.ndarray, ...]  # of each feature, ascending

    @classmethod
    def of(cls, x: np.ndarray) -> Bins:
        """Halfway between values that occur, or between quantiles where more than BINS do; x [n, d]."""
        found = []
        for column in x.T:
            values = np.unique(column)
            if len(values) > BINS:
                values = np.unique(np.quantile(column, np.linspace(0, 1, BINS), method="nearest"))
            found.append((values[1:] + values[:-1]) / 2)
        return cls(tuple(found))

    def codes(self, x: np.ndarray) -> np.ndarray:
        """How many edges of its feature lie below each value, int64 [n, d]."""
        return np.stack([np.searchsorted(edges, c, side="left") for edges, c in zip(self.edges, x.T, strict=True)], 1)


@dataclass(frozen=True)
class Tree:
    """Nodes in order of depth; a leaf leads to itself."""

    feature: np.ndarray  # int64 [nodes]
    above: np.ndarray  # int64 [nodes], codes above this go right
    left: np.ndarray  # int64 [nodes]
    right: np.ndarray  # int64 [nodes]
    value: np.ndarray  # [nodes, k]
    depth: int

    def leaf(self, codes: np.ndarray) -> np.ndarray:
        """The leaf that each row of codes [n, d] falls into, [n]."""
        at, rows = np.zeros(len(codes), dtype=np.int64), np.arange(len(codes))
        for _ in range(self.depth):
            right = codes[rows, self.feature[at]] > self.above[at]
            at = np.where(right, self.right[at], self.left[at])
        return at

    def predict(self, codes: np.ndarray) -> np.ndarray:
        """The values of the leaves, [n, k]."""
        return self.value[self.leaf(codes)]


def grow(
    codes: np.ndarray,
    targets: np.ndarray,
    weights: np.ndarray | None = None,
    depth: int = 64,
    features: int | None = None,
    chance: np.random.Generator | None = None,
) -> Tree:
    """A tree for codes [n, d], targets [n, k] and weights [n], of at most `depth` questions one after another.

    With `features` each node looks only at so many of them, drawn by `chance`.
    """
    n, d = codes.shape
    weights = np.ones(n) if weights is None else weights
    tried = d if features is None else min(features, d)
    bins = int(codes.max(initial=0)) + 1
    t = np.concatenate([weights[:, None], weights[:, None] * targets], 1)  # [n, 1 + k]
    at = np.zeros(n, dtype=np.int64)  # place of each row's node on this level; -1 once in a leaf
    levels: list[tuple[np.ndarray, ...]] = []
    first, value = 0, t.sum(0)[None]
    for level in range(depth + 1):
        nodes = len(value)
        split = np.zeros(nodes, dtype=bool)
        place, above = np.zeros(nodes, dtype=np.int64), np.zeros(nodes, dtype=np.int64)
        rows = np.flatnonzero(at >= 0)
        if level < depth and len(rows):
            if tried < d and chance is not None:
                chosen = np.sort(chance.permuted(np.tile(np.arange(d), (nodes, 1)), axis=1)[:, :tried], axis=1)
            else:
                chosen = np.tile(np.arange(d), (nodes, 1))
            gain, place, above = _best(codes, t, rows, at[rows], chosen, bins)
            split = gain > LEAST * max(1.0, t[:, 0].sum())
        number = np.cumsum(split) - 1  # among those that split
        me = first + np.arange(nodes)
        left = np.where(split, first + nodes + 2 * number, me)
        right = np.where(split, first + nodes + 2 * number + 1, me)
        levels.append((place, above, left, right, value))
        if not split.any():
            break
        node = at[rows]
        goes = split[node]
        rows, node = rows[goes], node[goes]
        at[:] = -1
        at[rows] = 2 * number[node] + (codes[rows, place[node]] > above[node])
        first += nodes
        many = 2 * int(split.sum())
        value = np.stack([np.bincount(at[rows], t[rows, j], many) for j in range(t.shape[1])], 1)
    feature, above, left, right, sums = (np.concatenate(parts) for parts in zip(*levels, strict=True))
    return Tree(feature, above, left, right, sums[:, 1:] / np.maximum(sums[:, :1], 1e-300), len(levels) - 1)


def _best(
    codes: np.ndarray, t: np.ndarray, rows: np.ndarray, node: np.ndarray, chosen: np.ndarray, bins: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The gain of each node's best split, its feature, and the code that still goes left; of equals the first.

    `rows` are the samples that are in a node yet, `node` [rows] which, `chosen` [nodes, m] the features it looks at.
    """
    nodes, m = chosen.shape
    code = codes[rows[:, None], chosen[node]]  # [rows, m]
    cell = ((node[:, None] * m + np.arange(m)) * bins + code).ravel()
    held = [np.bincount(cell, np.repeat(t[rows, j], m), nodes * m * bins) for j in range(t.shape[1])]
    left = np.stack(held, 1).reshape(nodes, m, bins, -1).cumsum(2)  # [nodes, m, bins, 1 + k]
    whole = left[:, :, -1:]
    gain = _square(left) + _square(whole - left) - _square(whole)
    count = np.bincount(cell, minlength=nodes * m * bins).reshape(nodes, m, bins).cumsum(2)
    gain[(count == 0) | (count == count[:, :, -1:])] = -np.inf  # nothing on one side
    best = gain.reshape(nodes, -1).argmax(1)
    feature = chosen[np.arange(nodes), best // bins]
    return gain.reshape(nodes, -1)[np.arange(nodes), best], feature, best % bins


def _square(sums: np.ndarray) -> np.ndarray:
    """|sum w t|^2 / sum w."""
    return (sums[..., 1:] ** 2).sum(-1) / np.maximum(sums[..., 0], 1e-300)
