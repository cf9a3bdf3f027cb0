"""What every network is described by and made of; the kinds are mlp.py, dcgan.py and residual.py."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from stages.core.errors import Refusal
from stages.core.params import Choices, choose

Image = tuple[int, int, int]
"""(channels, height, width); points of d dimensions are images (d, 1, 1)."""

SMALLEST = 4
"""Images are halved down to this many pixels a side, or to the next odd number: 28 to 7, 96 to 6."""


@dataclass(frozen=True)
class Network:
    """A generator or a critic; `networks.py` makes both."""

    kind: str  # mlp, dcgan, residual
    widths: tuple[int, ...]  # mlp: of the hidden layers; else: channels at full size, which double to the second number
    norm: str  # none, batch, layer, spectral (every layer), spectral_hidden (all but the last)
    activation: str  # relu, leaky, silu, tanh
    slope: float  # of leaky below 0
    bias: bool  # in layers that no norm follows
    init: str  # default (torch's), normal002, uniform005


def _nothing(channels: int, flat: bool) -> list[nn.Module]:
    return []


def _batch(channels: int, flat: bool) -> list[nn.Module]:
    return [nn.BatchNorm1d(channels) if flat else nn.BatchNorm2d(channels)]


def _layer(channels: int, flat: bool) -> list[nn.Module]:
    return [nn.GroupNorm(1, channels)]  # over all but the batch, with a scale a channel


NORMS: Choices = {
    "none": _nothing,
    "batch": _batch,
    "layer": _layer,
    "spectral": _nothing,
    "spectral_hidden": _nothing,
}
"""The layers that follow one of `channels`, flat [n, channels] or not [n, channels, h, w]; of weights: networks.py."""

ACTIVATIONS: Choices = {
    "relu": lambda slope: nn.ReLU(),
    "leaky": lambda slope: nn.LeakyReLU(slope),
    "silu": lambda slope: nn.SiLU(),
    "tanh": lambda slope: nn.Tanh(),
}


def activation(net: Network) -> nn.Module:
    """The nonlinearity that `net` asks for."""
    return choose(ACTIVATIONS, net.activation, "activation")(net.slope)


def normed(net: Network, channels: int, flat: bool = False) -> list[nn.Module]:
    """The norm that follows a layer of `channels`: [] or one module."""
    return choose(NORMS, net.norm, "norm")(channels, flat)


def biased(net: Network) -> bool:
    """Whether a layer that a norm follows has a bias: not where the norm has one itself."""
    return net.bias and not normed(net, 1)


def levels(net: Network, image: Image) -> tuple[int, list[int]]:
    """The side of the smallest map and the channels of every halving, the first next to the image.

    For 128 pixels and widths (64, 1024): 4, [64, 128, 256, 512, 1024], which is GAN-QP's log2(size) - 2 layers.
    Raises `Refusal` for an image that is no square of 4..7 times a power of two, at least 8, and for other widths.
    """
    _, height, width = image
    side, count = height, 0
    while side % 2 == 0 and side >= 2 * SMALLEST:
        side, count = side // 2, count + 1
    if height != width or count == 0 or not SMALLEST <= side < 2 * SMALLEST:
        raise Refusal(
            f"a {net.kind} network takes square images of 4, 5, 6 or 7 times a power of 2 (8, 28, 96, 512), "
            f"not {height} x {width}: scale them in preprocess, or use kind mlp"
        )
    if len(net.widths) != 2 or min(net.widths) < 1:
        raise Refusal(f"widths of a {net.kind} network are [channels, most channels], not {list(net.widths)}")
    first, most = net.widths
    return side, [min(first * 2**level, most) for level in range(count)]
