"""O-GAN: one network is critic and encoder, and any loss will do.

Article: https://kexue.fm/archives/6409; paper: https://arxiv.org/abs/1903.01931.

    E(x) in R^d,   s(x) = avg E(x),   N(v) = (v - avg v) / std v,   rho(a, b) = mean N(a) N(b)
    both players also minimise  - weight rho(z, E(G(z)))                      reconstruction: G(N(E(x)))

rho does not see avg and std, so that two of d degrees of freedom stay for the game. The number: rho >= 0.9 on fresh z.
"""

from __future__ import annotations

import torch
from torch import nn

from stages.gan.plain import Logs, Plain
from stages.nets import networks
from stages.nets.layers import Image

SMALL = 1e-8  # beside a variance


class OGan(Plain):
    """Plain with E in place of D: x -> [n, latent]. Terms: rho, and for the control mse instead."""

    def judge(self, image: Image, seed: int) -> nn.Module:
        """E."""
        return networks.critic(self.params.critic, image, self.params.latent, seed)

    def score(self, x: torch.Tensor, nets: dict[str, nn.Module] | None = None) -> torch.Tensor:
        """avg E(x), [n]."""
        return (nets or self.fast)["D"](x).float().mean(dim=1)

    def critic_term(self, fake: torch.Tensor, z: torch.Tensor) -> tuple[torch.Tensor, Logs]:
        """- rho(z, E(x)) of fakes, or, for the control, the squared distance: by their weights."""
        weights, code = self.params.terms, self.fast["D"](fake)
        correlation = rho(z, code).mean()
        loss = weights["mse"] * (z - code).square().mean() - weights["rho"] * correlation
        return loss, {"rho": correlation}

    generator_term = critic_term


def normalised(v: torch.Tensor) -> torch.Tensor:
    """N(v) of codes [n, d]: each row of mean 0 and variance 1."""
    centred = v - v.mean(dim=1, keepdim=True)
    return centred / (centred.square().mean(dim=1, keepdim=True) + SMALL).sqrt()


def rho(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Pearson's correlation of each row of a and b [n, d]; [n]."""
    return (normalised(a) * normalised(b)).mean(dim=1)
