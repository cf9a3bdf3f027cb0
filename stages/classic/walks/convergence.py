"""How fast walks become Gaussian and slices exact, and one density by three ways.

Articles: https://kexue.fm/archives/2573, https://kexue.fm/archives/2609, https://kexue.fm/archives/3757.

    sup |F_n - Φ| = 1 / sqrt(2 π n), with a correction by half a step 0.0272 / n
    |cos(w / √n)^n - e^(-w^2/2)| = 0.18 / n at most, for w from -4 to 4

The number: the double well's density by walkers, by differences and by slices is one within 1 % (L1).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import stats

from stages.classic.walks import diffusion, exact, grid

SIZES = np.array([160, 320, 640, 1280, 2560])  # steps of walks
POINTS, HALF = 601, 6.0  # of the grid for Mehler's kernel
W, T = 1.0, 1.0


def gap(n: int, shift: float) -> float:
    """sup over the lattice of |F_n(k) - Φ((k + shift) / √n)|, `shift` 1 being half of the lattice's spacing."""
    places, p = exact.law(n)
    return float(np.abs(p.cumsum() - stats.norm.cdf((places + shift) / n**0.5)).max())


def orders() -> Iterator[tuple[str, float, float, float]]:
    """(what, value, target, how far off it may be)."""
    for shift, name, order, constant, within in (
        (0.0, "plain", -0.5, 0.399, 0.002),
        (1.0, "corrected", -1.0, 0.0272, 5e-4),
    ):
        gaps = np.array([gap(int(n), shift) for n in SIZES])
        slope = np.polyfit(np.log(SIZES), np.log(gaps), 1)[0]
        yield f"order of the {name} normal limit", float(slope), order, 0.01 if shift == 0 else 0.02
        yield f"its constant, {name}", float(gaps[-1] * SIZES[-1] ** -order), constant, within
    w, n = np.linspace(-4, 4, 2001), 1000
    yield (
        "constant of the limit of cos(w/√n)^n",
        float(n * np.abs(np.cos(w / n**0.5) ** n - np.exp(-(w**2) / 2)).max()),
        0.18,
        0.005,
    )
    x = np.linspace(-HALF, HALF, POINTS)
    truth = exact.mehler(x[:, None], x, T, W)
    for split, ratio, within in (("lie", 2.0, 0.15), ("strang", 4.0, 0.3)):
        errors = [np.abs(grid.slices(x, W**2 * x**2 / 2, T, n, 1.0, split) - truth).max() for n in (16, 32)]
        yield f"error of {split}'s slices, halved in time", float(errors[0] / errors[1]), ratio, within
    yield "ground energy of an oscillator", grid.ground_energy(x, W**2 * x**2 / 2, 8.0, 400, 1.0), W / 2, 1e-3


def well(x: np.ndarray) -> np.ndarray:
    """The drift x - x^3, down the double well x^4 / 4 - x^2 / 2."""
    return x - x**3


def wells(walkers: int, generator: np.random.Generator) -> dict[str, np.ndarray]:
    """The share in cells of 0.2 at t = 1 in a double well, α = 0.5, from N(0, 0.09): by three ways."""
    alpha, t, width, each = 0.5, 1.0, 0.3, 20
    x = (np.arange(30 * each) - 15 * each + 0.5) * (0.2 / each)  # `each` points a cell
    start = stats.norm.pdf(x, scale=width)
    differences = grid.fokker_planck(x, well(0.5 * (x[1:] + x[:-1])), start, t, 400, alpha)
    factor = np.exp((x**2 / 2 - x**4 / 4) / alpha)  # ξ
    v = grid.drift_potential(well(x), 1 - 3 * x**2, alpha)
    phi = np.linalg.matrix_power(grid.kernel(x, v, t / 64, alpha), 64) @ (start / factor)
    ends, _ = diffusion.euler(width * generator.standard_normal(walkers), t, 100, alpha, well, generator)
    counts = np.histogram(ends, np.linspace(-3, 3, 31))[0]
    return {
        "x": x.reshape(-1, each).mean(1),
        "walk": counts / walkers,
        "differences": differences.reshape(-1, each).sum(1) * (0.2 / each),
        "slices": (phi * factor).reshape(-1, each).sum(1) * (0.2 / each),
        "error": np.sqrt(counts * (1 - counts / walkers)) / walkers,
    }
