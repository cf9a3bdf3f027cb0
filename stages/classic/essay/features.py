"""Features that are found: an autoencoder's code against principal components, and letters told from their background.

Article: https://kexue.fm/archives/3331: what must pass through few numbers keeps what is shared apart from what varies.
A code is judged by what it reconstructs and by how well a linear probe (multi-class logistic regression) reads it:
these are two things.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from stages.classic.essay.perceptron import Perceptron, Shape, Training, fit, one_hot
from stages.classic.suite.softmax import softmax

SIDE = 16
"""Pixels of a letter's picture."""


def autoencoder(x: np.ndarray, code: int, hidden: int, how: Training, seed: int) -> Perceptron:
    """d -> hidden -> code -> hidden -> d, fitted to give x [n, d] back; two layers make the code, before tanh."""
    chance = np.random.default_rng(seed)
    d = x.shape[1]
    net = Perceptron(Shape((d, hidden, code, hidden, d), "tanh"), chance)
    fit(net, x, x, "squared", how, chance)
    return net


def coded(net: Perceptron, x: np.ndarray) -> np.ndarray:
    """The code [n, code] of an autoencoder."""
    return np.tanh(net.forward(x, 2))


def components(x: np.ndarray, code: int) -> tuple[np.ndarray, np.ndarray]:
    """The mean [d] and the first principal components [code, d] of x [n, d]."""
    mean = x.mean(0)
    return mean, np.linalg.svd(x - mean, full_matrices=False)[2][:code]


def probe(code: np.ndarray, y: np.ndarray, new: np.ndarray, truth: np.ndarray) -> float:
    """The accuracy of logistic regression on a standardised code, on samples that it has not seen."""
    mean, spread = code.mean(0), code.std(0) + 1e-12
    model = softmax((code - mean) / spread, y, int(y.max()) + 1, 1e-4)
    return float((model.probabilities((new - mean) / spread).argmax(1) == truth).mean())


def compared(
    train: np.ndarray, y: np.ndarray, test: np.ndarray, truth: np.ndarray, code: int, how: Training, seed: int
) -> dict[str, float]:
    """Squared error of a pixel and accuracy of the probe, both on the test part, by autoencoder and by components."""
    net = autoencoder(train, code, 128, how, seed)
    mean, axes = components(train, code)
    back = mean + (test - mean) @ axes.T @ axes
    return {
        "autoencoder_mse": float(((net.forward(test) - test) ** 2).mean()),
        "pca_mse": float(((back - test) ** 2).mean()),
        "autoencoder_probe": probe(coded(net, train), y, coded(net, test), truth),
        "pca_probe": probe((train - mean) @ axes.T, y, (test - mean) @ axes.T, truth),
    }


@cache
def glyphs() -> np.ndarray:
    """The 26 capital letters in 16x16 pixels, ink 1, [26, 16, 16]."""
    from PIL import Image, ImageDraw, ImageFont

    font, found = ImageFont.load_default(size=12), []
    for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ":
        page = Image.new("L", (SIDE, SIDE))
        left, top, right, bottom = font.getbbox(letter)
        place = ((SIDE - right - left) / 2, (SIDE - bottom - top) / 2)
        ImageDraw.Draw(page).text(place, letter, fill=255, font=font)
        found.append(np.asarray(page) / 255)
    return np.stack(found)


def letters(n: int, backgrounds: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pictures [n, 256] of letters shifted by up to 2 pixels on a background, with noise; the letters, the backgrounds.

    Backgrounds are the same for every `seed`.
    """
    from scipy.ndimage import gaussian_filter

    fixed = np.random.default_rng(0)
    behind = np.stack([gaussian_filter(fixed.normal(size=(SIDE, SIDE)), 1.5) for _ in range(backgrounds)])
    behind = 0.5 + 0.15 * behind / behind.std((1, 2), keepdims=True)
    chance = np.random.default_rng(seed)
    y, b = chance.integers(26, size=n), chance.integers(backgrounds, size=n)
    ink = np.pad(glyphs(), ((0, 0), (2, 2), (2, 2)))  # [26, 20, 20]
    windows = np.lib.stride_tricks.sliding_window_view(ink, (SIDE, SIDE), (1, 2))  # [26, 5, 5, 16, 16]
    shifted = windows[y, chance.integers(5, size=n), chance.integers(5, size=n)]
    x = behind[b] * (1 - shifted) + shifted + 0.05 * chance.normal(size=shifted.shape)
    return x.reshape(n, -1), y, b


def letter_probes(code: int, backgrounds: int, how: Training, seed: int) -> dict[str, float]:
    """How well a code of so many numbers tells letters, by a linear probe and one of a hidden layer; and backgrounds.

    That letters lie in the code is one thing, that a plane parts them another: their shifts lie in it too.
    """
    x, y, b = letters(6000, backgrounds, seed)
    new, truth, behind = letters(2000, backgrounds, seed + 1)
    mean, spread = x.mean(0), x.std()
    net = autoencoder((x - mean) / spread, code, 256, how, seed)
    here, there = (coded(net, (each - mean) / spread) for each in (x, new))
    read = Perceptron(Shape((code, 128, 26)), np.random.default_rng(seed))
    fit(read, here, one_hot(y, 26), "cross_entropy", Training(40, 64, 5e-3), np.random.default_rng(seed))
    found = {"letter": float((read.forward(there).argmax(1) == truth).mean()), "linear": probe(here, y, there, truth)}
    return found | ({"background": probe(here, b, there, behind)} if backgrounds > 1 else {})
