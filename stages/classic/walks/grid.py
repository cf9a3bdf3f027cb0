"""Path integrals by slices of time, and the same equation by differences.

Articles: https://kexue.fm/archives/2609, https://kexue.fm/archives/3757.

    u_t = (α / 2) u_xx - v u
    Strang   K(x, y) = exp(-dt v(x) / 2) N(x - y; α dt) exp(-dt v(y) / 2)      off by dt^2
    Lie      K(x, y) = N(x - y; α dt) exp(-dt v(y))                             off by dt
    u(T) = (K dy)^n u(0)        ground energy: -log(u(2T) / u(T)) / T

With drift p: P_t = (α / 2) P_xx - (p P)_x, and P = φ ξ with ξ = exp(∫ p dx / α) has φ_t = (α / 2) φ_xx - v φ,
v = (p_x + p^2 / α) / 2. The number: halving dt divides the error by 4, of Lie's kernel by 2 (systems row `walks`).
"""

from __future__ import annotations

import numpy as np
from scipy import sparse, stats
from scipy.sparse import linalg as sparse_linalg

from stages.core.errors import Refusal


def kernel(x: np.ndarray, v: np.ndarray, dt: float, alpha: float, split: str = "strang") -> np.ndarray:
    """K [n, n] between the points `x` [n], at even distances, for the potential `v` [n] there, with their weights.

    Raises `Refusal` where the points are too far apart for `dt`: two of them a deviation are needed.
    """
    spacing = x[1] - x[0]
    deviation = np.sqrt(alpha * dt)
    if spacing > 0.75 * deviation:
        raise Refusal(
            f"points {spacing:.3g} apart see nothing of steps of {deviation:.3g}: take more points or larger dt"
        )
    free = stats.norm.pdf(x[:, None] - x, scale=deviation) * spacing
    if split == "lie":
        return free * np.exp(-dt * v)
    half = np.exp(-0.5 * dt * v)
    return half[:, None] * free * half


def slices(x: np.ndarray, v: np.ndarray, t: float, n: int, alpha: float, split: str = "strang") -> np.ndarray:
    """The density of paths from each point to each, [points, points], by n slices of time t."""
    return np.linalg.matrix_power(kernel(x, v, t / n, alpha, split), n) / (x[1] - x[0])


def ground_energy(x: np.ndarray, v: np.ndarray, t: float, n: int, alpha: float) -> float:
    """-log(u(2t) / u(t)) / t for u(0) = 1."""
    step = kernel(x, v, t / n, alpha)
    half = np.linalg.matrix_power(step, n) @ np.ones_like(x)
    whole = np.linalg.matrix_power(step, 2 * n) @ np.ones_like(x)
    return float(-np.log(whole.sum() / half.sum()) / t)


def crank_nicolson(x: np.ndarray, v: np.ndarray, u: np.ndarray, t: float, steps: int, alpha: float) -> np.ndarray:
    """u [n] at t by differences of second order, 0 beyond both ends; the first step is four implicit quarters.

    Those calm what a peaked beginning sets swinging (Rannacher 1984).
    """
    n, spacing = len(x), x[1] - x[0]
    side = np.full(n - 1, alpha / (2 * spacing**2))
    generator = sparse.diags([side, -alpha / spacing**2 - v, side], [-1, 0, 1], format="csc")
    return _stepped(generator, u, t, steps)


def fokker_planck(x: np.ndarray, p: np.ndarray, start: np.ndarray, t: float, steps: int, alpha: float) -> np.ndarray:
    """The density [n] at t of dx = p dt + √α dW, `p` [n - 1] being the drift half-way between points.

    Fluxes between points, which keep the mass; none through the ends.
    """
    n, spacing = len(x), x[1] - x[0]
    forward = (alpha / (2 * spacing) + p / 2) / spacing  # from point i to i + 1
    back = (alpha / (2 * spacing) - p / 2) / spacing
    loss = np.zeros(n)
    loss[:-1] += forward
    loss[1:] += back
    return _stepped(sparse.diags([forward, -loss, back], [-1, 0, 1], format="csc"), start, t, steps)


def drift_potential(p: np.ndarray, slope: np.ndarray, alpha: float) -> np.ndarray:
    """v of the equation for φ, for drift `p` and its derivative `slope` at the points."""
    return 0.5 * (slope + p**2 / alpha)


def _stepped(generator: sparse.csc_matrix, u: np.ndarray, t: float, steps: int) -> np.ndarray:
    dt, same = t / steps, sparse.identity(generator.shape[0], format="csc")
    quarter = sparse_linalg.splu(same - dt / 4 * generator)
    for _ in range(4):
        u = quarter.solve(u)
    ahead = sparse_linalg.splu(same - dt / 2 * generator)
    for _ in range(steps - 1):
        u = ahead.solve(u + dt / 2 * (generator @ u))
    return u
