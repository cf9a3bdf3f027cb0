"""Strided convolutions, 5x5 by two: the nets of DCGAN in the form that GAN-QP and O-GAN use at any size.

Article: https://kexue.fm/archives/6163; paper: Radford et al. 2015 (https://arxiv.org/abs/1511.06434).
log2(size) - 2 layers: at 128 pixels the critic has 64, 128, 256, 512, 1024 channels, and the generator mirrors it.
"""

from __future__ import annotations

from itertools import pairwise

from torch import nn

from stages.nets.layers import Image, Network, activation, biased, levels, normed


def up(net: Network, latent: int, image: Image) -> nn.Sequential:
    """z [n, latent] -> [n, channels, size, size]; every layer but the last is normed."""
    side, channels = levels(net, image)
    most = channels[-1]
    layers: list[nn.Module] = [
        nn.Linear(latent, most * side**2, bias=biased(net)),
        nn.Unflatten(1, (most, side, side)),
        *normed(net, most),
        activation(net),
    ]
    for a, b in pairwise(channels[::-1]):
        layers += [_twice(a, b, biased(net)), *normed(net, b), activation(net)]
    return nn.Sequential(*layers, _twice(channels[0], image[0], net.bias))


def down(net: Network, image: Image, outputs: int) -> nn.Sequential:
    """x [n, channels, size, size] -> [n, outputs]; every layer but the first and the last is normed."""
    side, channels = levels(net, image)
    layers: list[nn.Module] = [_half(image[0], channels[0], net.bias), activation(net)]
    for a, b in pairwise(channels):
        layers += [_half(a, b, biased(net)), *normed(net, b), activation(net)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels[-1] * side**2, outputs, bias=net.bias))


def _half(a: int, b: int, bias: bool) -> nn.Conv2d:
    return nn.Conv2d(a, b, 5, stride=2, padding=2, bias=bias)


def _twice(a: int, b: int, bias: bool) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(a, b, 5, stride=2, padding=2, output_padding=1, bias=bias)
