"""Sampling after training, in the latent space of a generator G with a critic s: Langevin dynamics on V(z).

Article: https://kexue.fm/archives/6331; papers: Kumar et al. 2019 (https://arxiv.org/abs/1901.08508),
Che et al. 2020 (https://arxiv.org/abs/2003.06060).

    ddls     V(z) = |z|^2 / 2 - beta s(G(z))    from p_G(x) exp(beta s(x)): the data's law where s is an optimal
                                                critic's logit, log p/p_G, and beta 1
    energy   V(z) = -beta s(G(z))               the article's; no prior and no Jacobian, so no such promise

The number: for G the identity and s(x) = <a, x> ddls gives N(beta a, I).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from stages.core.errors import Refusal
from stages.core.params import Choices, choose
from stages.nets.langevin import Potential, langevin, mala


@dataclass(frozen=True)
class Latent:
    """Params of latent sampling."""

    potential: str  # ddls, energy
    sampler: str  # mala, langevin
    beta: float  # inverse temperature: 1 for the critic as it is; 0.1 mixes over modes where energies are steep
    steps: int
    eps: float


def _prior(z: torch.Tensor) -> torch.Tensor:
    return z.flatten(1).square().sum(1) / 2


def _nothing(z: torch.Tensor) -> torch.Tensor:
    return z.new_zeros(len(z))


PRIORS: Choices = {"ddls": _prior, "energy": _nothing}
"""What V(z) holds besides -beta s(G(z))."""


def _mala(
    potential: Potential, z: torch.Tensor, params: Latent, draw: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    return mala(potential, z, params.steps, params.eps, draw)


def _langevin(
    potential: Potential, z: torch.Tensor, params: Latent, draw: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    return langevin(potential, z, params.steps, params.eps, draw), torch.ones((), device=z.device)


SAMPLERS: Choices = {"mala": _mala, "langevin": _langevin}


def potential(generator: nn.Module, critic: nn.Module, params: Latent) -> Potential:
    """V of `params`; the critic gives realness, high on real."""
    prior: Callable[[torch.Tensor], torch.Tensor] = choose(PRIORS, params.potential, "potential")
    return lambda z: prior(z) - params.beta * critic(generator(z))


def sample(
    generator: nn.Module, critic: nn.Module, z: torch.Tensor, params: Latent, draw: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """`z` [n, latent], prior draws, moved towards realistic images; and the share of proposals accepted (0-dim).

    Both nets must be in evaluation mode, for batch norm would make samples hang on each other; raises `Refusal` else.
    """
    if generator.training or critic.training:
        raise Refusal("latent sampling needs both nets in evaluation mode: call eval() on them first")
    return choose(SAMPLERS, params.sampler, "sampler")(potential(generator, critic, params), z, params, draw)
