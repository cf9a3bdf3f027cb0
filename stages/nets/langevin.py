"""Sampling from p(x) ~ exp(-V(x)) by gradients: Langevin dynamics, its Metropolis adjustment, and jittered descent.

Articles: https://kexue.fm/archives/6331, https://kexue.fm/archives/6612; papers: Roberts & Tweedie 1996
(https://doi.org/10.2307/3318418), Du & Mordatch 2019 (https://arxiv.org/abs/1903.08689).

    Langevin   x' = x - (eps/2) grad V(x) + sqrt(eps) xi,    xi ~ N(0, I)
    MALA       accepts x' with probability min(1, exp[V(x) - V(x') + log q(x|x') - log q(x'|x)]),
               log q(b|a) = -|b - a + (eps/2) grad V(a)|^2 / (2 eps)
    descent    x' = box(y - step clip(grad V(y))),    y = x + noise xi

The article prints q with eps/2 times the square and a whole step of drift; the paper's repository leaves out the
square: with either the variance of a normal law in 8 dimensions is far off.
The number: MALA's variance of that law within 3 % of 1; without adjustment it is 1/(1 - eps/4).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

Potential = Callable[[torch.Tensor], torch.Tensor]
"""V: x [n, ...] -> [n], the sum of whose gradients is each sample's own."""


def gradient(potential: Potential, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """V(x) [n] and its gradient, shaped like `x`; neither carries a graph."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        value = potential(x)
        (slope,) = torch.autograd.grad(value.sum(), x)
    return value.detach(), slope


def langevin(potential: Potential, x: torch.Tensor, steps: int, eps: float, generator: torch.Generator) -> torch.Tensor:
    """`x` [n, ...] after `steps` of unadjusted Langevin dynamics; each row is a chain of its own."""
    for _ in range(steps):
        x = x - eps / 2 * gradient(potential, x)[1] + eps**0.5 * _normal(x, generator)
    return x.detach()


def mala(
    potential: Potential, x: torch.Tensor, steps: int, eps: float, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """`x` [n, ...] after `steps` of adjusted Langevin dynamics, and the share of proposals accepted (0-dim)."""
    value, slope = gradient(potential, x)
    accepted = torch.zeros((), device=x.device)
    for _ in range(steps):
        proposed = x - eps / 2 * slope + eps**0.5 * _normal(x, generator)
        value_there, slope_there = gradient(potential, proposed)
        back = log_proposal(x, proposed, slope_there, eps) - log_proposal(proposed, x, slope, eps)
        chance = torch.rand(len(x), generator=generator, device=x.device)
        taken = chance.log() < value - value_there + back  # [n]
        wide = taken.view(-1, *[1] * (x.dim() - 1))
        x, slope = torch.where(wide, proposed, x), torch.where(wide, slope_there, slope)
        value = torch.where(taken, value_there, value)
        accepted += taken.float().mean() / steps
    return x.detach(), accepted


def log_proposal(b: torch.Tensor, a: torch.Tensor, slope: torch.Tensor, eps: float) -> torch.Tensor:
    """log q(b|a) up to a constant, from `slope` = grad V(a); all [n, ...] -> [n]."""
    return -(b - a + eps / 2 * slope).flatten(1).square().sum(1) / (2 * eps)


@dataclass(frozen=True)
class Descent:
    """Params of jittered descent. Langevin dynamics at temperature 1 is step eps/2, noise sqrt(eps), clip 0."""

    steps: int
    step: float  # times the gradient
    noise: float  # standard deviation
    clip: float  # most that an entry of the gradient counts, either way; 0 for no limit
    low: float  # samples stay in [low, high]
    high: float

    @property
    def temperature(self) -> float:
        """That of the law exp(-V/T) of which small steps without clip are Langevin dynamics: noise^2 / (2 step)."""
        return self.noise**2 / (2 * self.step)


def descend(
    potential: Potential,
    x: torch.Tensor,
    descent: Descent,
    generator: torch.Generator,
    known: torch.Tensor | None = None,
) -> torch.Tensor:
    """`x` [n, ...] after `descent.steps`; noise comes first, so that a sample is as clean as a step makes it.

    Where `known`, a mask that fits `x`, is true, `x` stays as it is: a sample of the rest given these.
    """
    limit, given = descent.clip or float("inf"), x

    def kept(x: torch.Tensor) -> torch.Tensor:
        return x if known is None else torch.where(known, given, x)

    for _ in range(descent.steps):
        x = kept(x + descent.noise * _normal(x, generator))
        x = x - descent.step * gradient(potential, x)[1].clamp(-limit, limit)
        x = kept(x.clamp(descent.low, descent.high))
    return x.detach()


def _normal(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
