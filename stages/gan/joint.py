"""A critic of pairs (x, z): for BiGAN's T and MEG's H."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import torch
from torch import nn

from stages.nets import networks
from stages.nets.layers import Image, Network

SEEN = 1024  # numbers that a convolutional net makes of x
WIDTHS = (1024, 1024)  # of the perceptron behind it, https://kexue.fm/archives/6214


class Joint(nn.Module):
    """T(x, z), [n]: a perceptron on x and z side by side, x seen through convolutions where `net` has some."""

    def __init__(self, net: Network, image: Image, latent: int, seed: int) -> None:
        super().__init__()
        flat = net.kind == "mlp"
        self.see = nn.Flatten() if flat else networks.critic(net, image, SEEN, seed)
        size = (prod(image) if flat else SEEN) + latent
        head = net if flat else replace(net, kind="mlp", widths=WIDTHS)
        self.judge = networks.critic(head, (size, 1, 1), 1, seed + 1)

    def forward(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        """Of x [n, channels, height, width] and z [n, latent]."""
        return self.judge(torch.cat([self.see(x), z], dim=1)[:, :, None, None])
