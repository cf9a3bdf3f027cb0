"""Perceptrons: linear layers between flat vectors, for points and for small images."""

from __future__ import annotations

from itertools import pairwise
from math import prod

from torch import nn

from stages.core.errors import Refusal
from stages.nets.layers import Image, Network, activation, biased, normed


def up(net: Network, latent: int, image: Image) -> nn.Sequential:
    """z [n, latent] -> [n, channels, height, width]."""
    widths = _checked(net)
    layers: list[nn.Module] = []
    for a, b in pairwise((latent, *widths)):
        layers += [nn.Linear(a, b, bias=biased(net)), *normed(net, b, flat=True), activation(net)]
    return nn.Sequential(*layers, nn.Linear(widths[-1], prod(image), bias=net.bias), nn.Unflatten(1, image))


def down(net: Network, image: Image, outputs: int) -> nn.Sequential:
    """x [n, channels, height, width] -> [n, outputs]; a norm follows from the second layer on."""
    widths = _checked(net)
    layers: list[nn.Module] = [nn.Flatten(), nn.Linear(prod(image), widths[0], bias=net.bias), activation(net)]
    for a, b in pairwise(widths):
        layers += [nn.Linear(a, b, bias=biased(net)), *normed(net, b, flat=True), activation(net)]
    return nn.Sequential(*layers, nn.Linear(widths[-1], outputs, bias=net.bias))


def _checked(net: Network) -> tuple[int, ...]:
    if not net.widths or min(net.widths) < 1:
        raise Refusal(f"widths of an mlp are those of its hidden layers, at least one, not {list(net.widths)}")
    return net.widths
