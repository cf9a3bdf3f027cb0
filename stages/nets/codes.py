"""Codes: the laws p(z|x) of some data, as heads (posteriors.py) make them of an encoder's features.

    N(mu, sigma^2)     KL to N(0, I) = sum_j (mu_j^2 + sigma_j^2 - log sigma_j^2 - 1) / 2
    vMF(mu, kappa)     KL to the uniform law on the sphere: the same for every mu

Nothing here knows what the data are. The number: each KL is the integral of p log(p / q) to 1e-5 (systems row
`vae_theory`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch

from stages.core import distributed
from stages.nets.vmf import VonMisesFisher


class Code(Protocol):
    """The posteriors of `n` data."""

    def draw(self, generator: torch.Generator, k: int = 1) -> torch.Tensor:
        """`k` reparameterised draws each, [k, n, latent]; of several processes each has its share of one's draws."""

    def mode(self) -> torch.Tensor:
        """Where each is densest, [n, latent]."""

    def mean(self) -> torch.Tensor:
        """E z, [n, latent]."""

    def log_prob(self, z: torch.Tensor) -> torch.Tensor:
        """[..., n] of `z` [..., n or 1, latent]."""

    def kl(self) -> torch.Tensor:
        """[n], nats against the prior."""

    def kl_each(self) -> torch.Tensor | None:
        """[n, latent], which add up to `kl`; None where dimensions do not come apart."""


@dataclass(frozen=True)
class Gaussian:
    """N(mu, sigma^2), independent dimensions; mu and log sigma^2 are [n, latent]."""

    mu: torch.Tensor
    log_var: torch.Tensor

    def draw(self, generator: torch.Generator, k: int = 1) -> torch.Tensor:
        """mu + sigma e with e ~ N(0, I)."""
        n, latent = self.mu.shape
        rank, size = distributed.world()
        whole = torch.randn(k, n * size, latent, generator=generator, device=self.mu.device)
        return self.mu + self.sigma * whole[:, n * rank : n * (rank + 1)]

    @property
    def sigma(self) -> torch.Tensor:
        """[n, latent]."""
        return (self.log_var / 2).exp()

    def mode(self) -> torch.Tensor:
        """mu."""
        return self.mu

    def mean(self) -> torch.Tensor:
        """mu."""
        return self.mu

    def log_prob(self, z: torch.Tensor) -> torch.Tensor:
        """As in `Code`."""
        far = (z - self.mu).square() * (-self.log_var).exp()
        return -(far + self.log_var + math.log(2 * math.pi)).sum(-1) / 2

    def kl_each(self) -> torch.Tensor:
        """(mu^2 + sigma^2 - log sigma^2 - 1) / 2."""
        return (self.mu.square() + self.log_var.exp() - self.log_var - 1) / 2

    def kl(self) -> torch.Tensor:
        """The sum of `kl_each`."""
        return self.kl_each().sum(-1)


@dataclass(frozen=True)
class Spherical:
    """vMF(mu, kappa) on the sphere; mu [n, latent] of length 1."""

    mu: torch.Tensor
    law: VonMisesFisher

    def draw(self, generator: torch.Generator, k: int = 1) -> torch.Tensor:
        """w mu + sqrt(1 - w^2) nu."""
        return self.law.draw(self.mu, k, generator)

    def mode(self) -> torch.Tensor:
        """mu."""
        return self.mu

    def mean(self) -> torch.Tensor:
        """A mu."""
        return self.law.mean_w().to(self.mu.dtype) * self.mu

    def log_prob(self, z: torch.Tensor) -> torch.Tensor:
        """As in `Code`."""
        return self.law.log_prob(z, self.mu)

    def kl(self) -> torch.Tensor:
        """The constant, [n]."""
        return self.law.kl().to(self.mu.dtype).expand(len(self.mu))

    def kl_each(self) -> None:
        """A sphere has no dimensions that come apart."""
