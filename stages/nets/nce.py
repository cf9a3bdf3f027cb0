"""Noise-contrastive estimation: parameters and normaliser of an unnormalised density, by telling data from noise.

Article: https://kexue.fm/archives/5617; paper: Gutmann & Hyvärinen 2010 (https://proceedings.mlr.press/v9/gutmann10a).

    p(x) = exp(G(x)) / Z        l(x) = G(x) - c - log(k U(x))
    loss a datum = softplus(-l(x)) + sum over k noise samples of softplus(l(x')),    x' ~ U

At the optimum c = log Z for every noise U that covers the data. The article's plain form, l(x) = G(x) - c with k = 1,
finds the density ratio p/U instead: it is the same only where U is uniform, and there log Z = c - log u.
The number: a = 1, b = 0.3 of p ~ exp(-a x^2 - b x^4) within 0.04 and 0.025, log Z within 0.01 (systems row `nce`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch.nn import functional

from stages.core.errors import Refusal
from stages.core.params import Choices, choose


class Noise(Protocol):
    """A law that is easy to draw from and whose density is known."""

    def sample(self, n: int, generator: torch.Generator) -> torch.Tensor:
        """`n` independent draws, [n, ...], on the generator's device."""

    def log_prob(self, x: torch.Tensor) -> torch.Tensor:
        """The log density, or log probability, of each of `x` [n, ...]; [n]."""


@dataclass(frozen=True)
class Uniform:
    """Uniform on the box from `low` [d] to `high` [d]; samples are [n, d]."""

    low: torch.Tensor
    high: torch.Tensor

    def sample(self, n: int, generator: torch.Generator) -> torch.Tensor:
        """`n` points of the box."""
        drawn = torch.rand(n, len(self.low), generator=generator, device=generator.device, dtype=self.low.dtype)
        return self.low + (self.high - self.low) * drawn

    def log_prob(self, x: torch.Tensor) -> torch.Tensor:
        """-log of the box's volume inside, -inf outside."""
        inside = ((x >= self.low) & (x <= self.high)).all(dim=1)
        return torch.where(inside, -torch.log(self.high - self.low).sum(), -math.inf)


@dataclass(frozen=True)
class Normal:
    """Independent normals with `mean` [d] and standard deviation `scale` [d]; samples are [n, d]."""

    mean: torch.Tensor
    scale: torch.Tensor

    def sample(self, n: int, generator: torch.Generator) -> torch.Tensor:
        """`n` points."""
        drawn = torch.randn(n, len(self.mean), generator=generator, device=generator.device, dtype=self.mean.dtype)
        return self.mean + self.scale * drawn

    def log_prob(self, x: torch.Tensor) -> torch.Tensor:
        """The log density."""
        return torch.distributions.Normal(self.mean, self.scale).log_prob(x).sum(dim=1)


class Categorical:
    """Classes 0..n-1 with probabilities in proportion to `weights` [n]; samples are [n] int64.

    A draw is a search in the cumulative sums: log2(n) steps, 20 for a vocabulary of a million.
    """

    def __init__(self, weights: torch.Tensor) -> None:
        weights = weights.double()
        self.last = int(weights.nonzero().max())  # rounding must not reach classes of no weight
        self.cumulative = torch.cumsum(weights, 0) / weights.sum()
        self.log_weights = torch.log(weights / weights.sum())

    def sample(self, n: int, generator: torch.Generator) -> torch.Tensor:
        """`n` classes."""
        drawn = torch.rand(n, generator=generator, device=generator.device, dtype=torch.float64)
        return torch.searchsorted(self.cumulative, drawn, right=True).clamp_(max=self.last)

    def log_prob(self, x: torch.Tensor) -> torch.Tensor:
        """The log probability of classes `x` (any shape), -inf for one of no weight."""
        return self.log_weights[x]


def proper(g: torch.Tensor, c: torch.Tensor, log_u: torch.Tensor, k: int) -> torch.Tensor:
    """l = G - c - log(k U), all [n]."""
    return g - c - math.log(k) - log_u


def plain(g: torch.Tensor, c: torch.Tensor, log_u: torch.Tensor, k: int) -> torch.Tensor:
    """The article's l = G - c, blind to the noise."""
    return g - c


LOGITS: Choices = {"proper": proper, "plain": plain}


def loss(on_data: torch.Tensor, on_noise: torch.Tensor, k: int) -> torch.Tensor:
    """The loss a datum from the logits on data [n] and on noise [n k]; a scalar."""
    return functional.softplus(-on_data).mean() + k * functional.softplus(on_noise).mean()


@dataclass(frozen=True)
class Estimate:
    """What NCE found besides the parameters, which it leaves in place.

    `log_z` is c. `on_data` and `on_noise` are E[sigma(l)], the classifier's mean belief in data: 1 and 0 where the
    two hardly overlap and the estimate is poor, both 1/(1 + k) where the noise is the data's own law.
    """

    log_z: float
    on_data: float
    on_noise: float
    losses: list[float]


def estimate(
    g: Callable[[torch.Tensor], torch.Tensor],
    parameters: Sequence[torch.Tensor],
    data: torch.Tensor,
    noise: Noise,
    k: int,
    seed: int,
    form: str = "proper",
    steps: int = 100,
) -> Estimate:
    """Fit `parameters` of `g` ([n, ...] -> [n]) and c on all of `data` [n, ...] by L-BFGS, and return the rest.

    Raises `Refusal` for k below 1, no data, noise that cannot produce some of the data, and an estimate that ran away.
    """
    if k < 1:
        raise Refusal(f"k is {k}: noise-contrastive estimation needs at least 1 noise sample a datum")
    if len(data) == 0:
        raise Refusal("there is no data to estimate from")
    logit = choose(LOGITS, form, "form")
    generator = torch.Generator(data.device).manual_seed(seed)
    drawn = noise.sample(k * len(data), generator)
    log_u, log_u_drawn = noise.log_prob(data), noise.log_prob(drawn)
    if (missed := int(torch.isneginf(log_u).sum())) > 0:
        raise Refusal(f"the noise cannot produce {missed} of {len(data)} data: choose one that covers them all")
    c = torch.zeros((), dtype=log_u.dtype, device=data.device, requires_grad=True)
    optimiser = torch.optim.LBFGS([*parameters, c], max_iter=steps, history_size=10, line_search_fn="strong_wolfe")
    losses: list[float] = []

    def logits() -> tuple[torch.Tensor, torch.Tensor]:
        return logit(g(data), c, log_u, k), logit(g(drawn), c, log_u_drawn, k)

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        value = loss(*logits(), k)
        value.backward()
        losses.append(value.item())
        return value

    optimiser.step(closure)
    with torch.no_grad():
        on_data, on_noise = (torch.sigmoid(side).mean().item() for side in logits())
    if not math.isfinite(c.item()) or on_data - on_noise > FARTHEST:
        raise Refusal(
            f"c ran away to {c.item():.3g} (data and noise are told apart with E[sigma] {on_data:.5f} and "
            f"{on_noise:.5f}): the noise does not cover the data, choose a wider one"
        )
    return Estimate(c.item(), on_data, on_noise, losses)


FARTHEST = 0.999
"""A mean belief in data that differs by more than this between data and noise: they do not overlap."""
