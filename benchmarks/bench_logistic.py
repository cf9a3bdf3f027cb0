"""The analytic classifier against scikit-learn's logistic regression and gradient descent: seconds and accuracy.

    python -m benchmarks.bench_logistic

Samples of 768 features, float32, as an encoder of sentences gives them: normal about means of their class, mixed by a
random matrix, so that no feature stands alone. Of two sizes: 50,000 in 15 classes, about the article's TNEWS, and
12,133 in 119, its IFLYTEK. Gradient descent is the article's: one layer, Adam at 1e-3, batches of 32, 10 epochs
(https://kexue.fm/archives/8578).
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable

from stages.core import machine

machine.prepare(2)  # before numpy is imported

import numpy as np  # noqa: E402

from stages.classic.logistic.analytic import fit  # noqa: E402

FEATURES = 768
SIZES = ((50_000, 15), (12_133, 119))  # samples, classes


def made(n: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Samples [n, FEATURES] and labels [n] of a law that is always the same."""
    law, chance = np.random.default_rng(0), np.random.default_rng(seed)
    mixing = np.eye(FEATURES) + 0.02 * law.standard_normal((FEATURES, FEATURES))
    means = 0.08 * law.standard_normal((classes, FEATURES))
    y = chance.integers(classes, size=n)
    return ((means[y] + chance.standard_normal((n, FEATURES))) @ mixing).astype(np.float32), y


def analytic(x: np.ndarray, y: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    return fit(x, y).predict


def logistic(x: np.ndarray, y: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it has not converged after its 100 steps
        return LogisticRegression().fit(x, y).predict


def gradient(x: np.ndarray, y: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    import torch

    torch.manual_seed(0)
    data, labels, layer = torch.from_numpy(x), torch.from_numpy(y), torch.nn.Linear(FEATURES, int(y.max()) + 1)
    optimiser = torch.optim.Adam(layer.parameters(), lr=1e-3, fused=True)
    for _ in range(10):
        for rows in torch.randperm(len(x)).split(32):
            loss = torch.nn.functional.cross_entropy(layer(data[rows]), labels[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    with torch.no_grad():
        return lambda x: layer(torch.from_numpy(x)).argmax(1).numpy()


def main() -> None:
    """Print for each size a line a method: seconds, times those of the formula, accuracy on 10,000 other samples."""
    for samples, classes in SIZES:
        train, test = made(samples, classes, 1), made(10_000, classes, 2)
        print(f"{samples} samples of {FEATURES} features in {classes} classes")
        base = 0.0
        for method in (analytic, logistic, gradient):
            begin = time.perf_counter()
            predict = method(*train)
            seconds = time.perf_counter() - begin
            base = base or seconds
            right = (predict(test[0]) == test[1]).mean()
            times = f"{seconds / base:6.1f} times the formula's"
            print(f"{method.__name__:10} {seconds:7.2f} s  {times}  accuracy {right:.4f}")


if __name__ == "__main__":
    main()
