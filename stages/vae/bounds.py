"""What a VAE knows of its data, in nats: bounds on log q(x), and what the codes hold.

Papers: Burda et al. 2015 (https://arxiv.org/abs/1509.00519), Hoffman & Johnson 2016 (ELBO surgery).
Article of the moments: https://kexue.fm/archives/7381.

    ELBO = E log q(x|z) - KL(p(z|x) || q(z))
    IWAE = log (1/K) sum_k q(x|z_k) q(z_k) / p(z_k|x)          from ELBO at K = 1 up to log q(x)
    I    = E log p(z|x) - E log p(z),  p(z) = mean over x of p(z|x)        at most log N
    mu_j^2 + sigma_j^2 is 1 in the mean over x, where p(z) is the prior

A model here is anything with `encode`, `log_prob` and `head`, as model.py's. The number: of a linear-Gaussian model
IWAE gives the exact likelihood (systems row `vae_theory`).
"""

from __future__ import annotations

import math
from typing import Protocol

import torch

from stages.nets.codes import Code, Gaussian
from stages.nets.posteriors import Head

CELLS = 2**19
"""Pixels, or codes against codes, in memory at a time; a likelihood may hold 256 numbers of each."""

ACTIVE = 0.01  # https://arxiv.org/abs/1509.00519


class Model(Protocol):
    """What has bounds."""

    head: Head

    def encode(self, x: torch.Tensor) -> Code:
        """p(z|x)."""

    def log_prob(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        """log q(x|z), [k, n], of x [n, ...] and z [k, n, latent]."""


@torch.no_grad()
def elbo(model: Model, x: torch.Tensor, draws: int, source: torch.Generator) -> torch.Tensor:
    """The bound of each of `x` [n, ...] by `draws` draws, its KL exact; [n] nats."""
    return torch.cat([_elbo(model, part, draws, source) for part in x.split(_rows(x, draws))])


def _elbo(model: Model, x: torch.Tensor, draws: int, source: torch.Generator) -> torch.Tensor:
    code = model.encode(x)
    return model.log_prob(x, code.draw(source, draws)).mean(0) - code.kl()


@torch.no_grad()
def iwae(model: Model, x: torch.Tensor, k: int, source: torch.Generator) -> torch.Tensor:
    """The bound with `k` draws for each of `x` [n, ...]; [n] nats."""
    found = []
    for part in x.split(_rows(x, 1)):
        code, total = model.encode(part), torch.full((len(part),), -math.inf, device=x.device)
        at_once = max(1, CELLS // part.numel())
        for begin in range(0, k, at_once):
            z = code.draw(source, min(at_once, k - begin))  # [k, n, latent]
            weight = model.log_prob(part, z) + model.head.log_prior(z) - code.log_prob(z)
            total = torch.logaddexp(total, weight.logsumexp(0))
        found.append(total - math.log(k))
    return torch.cat(found)


def _rows(x: torch.Tensor, draws: int) -> int:
    return max(1, CELLS // (draws * x[0].numel()))


def nats(each: torch.Tensor, name: str) -> dict[str, float]:
    """Minus the mean of bounds `each` [n] as `name`, and its standard error over the data."""
    return {name: -each.double().mean().item(), f"{name}_error": each.double().std().item() / len(each) ** 0.5}


@torch.no_grad()
def codes(model: Model, x: torch.Tensor, source: torch.Generator) -> dict[str, float]:
    """What the codes of `x` [n, ...] hold.

    kl; active, how many numbers of E[z|x] have a variance above 0.01; informed, how many have a KL above 0.01;
    information, I by one draw for each x, at most log n; prior_gap, KL(p(z) || q(z)) likewise: as kl is about their
    sum, the gap is told too large where information is nearly log n;
    moment, the mean of mu_j^2 + sigma_j^2, and moment_off, the largest distance from 1 of one j (Gaussians only).
    """
    code = model.encode(x)
    z = code.draw(source)[0]  # [n, latent]
    own = torch.cat([code.log_prob(part[:, None]).logsumexp(1) for part in z.split(max(1, CELLS // z.numel()))])
    aggregate = own - math.log(len(x))  # log p(z)
    inside = code.log_prob(z)
    found = {
        "kl": code.kl().mean().item(),
        "active": float((code.mean().var(0) > ACTIVE).sum()),
        "information": (inside - aggregate).mean().item(),
        "prior_gap": (aggregate - model.head.log_prior(z)).mean().item(),
    }
    if isinstance(code, Gaussian):
        moments = (code.mu.square() + code.sigma.square()).mean(0)
        found["informed"] = float((code.kl_each().mean(0) > ACTIVE).sum())
        found |= {"moment": moments.mean().item(), "moment_off": (moments - 1).abs().max().item()}
    return found


@torch.no_grad()
def kl_by_dimension(model: Model, x: torch.Tensor) -> list[float]:
    """KL of every number of the code, largest first; of a sphere the one KL there is."""
    code = model.encode(x)
    each = code.kl_each()
    return (code.kl().mean()[None] if each is None else each.mean(0)).sort(descending=True).values.tolist()
