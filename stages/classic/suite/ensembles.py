"""Many models as one: what lowers variance (bagging), what fits residuals (boosting), what weighs models (stacking).

Article: https://kexue.fm/archives/4271; Breiman 1996, 2001; Freund and Schapire 1997 (for k classes Zhu et al. 2009,
SAMME); Friedman 2001; Wolpert 1992.

    forest      mean of trees, each on a bootstrap sample, each node on some of the features (all: bagging)
    adaboost    tree on weights w; alpha = log((1 - e) / e) + log(k - 1); w of what was wrong times exp(alpha)
    boosting    F += rate * tree(residuals y - softmax F), each leaf by a Newton step
    voting      mean of the members' probabilities
    stacking    softmax on the members' probabilities for samples that they had not seen (out of fold)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from scipy import special

from stages.classic.suite.folds import stratified
from stages.classic.suite.softmax import softmax
from stages.classic.suite.tree import Bins, Tree, grow


class Model(Protocol):
    """What tells classes apart."""

    @property
    def size(self) -> int:
        """Numbers it has learnt."""

    def probabilities(self, x: np.ndarray) -> np.ndarray:
        """P(y | x), [n, classes], of samples [n, d]."""


Fit = Callable[[np.ndarray, np.ndarray, int], Model]
"""(samples [n, d], classes [n], how many classes there are) -> model."""


@dataclass(frozen=True)
class Trees:
    """Trees on one set of bins, and how their values become probabilities."""

    bins: Bins
    trees: Sequence[Tree]
    combined: Callable[[list[np.ndarray]], np.ndarray]
    losses: tuple[float, ...] = field(default=())  # on the training set, after each tree, where it was kept

    @property
    def size(self) -> int:
        """Two numbers a question, k a leaf."""
        return sum(2 * len(tree.feature) + tree.value.size for tree in self.trees)

    def probabilities(self, x: np.ndarray) -> np.ndarray:
        """P(y | x), [n, classes]."""
        codes = self.bins.codes(x)
        return self.combined([tree.predict(codes) for tree in self.trees])


def decision_tree(x: np.ndarray, y: np.ndarray, classes: int) -> Trees:
    """One tree, grown until leaves are pure."""
    bins = Bins.of(x)
    return Trees(bins, [grow(bins.codes(x), np.eye(classes)[y])], _mean)


def forest(
    x: np.ndarray, y: np.ndarray, classes: int, trees: int = 50, features: float | None = None, seed: int = 0
) -> Trees:
    """Trees on samples drawn with replacement; each node looks at sqrt(d) features, or at that share of them."""
    chance, n, d = np.random.default_rng(seed), len(x), x.shape[1]
    tried = max(1, int(d**0.5 if features is None else features * d))
    bins, targets = Bins.of(x), np.eye(classes)[y]
    codes, grown = bins.codes(x), []
    for _ in range(trees):
        drawn = np.bincount(chance.integers(n, size=n), minlength=n)
        there = np.flatnonzero(drawn)
        grown.append(grow(codes[there], targets[there], drawn[there].astype(float), features=tried, chance=chance))
    return Trees(bins, grown, _mean)


def bagging(x: np.ndarray, y: np.ndarray, classes: int, trees: int = 50, seed: int = 0) -> Trees:
    """A forest whose nodes look at all features."""
    return forest(x, y, classes, trees, 1.0, seed)


def adaboost(x: np.ndarray, y: np.ndarray, classes: int, trees: int = 50, depth: int = 2) -> Trees:
    """Small trees, each on what those before got wrong; `losses` are the mean exponential losses."""
    bins, targets = Bins.of(x), np.eye(classes)[y]
    codes, weight = bins.codes(x), np.full(len(y), 1 / len(y))
    grown: list[Tree] = []
    alphas: list[float] = []
    losses: list[float] = []
    vote = np.zeros(targets.shape)
    for _ in range(trees):
        tree = grow(codes, targets, weight, depth)
        said = tree.predict(codes).argmax(1)
        wrong = said != y
        error = weight[wrong].sum() / weight.sum()
        if error >= 1 - 1 / classes:
            break  # no better than chance: weights cannot help
        alpha = float(np.log((1 - error) / max(error, 1e-10)) + np.log(classes - 1))
        grown.append(tree)
        alphas.append(alpha)
        vote += alpha * (np.eye(classes)[said] - 1 / classes)
        losses.append(float(np.exp(-vote[np.arange(len(y)), y] / (1 - 1 / classes) / 2).mean()))
        if error == 0:
            break
        weight = weight * np.exp(alpha * wrong)
        weight /= weight.sum()

    def combined(values: list[np.ndarray]) -> np.ndarray:
        votes = sum(alpha * np.eye(classes)[value.argmax(1)] for alpha, value in zip(alphas, values, strict=True))
        return special.softmax(votes / sum(alphas) * classes, axis=1)

    return Trees(bins, grown, combined, tuple(losses))


def boosting(x: np.ndarray, y: np.ndarray, classes: int, trees: int = 40, depth: int = 3, rate: float = 0.3) -> Trees:
    """Trees of all classes' residuals at once; `losses` are the training cross entropies."""
    bins, targets = Bins.of(x), np.eye(classes)[y]
    codes, grown, losses = bins.codes(x), [], []
    score = np.log(np.maximum(targets.mean(0), 1e-12)) + np.zeros(targets.shape)
    start = score[0]
    for _ in range(trees):
        p = special.softmax(score, axis=1)
        tree = grow(codes, targets - p, depth=depth)
        leaf = tree.leaf(codes)
        many = len(tree.value)
        slope, curve = (
            np.stack([np.bincount(leaf, part[:, j], many) for j in range(classes)], 1)
            for part in (targets - p, p * (1 - p))
        )
        tree = Tree(tree.feature, tree.above, tree.left, tree.right, rate * slope / (curve + 1.0), tree.depth)
        score = score + tree.value[leaf]
        grown.append(tree)
        losses.append(float(-np.log(special.softmax(score, axis=1)[np.arange(len(y)), y]).mean()))
    return Trees(bins, grown, lambda values: special.softmax(start + sum(values), axis=1), tuple(losses))


@dataclass(frozen=True)
class Combined:
    """Members, and how their probabilities [members, n, classes] become one."""

    members: Sequence[Model]
    combine: Callable[[np.ndarray], np.ndarray]
    own: int = 0  # numbers learnt to combine them

    @property
    def size(self) -> int:
        """Those of the members, and its own."""
        return self.own + sum(member.size for member in self.members)

    def probabilities(self, x: np.ndarray) -> np.ndarray:
        """P(y | x), [n, classes]."""
        return self.combine(np.stack([member.probabilities(x) for member in self.members]))


def voting(x: np.ndarray, y: np.ndarray, classes: int, members: Sequence[Fit]) -> Combined:
    """The mean of the members."""
    return Combined([fit(x, y, classes) for fit in members], lambda each: each.mean(0))


def stacking(
    x: np.ndarray, y: np.ndarray, classes: int, members: Sequence[Fit], folds: int = 5, seed: int = 0
) -> Combined:
    """Softmax on what members say of samples they were not fitted on; then they are fitted on all."""
    seen = np.zeros((len(y), len(members) * classes))
    for train, test in stratified(y, folds, seed):
        seen[test] = np.concatenate([fit(x[train], y[train], classes).probabilities(x[test]) for fit in members], 1)
    top = softmax(seen, y, classes, 1e-2)

    def combine(each: np.ndarray) -> np.ndarray:
        return top.probabilities(np.concatenate(list(each), 1))

    return Combined([fit(x, y, classes) for fit in members], combine, top.size)


def _mean(values: list[np.ndarray]) -> np.ndarray:
    return np.mean(values, 0)
