"""Generator against critic, whatever the loss and the penalties.

    D: min  L_D(s(x_r), s(G(z))) + penalties          G: min  L_G(s(x_r), s(G(z)))

s is realness, high on real. Fakes carry no graph in the critic's step, nor reals' scores in the generator's.
"""

from __future__ import annotations

import torch
from torch import nn

from stages.core.params import choose
from stages.gan.losses import LOSSES, Pair, distance
from stages.gan.penalties import PENALTIES
from stages.gan.settings import Gan
from stages.nets import networks
from stages.nets.layers import Image

Logs = dict[str, torch.Tensor]


class Plain:
    """G: z [n, latent] -> x [n, channels, height, width]; D: x -> s [n]."""

    critics: tuple[str, ...] = ("D",)
    generators: tuple[str, ...] = ("G",)

    def __init__(self, params: Gan, image: Image, seed: int) -> None:
        self.params, self.loss = params, choose(LOSSES, params.loss, "loss")
        generator = networks.generator(params.generator, params.latent, image, params.output, 2 * seed)
        self.nets: dict[str, nn.Module] = {"G": generator, "D": self.judge(image, 2 * seed + 1)}
        self.fast = self.nets  # perhaps compiled; the gradient of a gradient goes through `nets`
        self.looks = self.loss.relativistic  # at reals in the generator's step

    def judge(self, image: Image, seed: int) -> nn.Module:
        """The critic's network."""
        return networks.critic(self.params.critic, image, 1, seed)

    def score(self, x: torch.Tensor, nets: dict[str, nn.Module] | None = None) -> torch.Tensor:
        """s(x), [n], in float32 also under autocast: losses take differences of scores."""
        return (nets or self.fast)["D"](x).float()

    def critic(
        self, x: torch.Tensor, z: torch.Tensor, fake: torch.Tensor, u: torch.Tensor
    ) -> tuple[torch.Tensor, Logs]:
        """The critic's loss on reals `x`, noise `z`, G(z) without graph and uniform `u` [n], and what to record."""
        pair = Pair(self.score(x), self.score(fake), lambda kind: distance(kind, x, fake))
        loss = self.loss.critic(pair)
        for penalty in self.params.penalties:
            kind = choose(PENALTIES, penalty.kind, "penalties.kind")
            loss = loss + penalty.weight * kind(lambda y: self.score(y, self.nets), x, fake, u)
        term, logs = self.critic_term(fake, z)
        logs = {"critic": loss, "real": pair.r.mean(), "fake": pair.f.mean(), "spread": spread(fake)} | logs
        return loss + term, logs

    def generator(self, x: torch.Tensor | None, z: torch.Tensor, fake: torch.Tensor) -> tuple[torch.Tensor, Logs]:
        """The generator's loss on G(z) with its graph, and what to record; reals where the game `looks` at them."""
        if x is None:
            real = torch.zeros(())  # which the loss does not look at
        else:
            with torch.no_grad():
                real = self.score(x)
        loss = self.loss.generator(Pair(real, self.score(fake), lambda kind: distance(kind, x, fake)))
        term, logs = self.generator_term(fake, z)
        return loss + term, {"generator": loss} | logs

    def critic_term(self, fake: torch.Tensor, z: torch.Tensor) -> tuple[torch.Tensor | float, Logs]:
        """What the game adds to the critic's loss, and to the record."""
        return 0.0, {}

    def generator_term(self, fake: torch.Tensor, z: torch.Tensor) -> tuple[torch.Tensor | float, Logs]:
        """What the game adds to the generator's loss, and to the record."""
        return 0.0, {}


def spread(fake: torch.Tensor) -> torch.Tensor:
    """Root mean variance over a batch [n, ...] of what is made: 0 where the generator makes but one thing."""
    return fake.detach().float().var(dim=0, correction=0).mean().sqrt()
