"""Functions of one variable: what a feature is worth, and what high degrees do outside the training points.

Article: https://kexue.fm/archives/3331.

    y = x^2 + x on [-2, 2]      a line explains 15/31 of the variance; with t = x^2 it explains all
    y = sin(2 pi x) + noise     polynomials of degree 3, 9, 13 through 15 points, and a perceptron with weight decay
"""

from __future__ import annotations

import numpy as np

from stages.classic.essay.perceptron import Perceptron, Shape, Training, fit

DEGREES = (3, 9, 13)
POINTS, NOISE = 15, 0.2


def explained(features: np.ndarray, y: np.ndarray) -> float:
    """R^2 of least squares on features [n, d] and a constant."""
    x = np.concatenate([features, np.ones((len(y), 1))], 1)
    off = y - x @ np.linalg.lstsq(x, y, rcond=None)[0]
    return float(1 - off.var() / y.var())


def parabola(seed: int) -> dict[str, float]:
    """line, with_feature (R^2) and mlp_rmse of y = x^2 + x."""
    chance = np.random.default_rng(seed)
    x = chance.uniform(-2, 2, 2000)[:, None]
    y = (x**2 + x)[:, 0]
    net = Perceptron(Shape((1, 16, 1), "tanh"), chance)
    fit(net, x, y[:, None], "squared", Training(150, 64, 2e-2), chance)
    new = chance.uniform(-2, 2, 2000)[:, None]
    off = net.forward(new)[:, 0] - (new**2 + new)[:, 0]
    return {
        "line": explained(x, y),
        "with_feature": explained(np.concatenate([x, x**2], 1), y),
        "mlp_rmse": float((off**2).mean() ** 0.5),
    }


def draw(chance: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """POINTS of a sine's period with noise: x ascending in [0, 1], and y."""
    x = np.sort(chance.uniform(0, 1, POINTS))
    return x, np.sin(2 * np.pi * x) + NOISE * chance.normal(size=POINTS)


def polynomial(x: np.ndarray, y: np.ndarray, degree: int) -> np.polynomial.Polynomial:
    """The least squares polynomial."""
    return np.polynomial.Polynomial.fit(x, y, degree, domain=[0, 1])


def noisy_sine(seed: int) -> dict[str, float]:
    """Training and test errors (mean squares) of the polynomials, and the test error of a perceptron, for one draw."""
    chance = np.random.default_rng(seed)
    x, y = draw(chance)
    new = np.linspace(0, 1, 200)
    true, found = np.sin(2 * np.pi * new), {}
    for degree in DEGREES:
        p = polynomial(x, y, degree)
        found[f"degree_{degree}_train"] = float(((p(x) - y) ** 2).mean())
        found[f"degree_{degree}_test"] = float(((p(new) - true) ** 2).mean())
    net = Perceptron(Shape((1, 32, 1), "tanh"), chance)
    fit(net, 4 * x[:, None] - 2, y[:, None], "squared", Training(1500, POINTS, 1e-2, 0.3), chance)
    return found | {"mlp_test": float(((net.forward(4 * new[:, None] - 2)[:, 0] - true) ** 2).mean())}
