"""MEG: the critic is an energy, and the generator keeps its entropy.

Article: https://kexue.fm/archives/6331; paper: https://arxiv.org/abs/1901.08508.

    q(x) = exp(-U(x)) / Z,   U = -s
    U: min  E U(x_r) - E U(G(z)) + penalty (zero-centred, on reals only: they lie at the bottom of a pit)
    G, H: min  E U(G(z)) + weight BCE(H),   BCE(H) = E softplus(-H(G(z), z)) + E softplus(H(G(z), z'))

H tells the z that made x from another one: what it can do bounds the mutual information of x and z, which stands for
the entropy of G. Loss `wgan`, penalty `zero_real`. The number: on a ring of 8 the modes are more even with it.
"""

from __future__ import annotations

import torch
from torch.nn import functional

from stages.gan.joint import Joint
from stages.gan.plain import Logs, Plain
from stages.gan.settings import Gan
from stages.nets.layers import Image


class Meg(Plain):
    """Plain with H: (x, z) -> [n]. Terms: information (the weight of BCE)."""

    generators = ("G", "H")

    def __init__(self, params: Gan, image: Image, seed: int) -> None:
        super().__init__(params, image, seed)
        self.nets["H"] = Joint(params.critic, image, params.latent, 2 * seed + 2)

    def generator_term(self, fake: torch.Tensor, z: torch.Tensor) -> tuple[torch.Tensor, Logs]:
        """BCE of H on what was made and the noise it was, or was not, made from."""
        tell = self.fast["H"]
        bce = functional.softplus(-tell(fake, z)).mean() + functional.softplus(tell(fake, z.roll(1, 0))).mean()
        return self.params.terms["information"] * bce, {"bce": bce}
