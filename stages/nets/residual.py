"""Residual networks: two 3x3 convolutions a block, beside a shortcut, at twice or half the size.

Papers: Gulrajani et al. 2017 (https://arxiv.org/abs/1704.00028), Miyato et al. 2018 (https://arxiv.org/abs/1802.05957);
energies use the critic with spectral norm (Du & Mordatch 2019, https://arxiv.org/abs/1903.08689).
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

from stages.nets.layers import Image, Network, activation, biased, levels, normed


class Block(nn.Module):
    """x [n, a, h, w] -> shortcut(x) + body(x), [n, b, 2h, 2w] or [n, b, h/2, w/2]."""

    def __init__(self, shortcut: nn.Sequential, body: nn.Sequential) -> None:
        super().__init__()
        self.shortcut, self.body = shortcut, body

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Both paths, added."""
        return self.shortcut(x) + self.body(x)


def up(net: Network, latent: int, image: Image) -> nn.Sequential:
    """z [n, latent] -> [n, channels, size, size]."""
    side, channels = levels(net, image)
    most = channels[-1]
    layers: list[nn.Module] = [nn.Linear(latent, most * side**2, bias=net.bias), nn.Unflatten(1, (most, side, side))]
    for a, b in pairwise([*channels[::-1], channels[0]]):
        layers.append(_twice(net, a, b))
    return nn.Sequential(*layers, *normed(net, channels[0]), activation(net), _conv(channels[0], image[0], net.bias))


def down(net: Network, image: Image, outputs: int) -> nn.Sequential:
    """x [n, channels, size, size] -> [n, outputs]."""
    side, channels = levels(net, image)
    layers: list[nn.Module] = [_conv(image[0], channels[0], net.bias)]
    for a, b in pairwise([channels[0], *channels]):
        layers.append(_half(net, a, b))
    head = nn.Linear(channels[-1] * side**2, outputs, bias=net.bias)
    return nn.Sequential(*layers, activation(net), nn.Flatten(), head)


def _twice(net: Network, a: int, b: int) -> Block:
    first = [*normed(net, a), activation(net), nn.Upsample(scale_factor=2), _conv(a, b, biased(net))]
    second = [*normed(net, b), activation(net), _conv(b, b, net.bias)]
    return Block(nn.Sequential(nn.Upsample(scale_factor=2), _point(a, b)), nn.Sequential(*first, *second))


def _half(net: Network, a: int, b: int) -> Block:
    first = [*normed(net, a), activation(net), _conv(a, b, biased(net))]
    second = [*normed(net, b), activation(net), _conv(b, b, net.bias), nn.AvgPool2d(2)]
    return Block(nn.Sequential(nn.AvgPool2d(2), _point(a, b)), nn.Sequential(*first, *second))


def _conv(a: int, b: int, bias: bool) -> nn.Conv2d:
    return nn.Conv2d(a, b, 3, padding=1, bias=bias)


def _point(a: int, b: int) -> nn.Conv2d:
    return nn.Conv2d(a, b, 1, bias=False)
