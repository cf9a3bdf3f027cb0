"""Walks with drift, and expectations along them.

Articles: https://kexue.fm/archives/3750, https://kexue.fm/archives/3757.

    right with probability (1 + p(x) ds / α) / 2, else left, every dt = ds^2 / α:    dx = p dt + √α dW as ds -> 0
    u(x, T) = E_x[g(X_T) exp(-∫ v(X_s) ds)]    solves    u_t = (α / 2) u_xx + p u_x - v u    (Feynman and Kac)

The number: by the trapezoid rule with 20 steps the weight exp(-(w^2/2) ∫ B^2) is within its standard error, where the
left end of each step would be off by ten (systems row `walks`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import numpy as np

from stages.classic.walks.estimate import Estimate, estimate
from stages.core.errors import Refusal

Function = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Ends:
    """Where walkers stop, or turn back; None for nowhere."""

    low: float | None = None
    high: float | None = None
    absorbing: bool = True


FREE = Ends()


def nowhere(x: np.ndarray) -> np.ndarray:
    """No drift, and no potential."""
    return np.zeros_like(x)


def one(x: np.ndarray) -> np.ndarray:
    """The same end for all."""
    return np.ones_like(x)


def walk(
    x: np.ndarray, t: float, ds: float, alpha: float, drift: Function, generator: np.random.Generator
) -> np.ndarray:
    """Where the walkers that begin at `x` [n] are at t, on the lattice of spacing `ds`.

    Raises `Refusal` for α or t that is not above 0, and where the rule asks for a probability outside [0, 1].
    """
    _checked(t, alpha)
    place, dt = np.array(x, dtype=np.float64), ds * ds / alpha
    for _ in range(round(t / dt)):
        lean = drift(place) * (ds / alpha)
        worst = np.abs(lean).max()
        if not worst <= 1:
            raise Refusal(f"a step of {ds} is too wide for this drift: take ds of at most {ds / worst:.3g}")
        place += np.where(generator.random(len(place)) < 0.5 * (1 + lean), ds, -ds)
    return place


def euler(
    x: np.ndarray,
    t: float,
    steps: int,
    alpha: float,
    drift: Function,
    generator: np.random.Generator,
    ends: Ends = FREE,
) -> tuple[np.ndarray, np.ndarray]:
    """Where they are by steps of Gaussians, [n], and which are still on their way.

    A walker is absorbed also between two steps, by the probability exp(-2 (a - x)(a - y) / (α dt)) that a bridge from x
    to y crosses a; reflected walkers are folded back. Raises `Refusal` as `walk` does.
    """
    _checked(t, alpha)
    place, dt = np.array(x, dtype=np.float64), t / steps
    alive = np.ones(len(place), dtype=bool)
    for _ in range(steps):
        new = place + drift(place) * dt + sqrt(alpha * dt) * generator.standard_normal(len(place))
        for end, side in ((ends.low, 1.0), (ends.high, -1.0)):
            if end is None:
                continue
            before, after = side * (place - end), side * (new - end)
            if ends.absorbing:
                crossed = np.exp(-2 * np.maximum(before, 0) * np.maximum(after, 0) / (alpha * dt))
                alive &= generator.random(len(place)) >= crossed
            else:
                new = end + side * np.abs(after)
        place = new
    return place, alive


def feynman_kac(
    x: float,
    t: float,
    steps: int,
    walkers: int,
    alpha: float,
    potential: Function,
    generator: np.random.Generator,
    end: Function = one,
    drift: Function = nowhere,
    rule: str = "trapezoid",
) -> Estimate:
    """u(x, t), by pairs of walkers whose noise has opposite signs; ∫ v by the trapezoid rule, or the `left` ends.

    Raises `Refusal` for α or t not above 0, fewer than two walkers, and values that are no numbers.
    """
    _checked(t, alpha)
    if walkers < 2:
        raise Refusal(f"{walkers} walkers: they go in pairs, so take two at least")
    dt = t / steps
    place = np.full((walkers // 2, 2), float(x))
    value = potential(place)
    total = np.zeros_like(place)
    for _ in range(steps):
        noise = sqrt(alpha * dt) * generator.standard_normal(len(place))[:, None]
        place = place + drift(place) * dt + noise * np.array([1.0, -1.0])
        new = potential(place)
        total += value if rule == "left" else 0.5 * (value + new)
        value = new
    return estimate(end(place) * np.exp(-dt * total))


def _checked(t: float, alpha: float) -> None:
    if not alpha > 0 or not t > 0:
        raise Refusal(f"a walk of variance {alpha} a unit of time and length {t}: both must be above 0")
