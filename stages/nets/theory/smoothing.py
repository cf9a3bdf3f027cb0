"""Smooth functions against quadrature of the convolution, piece by piece, and against torch's own.

Article: https://kexue.fm/archives/8718.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch.nn import functional

from stages.nets import smoothing
from stages.nets.smoothing import GAUSSIAN, LOGISTIC, Kernel, Piecewise, clip, leaky, ramp, smooth, stairs

Function = Callable[[np.ndarray], np.ndarray]

PLACES, WEIGHTS = np.polynomial.legendre.leggauss(200)
REACH = 40.0  # widths; beyond it the densities are below 1e-17
WIDTH = 0.3
POINTS = np.linspace(-6, 6, 61)

DENSITIES: dict[str, tuple[Kernel, Function]] = {
    "gaussian": (GAUSSIAN, lambda u: np.exp(-u * u / 2) / math.sqrt(2 * math.pi)),
    "logistic": (LOGISTIC, lambda u: 0.25 / np.cosh(u / 2) ** 2),
}

CASES: dict[str, tuple[Piecewise, Function, Sequence[float]]] = {
    "relu": (leaky(0.0), lambda y: np.maximum(y, 0), [0]),
    **{f"leaky {a}": (leaky(a), lambda y, a=a: np.where(y > 0, y, a * y), [0]) for a in (-0.5, 0.01, 0.25, 2.0)},
    "clip": (clip(-1.0, 2.0), lambda y: np.clip(y, -1, 2), [-1, 2]),
    "absolute": (leaky(-1.0), np.abs, [0]),
    "sign": (smoothing.SIGN, np.sign, [0]),
    "floor": (stairs(-30, 30), np.floor, list(range(-30, 31))),
}
"""The recipe, the function by numpy, and its knots."""


def quadrature(f: Function, knots: Sequence[float], x: float, width: float, density: Function) -> float:
    """The integral of f(y) φ_h(x - y), by Gauss's rule, 200 nodes on each of 8 pieces or more, cut at knots."""
    low, high = x - REACH * width, x + REACH * width
    edges = np.array(sorted({low, high, *np.linspace(low, high, 9), *(k for k in knots if low < k < high)}))
    middle, half = (edges[1:] + edges[:-1]) / 2, (edges[1:] - edges[:-1]) / 2
    y = middle[:, None] + half[:, None] * PLACES  # [pieces, nodes]
    return float((half[:, None] * WEIGHTS * f(y) * density((x - y) / width) / width).sum())


def measure(seed: int) -> dict[str, float]:
    """Errors of the closed forms, of the bounds and of the identities, and the article's floor."""
    found: dict[str, float] = {}
    x = torch.from_numpy(POINTS)
    for name, (kernel, density) in DENSITIES.items():
        off = []
        for spec, f, knots in CASES.values():
            true = np.array([quadrature(f, knots, at, WIDTH, density) for at in POINTS])
            off.append(np.abs(smooth(spec, x, WIDTH, kernel).numpy() - true).max())
        found[f"{name}_off"] = float(max(off))
    line = torch.linspace(-6, 6, 4001, dtype=torch.float64)  # 0 is among them
    over = {name: (ramp(line, 1.0, kernel) - line.relu()).max().item() for name, (kernel, _) in DENSITIES.items()}
    found["gaussian_sup_off"] = abs(over["gaussian"] - 1 / math.sqrt(2 * math.pi))
    found["logistic_sup_off"] = abs(over["logistic"] - math.log(2))
    drawn = torch.randn(1000, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    found["identities_off"] = max(_identities(drawn))
    found |= _floor()
    trick = line * smoothing.step(line, 1.0)
    falls = {"convolution": ramp(line, 1.0), "trick": trick}
    return found | {f"{name}_falls": (-g.diff()).max().clamp(min=0).item() for name, g in falls.items()}


def _identities(x: torch.Tensor) -> list[float]:
    """Distances from functions that torch has, of numbers [n]."""
    pairs = [
        (ramp(x, 1.0, LOGISTIC), functional.softplus(x, threshold=50)),
        (x * smoothing.step(x, 1.0, GAUSSIAN), functional.gelu(x)),
        (x * smoothing.step(x, 1.0, LOGISTIC), functional.silu(x)),
        (smooth(leaky(1.0), x, 1.0), x),
        (smoothing.smooth_max(x, x.flip(0), 0.5, LOGISTIC), 0.5 * torch.stack([2 * x, 2 * x.flip(0)]).logsumexp(0)),
    ]
    return [(ours - theirs).abs().max().item() for ours, theirs in pairs]


def _floor() -> dict[str, float]:
    """The article's floor, M = 5 and N = 10 on [-4, 9], t = 1 / h: σ(-t / 10) off at 0.1 from a jump, and so on."""
    x = torch.linspace(-4, 9, 13001, dtype=torch.float64, requires_grad=True)
    near = torch.tensor([2.9], dtype=torch.float64)
    means, errors, slopes = {}, [], []
    for t in (10, 20, 50, 100):
        y = smooth(stairs(-5, 10), x, 1 / t, LOGISTIC)
        (slope,) = torch.autograd.grad(y.sum(), x)
        error = smooth(stairs(-5, 10), near, 1 / t, LOGISTIC).item() - 2
        errors.append(abs(error - 1 / (1 + math.exp(t / 10))))
        slopes.append(abs(slope.max().item() / (t / 4) - 1))
        means[t] = (y - x.floor()).abs().mean().item()
    off = max(abs(mean - 2 * math.log(2) / t) for t, mean in means.items() if t > 10)
    return {
        "floor_near_off": max(errors),
        "floor_slope_off": max(slopes),
        "floor_mean_10": means[10],
        "floor_mean_off": off,
    }
