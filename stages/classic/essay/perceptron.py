"""A multi-layer perceptron whose gradient is written out by hand, in numpy.

Article: https://kexue.fm/archives/3331: linear maps and one simple non-linearity, composed.

    h_0 = x,  z_l = h_{l-1} W_l + b_l,  h_l = drop(act(norm(z_l))),  the last layer linear
    backwards  g_L = d loss / d z_L,  dW_l = h_{l-1}^T g_l,  db_l = sum g_l,
               g_{l-1} = norm'(act'(z_{l-1}) drop(g_l W_l^T))

The number: gradients are autograd's to 1e-9 (tests/classic/test_essay.py, and a claim of the row `essay`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import special

from stages.core.errors import Refusal
from stages.core.params import Choices, choose

EPS = 1e-5


def _sigmoid(z: np.ndarray, k: float) -> tuple[np.ndarray, np.ndarray]:
    s = special.expit(k * z)
    return s, k * s * (1 - s)


def _gelu(z: np.ndarray, k: float) -> tuple[np.ndarray, np.ndarray]:
    below = special.ndtr(z)
    return z * below, below + z * np.exp(-z * z / 2) / np.sqrt(2 * np.pi)


def _tanh(z: np.ndarray, k: float) -> tuple[np.ndarray, np.ndarray]:
    t = np.tanh(z)
    return t, 1 - t * t


ACTIVATIONS: Choices = {
    "step": lambda z, k: ((z > 0).astype(float), np.zeros_like(z)),
    "sigmoid": _sigmoid,
    "tanh": _tanh,
    "relu": lambda z, k: (np.maximum(z, 0), (z > 0).astype(float)),
    "gelu": _gelu,
}
"""(z, k) -> act(z) and its slope; k is the steepness of the sigmoid."""


def squared(out: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray]:
    """The mean squared error of `out` [n, d], and its gradient."""
    off = out - target
    return float((off**2).mean()), 2 * off / off.size


def cross_entropy(out: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray]:
    """The mean cross entropy of logits [n, classes] and one-hot rows, nats, and its gradient."""
    value = (special.logsumexp(out, axis=1) - (out * target).sum(1)).mean()
    return float(value), (special.softmax(out, axis=1) - target) / len(out)


LOSSES: Choices = {"squared": squared, "cross_entropy": cross_entropy}


@dataclass(frozen=True)
class Shape:
    """What a perceptron looks like."""

    sizes: tuple[int, ...]  # of the input, the hidden layers, the output
    activation: str = "relu"
    k: float = 1.0  # of the sigmoid
    norm: bool = False  # of each hidden layer's units to mean 0 and variance 1, before the activation
    dropout: float = 0.0  # share of hidden units that are left out of a step


class Perceptron:
    """`weights` are W_1, b_1, W_2, b_2, ...: float64 arrays that training changes in place."""

    def __init__(self, shape: Shape, chance: np.random.Generator) -> None:
        if len(shape.sizes) < 2 or min(shape.sizes) < 1:
            raise Refusal(f"sizes are those of input, hidden layers and output, not {list(shape.sizes)}")
        self.shape = shape
        self.act = choose(ACTIVATIONS, shape.activation, "activation")
        gain = 2.0 if shape.activation in ("relu", "gelu") else 1.0
        self.weights: list[np.ndarray] = []
        for a, b in pairwise(shape.sizes):
            self.weights += [chance.normal(size=(a, b)) * np.sqrt(gain / a), np.zeros(b)]

    @property
    def size(self) -> int:
        """Numbers it has learnt."""
        return sum(weight.size for weight in self.weights)

    def forward(self, x: np.ndarray, layers: int | None = None) -> np.ndarray:
        """The output [n, d] for x [n, sizes[0]], or what the first `layers` make of it."""
        last = len(self.weights) // 2
        for layer in range(1, (last if layers is None else layers) + 1):
            x = x @ self.weights[2 * layer - 2] + self.weights[2 * layer - 1]
            if layer < last:
                x = self.act(_normed(x)[0] if self.shape.norm else x, self.shape.k)[0]
        return x

    def gradient(
        self, x: np.ndarray, target: np.ndarray, loss: str, chance: np.random.Generator | None = None
    ) -> tuple[float, list[np.ndarray]]:
        """The loss and the gradients of `weights`; units are left out where `chance` is given."""
        layers, kept = len(self.weights) // 2, 1 - self.shape.dropout
        inputs: list[np.ndarray] = []
        back: list[Callable[[np.ndarray], np.ndarray]] = []
        for layer in range(layers):
            inputs.append(x)
            x = x @ self.weights[2 * layer] + self.weights[2 * layer + 1]
            if layer < layers - 1:
                x, step = self._hidden(x, kept, chance)
                back.append(step)
        value, g = choose(LOSSES, loss, "loss")(x, target)
        found: list[np.ndarray] = []
        for layer in reversed(range(layers)):
            found += [g.sum(0), inputs[layer].T @ g]
            if layer:
                g = back[layer - 1](g @ self.weights[2 * layer].T)
        return value, found[::-1]

    def _hidden(
        self, z: np.ndarray, kept: float, chance: np.random.Generator | None
    ) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
        """act(norm(z)) with units left out, and how a gradient goes back through it."""
        normed, spread = _normed(z) if self.shape.norm else (z, None)
        h, slope = self.act(normed, self.shape.k)
        if chance is not None and kept < 1:
            mask = (chance.random(h.shape) < kept) / kept
            h, slope = h * mask, slope * mask

        def back(g: np.ndarray) -> np.ndarray:
            g = g * slope
            if spread is None:
                return g
            return (g - g.mean(1, keepdims=True) - normed * (g * normed).mean(1, keepdims=True)) / spread

        return h, back


def _normed(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    spread = np.sqrt(z.var(1, keepdims=True) + EPS)
    return (z - z.mean(1, keepdims=True)) / spread, spread


@dataclass(frozen=True)
class Training:
    """How a perceptron is fitted: Adam, its rate falling to 0 on a line."""

    epochs: int
    batch: int = 64
    rate: float = 1e-2
    decay: float = 0.0  # of weights, not biases, a step, times the rate


def fit(
    net: Perceptron, x: np.ndarray, target: np.ndarray, loss: str, how: Training, chance: np.random.Generator
) -> list[float]:
    """Fit `net` to targets [n, d]; returns the mean loss of every epoch."""
    first, second = ([np.zeros_like(weight) for weight in net.weights] for _ in range(2))
    steps = how.epochs * -(-len(x) // how.batch)
    losses, step = [], 0
    for _ in range(how.epochs):
        order, total = chance.permutation(len(x)), 0.0
        for begin in range(0, len(x), how.batch):
            rows = order[begin : begin + how.batch]
            value, gradients = net.gradient(x[rows], target[rows], loss, chance)
            rate, step = how.rate * (1 - step / steps), step + 1
            correct = np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
            for weight, g, m, v in zip(net.weights, gradients, first, second, strict=True):
                m += 0.1 * (g - m)
                v += 0.001 * (g * g - v)
                if weight.ndim == 2:
                    weight -= rate * how.decay * weight
                weight -= rate * correct * m / (np.sqrt(v) + 1e-8)
            total += value * len(rows)
        losses.append(total / len(x))
    return losses


def one_hot(y: Sequence[int] | np.ndarray, classes: int) -> np.ndarray:
    """Rows of the identity, [n, classes]."""
    return np.eye(classes)[np.asarray(y)]
