"""Posteriors p(z|x): what turns an encoder's features h into a law of codes, each with its prior and its KL to it.

Articles: https://kexue.fm/archives/7381 (batch norm), https://kexue.fm/archives/8404 (the sphere); papers:
Kingma & Welling 2013 (https://arxiv.org/abs/1312.6114), Zhu et al. 2020 (https://arxiv.org/abs/2004.12585).

    gauss     N(mu, sigma^2), KL = sum_j (mu_j^2 + sigma_j^2 - log sigma_j^2 - 1) / 2
    bn        mu = gamma BN(h) + b, b learned: over a batch E mu_j^2 = gamma^2 + b_j^2       variant P
    bn_tied   mu = sqrt(tau + (1 - tau) s(theta)) BN(h)                                      variant S1
    bn_full   as bn_tied, and sigma^2 = (1 - tau) s(-theta) BN(h')^2 + 1e-4                  variant S
    fixed     N(mu, sigma^2) with one sigma for all; 0 makes a plain autoencoder
    vmf       on the sphere, with one kappa for all: the KL is a constant

As sigma^2 - log sigma^2 - 1 >= 0, the KL of a batch is at least sum_j E mu_j^2 / 2: with batch norm it cannot vanish.
Variant S ties both moments, E mu_j^2 + E sigma_j^2 = 1, but sigma is a normalised number, at times nearly 0: hence the
1e-4, without which -log sigma^2 has no bound. The number: the slack, KL less bound, is at no step of a training below
-0.001 (systems rows `vae_bn` and `vae_bn_tied`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from stages.core.errors import Refusal
from stages.core.params import Choices, choose
from stages.nets.codes import Gaussian, Spherical
from stages.nets.vmf import VonMisesFisher

LEAST = 1e-4
"""The variance that variant S adds."""

EPS = 1e-8
"""Of batch norm, which multiplies the bound by v / (v + EPS), v the variance of a feature: torch's 1e-5 is felt."""


@dataclass(frozen=True)
class Posterior:
    """A posterior and its prior; `terms` holds the numbers of its kind.

    bn: gamma; bn_tied and bn_full: tau; fixed: sigma; vmf: kappa, learned (0 or 1).
    """

    kind: str
    latent: int  # numbers of z
    terms: dict[str, float]


class Gauss(nn.Module):
    """h = (mu, log sigma^2); prior N(0, I). What follows changes how mu and sigma come about."""

    def __init__(self, posterior: Posterior) -> None:
        super().__init__()
        self.latent, self.size = posterior.latent, 2 * posterior.latent

    def forward(self, h: torch.Tensor) -> Gaussian:
        """The code of features `h` [n, size]."""
        return Gaussian(*h.float().chunk(2, dim=-1))

    def bound(self) -> torch.Tensor:
        """What the mean KL of a batch in training is at least, nats; 0-dim."""
        return torch.zeros(())

    def prior(self, n: int, generator: torch.Generator) -> torch.Tensor:
        """`n` draws of the prior, [n, latent]."""
        return torch.randn(n, self.latent, generator=generator, device=generator.device)

    def log_prior(self, z: torch.Tensor) -> torch.Tensor:
        """[...], of `z` [..., latent]."""
        return -(z.square() + math.log(2 * math.pi)).sum(-1) / 2


class Bn(Gauss):
    """Variant P."""

    def __init__(self, posterior: Posterior) -> None:
        super().__init__(posterior)
        self.norm, self.gamma = _norm(self.latent), _term(posterior, "gamma")
        self.b = nn.Parameter(torch.zeros(self.latent))

    def forward(self, h: torch.Tensor) -> Gaussian:
        """As in `Gauss`."""
        mu, log_var = h.float().chunk(2, dim=-1)
        return Gaussian(self.gamma * self.norm(mu) + self.b, log_var)

    def bound(self) -> torch.Tensor:
        """sum_j (gamma^2 + b_j^2) / 2."""
        return (self.gamma**2 + self.b.detach().square()).sum() / 2


class BnTied(Gauss):
    """Variant S1."""

    def __init__(self, posterior: Posterior) -> None:
        super().__init__(posterior)
        self.norm, self.tau = _norm(self.latent), _term(posterior, "tau")
        if not 0 < self.tau < 1:
            raise Refusal(f"params.yaml: posterior.terms.tau is {self.tau}, but it must lie between 0 and 1")
        self.theta = nn.Parameter(torch.zeros(self.latent))

    def gamma_squared(self) -> torch.Tensor:
        """Of mu, [latent]; of sigma in variant S, 1 less that."""
        return self.tau + (1 - self.tau) * self.theta.sigmoid()

    def forward(self, h: torch.Tensor) -> Gaussian:
        """As in `Gauss`."""
        mu, log_var = h.float().chunk(2, dim=-1)
        return Gaussian(self.gamma_squared().sqrt() * self.norm(mu), log_var)

    def bound(self) -> torch.Tensor:
        """sum_j gamma_j^2 / 2, which is at least latent tau / 2."""
        return self.gamma_squared().detach().sum() / 2


class BnFull(BnTied):
    """Variant S."""

    def __init__(self, posterior: Posterior) -> None:
        super().__init__(posterior)
        self.norm_sigma = _norm(self.latent)

    def forward(self, h: torch.Tensor) -> Gaussian:
        """As in `Gauss`."""
        mu, sigma = h.float().chunk(2, dim=-1)
        var = (1 - self.tau) * (-self.theta).sigmoid() * self.norm_sigma(sigma).square() + LEAST
        return Gaussian(self.gamma_squared().sqrt() * self.norm(mu), var.log())


class Fixed(Gauss):
    """One sigma for all."""

    def __init__(self, posterior: Posterior) -> None:
        super().__init__(posterior)
        self.size = self.latent
        sigma = _term(posterior, "sigma")
        self.log_var = 2 * math.log(sigma) if sigma > 0 else -math.inf

    def forward(self, h: torch.Tensor) -> Gaussian:
        """As in `Gauss`."""
        mu = h.float().view(-1, self.latent)
        return Gaussian(mu, torch.full_like(mu, self.log_var))


class Vmf(nn.Module):
    """mu = h / |h|; prior uniform on the sphere."""

    def __init__(self, posterior: Posterior) -> None:
        super().__init__()
        self.latent = self.size = posterior.latent
        self.law = VonMisesFisher(self.latent, _term(posterior, "kappa"), bool(_term(posterior, "learned")))

    def forward(self, h: torch.Tensor) -> Spherical:
        """The code of features `h` [n, size]."""
        return Spherical(functional.normalize(h.float(), dim=-1), self.law)

    def bound(self) -> torch.Tensor:
        """The KL itself."""
        return self.law.kl().detach().float()

    def prior(self, n: int, generator: torch.Generator) -> torch.Tensor:
        """`n` draws of the prior, [n, latent]."""
        return self.law.uniform(n, generator)

    def log_prior(self, z: torch.Tensor) -> torch.Tensor:
        """[...], of `z` [..., latent]."""
        return z.new_full(z.shape[:-1], -self.law.log_area)


POSTERIORS: Choices = {"gauss": Gauss, "bn": Bn, "bn_tied": BnTied, "bn_full": BnFull, "fixed": Fixed, "vmf": Vmf}
"""Modules that take `size` features and give a `Code`."""

Head = Gauss | Vmf


def make(posterior: Posterior) -> Head:
    """The head of `posterior`; raises `Refusal` for an unknown kind, and for a number that it lacks or cannot use."""
    if posterior.latent < 1:
        raise Refusal(f"params.yaml: posterior.latent is {posterior.latent}, but a code has a number at least")
    return choose(POSTERIORS, posterior.kind, "posterior.kind")(posterior)


def _term(posterior: Posterior, name: str) -> float:
    return choose(posterior.terms, name, f"posterior.terms of {posterior.kind}")


def _norm(latent: int) -> nn.BatchNorm1d:
    return nn.BatchNorm1d(latent, eps=EPS, affine=False)
