"""What is known of walks and path integrals in closed form.

Articles: https://kexue.fm/archives/2573, https://kexue.fm/archives/2609, https://kexue.fm/archives/3750. B is Brownian
motion of variance α a unit of time; u(x) = E_x[...] begins at x.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import special, stats

from stages.core.errors import Refusal


def law(n: int) -> tuple[np.ndarray, np.ndarray]:
    """The places that S_n can have, -n, -n + 2, ..., n, and their probabilities."""
    return np.arange(-n, n + 1, 2), stats.binom.pmf(np.arange(n + 1), n, 0.5)


def reached(n: int, a: int) -> float:
    """P(max_{m <= n} S_m >= a), a >= 0: P(S_n >= a) + P(S_n > a), by reflection at a."""
    places, p = law(n)
    return float(p[places >= a].sum() + p[places > a].sum())


def returned(n: int) -> float:
    """P(S_n = 0): C(n, n / 2) / 2^n, and 0 for odd n."""
    return float(stats.binom.pmf(n // 2, n, 0.5)) if n % 2 == 0 else 0.0


def ruin(p: float, a: int, b: int) -> float:
    """P(a is hit before -b) by steps up with probability p: (1 - (q/p)^b) / (1 - (q/p)^(a + b)); b / (a + b) at 1/2.

    Raises `Refusal` for p outside (0, 1).
    """
    if not 0 < p < 1:
        raise Refusal(f"a step goes up with probability {p}: it must be between 0 and 1")
    if p == 0.5:
        return b / (a + b)
    log = math.log((1 - p) / p)
    return math.expm1(b * log) / math.expm1((a + b) * log)


def ruin_time(a: int, b: int) -> float:
    """The mean time until a or -b, of even steps: a b."""
    return float(a * b)


def cubic_return() -> float:
    """P(a walk on the cubic lattice ever comes back) = 1 - 1/u, u = √6 / (32 π^3) Γ(1/24) Γ(5/24) Γ(7/24) Γ(11/24).

    Watson 1939 (https://doi.org/10.1093/qmath/os-10.1.266) and Glasser & Zucker 1977.
    """
    u = math.sqrt(6) / (32 * math.pi**3) * math.prod(math.gamma(i / 24) for i in (1, 5, 7, 11))
    return 1 - 1 / u


def arcsine(n: int) -> np.ndarray:
    """P(2k of 2n steps lie on the positive side), k = 0, ..., n: C(2k, k) C(2n - 2k, n - k) / 4^n."""
    k = np.arange(n + 1)

    def log_middle(k: np.ndarray) -> np.ndarray:
        return special.gammaln(2 * k + 1) - 2 * special.gammaln(k + 1)

    return np.exp(log_middle(k) + log_middle(n - k) - n * math.log(4))


def ornstein_uhlenbeck(x: float, t: float, theta: float, alpha: float) -> tuple[float, float]:
    """Mean and variance at t of dx = -θ x dt + √α dW from x."""
    return x * math.exp(-theta * t), alpha * -math.expm1(-2 * theta * t) / (2 * theta)


def harmonic(x: float, t: float, w: float, alpha: float) -> float:
    """E_x exp(-(w^2/2) ∫ B^2) = cosh(w √α t)^(-1/2) exp(-(w x^2 / (2 √α)) tanh(w √α t))."""
    root = math.sqrt(alpha)
    return math.cosh(w * root * t) ** -0.5 * math.exp(-w * x * x / (2 * root) * math.tanh(w * root * t))


def linear(x: float, t: float, k: float, alpha: float) -> float:
    """E_x exp(-k ∫ B) = exp(-k x t + α k^2 t^3 / 6)."""
    return math.exp(-k * x * t + alpha * k * k * t**3 / 6)


def occupation(t: float, rate: float) -> float:
    """E_0 exp(-l ∫ 1{B > 0}) = exp(-l t / 2) I_0(l t / 2) (Kac)."""
    return float(special.i0e(rate * t / 2))


def mehler(x: np.ndarray, y: np.ndarray, t: float, w: float) -> np.ndarray:
    """The kernel of exp(-(w^2/2) ∫ B^2) from x to y, α = 1, where `x` and `y` broadcast.

    √(w / (2 π sinh w t)) exp(-(w / (2 sinh w t)) ((x^2 + y^2) cosh w t - 2 x y)); its ground energy is w / 2.
    """
    sinh, cosh = math.sinh(w * t), math.cosh(w * t)
    return math.sqrt(w / (2 * math.pi * sinh)) * np.exp(-w / (2 * sinh) * ((x**2 + y**2) * cosh - 2 * x * y))


def geometric(t: float, mu: float, sigma: float) -> tuple[float, float]:
    """Mean and variance of log S_t / S_0 of geometric Brownian motion: (μ - σ^2 / 2) t and σ^2 t."""
    return (mu - sigma**2 / 2) * t, sigma**2 * t


def gaussian(x: np.ndarray, t: float, alpha: float) -> np.ndarray:
    """The density N(0, α t) at `x`: the limit of the walk, and the diffusion kernel."""
    return stats.norm.pdf(x, scale=math.sqrt(alpha * t))
