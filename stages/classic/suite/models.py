"""The chain of models, each a function of samples, classes and their number: the one place where a model is added.

Article: https://kexue.fm/archives/4271.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy import special

from stages.classic.essay.perceptron import Perceptron, Shape, Training, one_hot
from stages.classic.essay.perceptron import fit as fit_perceptron
from stages.classic.suite import bayes
from stages.classic.suite.ensembles import (
    Fit,
    Model,
    adaboost,
    bagging,
    boosting,
    decision_tree,
    forest,
    stacking,
    voting,
)
from stages.classic.suite.softmax import softmax
from stages.core.errors import Refusal


@dataclass(frozen=True)
class Network:
    """A perceptron as a model."""

    net: Perceptron

    @property
    def size(self) -> int:
        """Numbers it has learnt."""
        return self.net.size

    def probabilities(self, x: np.ndarray) -> np.ndarray:
        """P(y | x), [n, classes]."""
        return special.softmax(self.net.forward(x), axis=1)


@dataclass(frozen=True)
class Scaled:
    """A model of standardised features; one that is constant counts nothing."""

    model: Model
    mean: np.ndarray
    spread: np.ndarray

    @property
    def size(self) -> int:
        """Numbers it has learnt."""
        return self.model.size + 2 * len(self.mean)

    def probabilities(self, x: np.ndarray) -> np.ndarray:
        """P(y | x), [n, classes]."""
        return self.model.probabilities((x - self.mean) / self.spread)


def scaled(x: np.ndarray, y: np.ndarray, classes: int, fit: Fit) -> Scaled:
    """`fit` on standardised samples: for what is linear, and for networks; Bayes and trees need it not."""
    mean, spread = x.mean(0), x.std(0)
    spread = np.where(spread > 0, spread, 1.0)
    return Scaled(fit((x - mean) / spread, y, classes), mean, spread)


def perceptron(x: np.ndarray, y: np.ndarray, classes: int, hidden: tuple[int, ...]) -> Network:
    """Hidden layers of these widths, cross entropy."""
    net = Perceptron(Shape((x.shape[1], *hidden, classes)), np.random.default_rng(0))
    how = Training(epochs=min(200, max(60, 60000 // len(x))), batch=64, rate=5e-3, decay=0.02)
    fit_perceptron(net, x, one_hot(y, classes), "cross_entropy", how, np.random.default_rng(1))
    return Network(net)


def _constant(x: np.ndarray, y: np.ndarray, classes: int) -> bayes.Bayes:
    share = np.log(np.maximum(np.bincount(y, minlength=classes) / len(y), 1e-12))
    return bayes.Bayes(lambda x: np.tile(share, (len(x), 1)), classes)


MEMBERS: tuple[Fit, ...] = (bayes.gaussian, partial(scaled, fit=softmax), decision_tree)
"""Of voting and stacking: three that err differently."""

MODELS: dict[str, Fit] = {
    "majority": _constant,
    "naive_bayes": bayes.gaussian,
    "logistic": partial(scaled, fit=softmax),
    "tree": decision_tree,
    "bagging": partial(bagging, trees=5),
    "forest": forest,
    "adaboost": adaboost,
    "boosting": boosting,
    "voting": partial(voting, members=MEMBERS),
    "stacking": partial(stacking, members=MEMBERS, folds=3),
    "mlp": partial(scaled, fit=partial(perceptron, hidden=(100,))),
    "mlp_3": partial(scaled, fit=partial(perceptron, hidden=(64, 64, 64))),
}
"""The chain, in the article's order."""


def predicted(fit: Fit, x: np.ndarray, y: np.ndarray, new: np.ndarray, classes: int) -> tuple[Model, np.ndarray]:
    """The model of x [n, d] and y [n], and P(y | new), [m, classes].

    Raises `Refusal` for values that are no numbers and for a class without samples.
    """
    if not (np.isfinite(x).all() and np.isfinite(new).all()):
        raise Refusal("a feature is no finite number: fill or drop the rows with NaN or infinity first")
    if np.bincount(y, minlength=classes).min() == 0:
        raise Refusal("a class has no sample to learn from: drop it, or use fewer folds")
    model = fit(x, y, classes)
    return model, model.probabilities(new)
