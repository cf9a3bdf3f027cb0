"""BiGAN: the critic sees pairs, (x, E(x)) against (G(z), z), so that E comes to invert G.

Article: https://kexue.fm/archives/6214 (BiGAN-QP); papers: https://arxiv.org/abs/1605.09782 (BiGAN),
https://arxiv.org/abs/1606.00704 (ALI), https://arxiv.org/abs/1811.07296 (BiGAN-QP).

    r = T(x, E(x)),   f = T(G(z), z),   d = mean |x - G(z)| + mean |E(x) - z|
    T: min L_D(r, f)
    G, E: min L_G(r, f) + b1 mean (z - E(sg G(z)))^2 + b2 mean (x - G(sg E(x)))^2

sg stops the gradient: without it the article has blurred images. With GAN-QP L_G = E[r - f]; a loss whose generator
does not look at r is played from both sides, with the roles of r and f exchanged for E. The number: mean and deviation
of E(x) come near those of z.
"""

from __future__ import annotations

import torch
from torch import nn

from stages.core.errors import Refusal
from stages.gan.joint import Joint
from stages.gan.losses import Pair, distance
from stages.gan.plain import Logs, Plain, spread
from stages.gan.settings import Gan
from stages.nets import networks
from stages.nets.layers import Image


class BiGan(Plain):
    """G, E: x -> [n, latent], and D as T: (x, z) -> [n]. Terms: z_cycle (b1), x_cycle (b2), stopped (1, or 0)."""

    generators = ("G", "E")

    def __init__(self, params: Gan, image: Image, seed: int) -> None:
        super().__init__(params, image, seed)
        if params.penalties:
            raise Refusal("a bigan has no penalties: its critic takes pairs; leave `penalties` empty")
        self.looks = True
        self.nets["E"] = networks.critic(params.critic, image, params.latent, 2 * seed + 2)

    def judge(self, image: Image, seed: int) -> nn.Module:
        """T."""
        return Joint(self.params.critic, image, self.params.latent, seed)

    def pair(self, x: torch.Tensor, code: torch.Tensor, fake: torch.Tensor, z: torch.Tensor) -> Pair:
        """Scores of (x, E(x)) and of (G(z), z)."""
        judge = self.fast["D"]
        return Pair(
            judge(x, code).float(),
            judge(fake, z).float(),
            lambda kind: distance(kind, x, fake) + distance(kind, code, z),
        )

    def critic(
        self, x: torch.Tensor, z: torch.Tensor, fake: torch.Tensor, u: torch.Tensor
    ) -> tuple[torch.Tensor, Logs]:
        """T's loss."""
        with torch.no_grad():
            code = self.fast["E"](x)
        pair = self.pair(x, code, fake, z)
        loss = self.loss.critic(pair)
        return loss, {"critic": loss, "real": pair.r.mean(), "fake": pair.f.mean(), "spread": spread(fake)}

    def generator(self, x: torch.Tensor | None, z: torch.Tensor, fake: torch.Tensor) -> tuple[torch.Tensor, Logs]:
        """That of G and E."""
        code = self.fast["E"](x)
        pair = self.pair(x, code, fake, z)
        loss = self.loss.generator(pair)
        if not self.loss.relativistic:
            loss = loss + self.loss.generator(Pair(-pair.f, -pair.r, pair.distance))
        weights = self.params.terms
        held = (lambda v: v.detach()) if weights["stopped"] else (lambda v: v)
        z_cycle = (z - self.fast["E"](held(fake))).square().mean()
        x_cycle = (x - self.fast["G"](held(code))).square().mean()
        whole = loss + weights["z_cycle"] * z_cycle + weights["x_cycle"] * x_cycle
        return whole, {"generator": loss, "z_cycle": z_cycle, "x_cycle": x_cycle}
