"""Networks that tell the classes of images apart, from a line to a wide residual network.

Article: https://kexue.fm/archives/4540, for which Fashion-MNIST is the yardstick.

    softmax         x W + b
    mlp             linear layers between, ReLU
    cnn             blocks of two 3x3 convolutions with batch norm and ReLU, halved between, means over the picture
    wide_residual   Zagoruyko & Komodakis 2016 (https://arxiv.org/abs/1605.07146), Table 1: groups of blocks
                    x + conv(relu(norm(conv(relu(norm(x)))))), of 16 k, 32 k and 64 k channels; 6 blocks + 4 = depth

The numbers on Fashion-MNIST: softmax 84.6 %, mlp 89, cnn with fewer than 120,000 weights 92.5, WRN-40-4 96.7.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import prod

import torch
from torch import nn
from torch.nn import functional

from stages.core.errors import Refusal
from stages.core.params import Choices, choose

Image = tuple[int, int, int]


@dataclass(frozen=True)
class Classifier:
    """Params of a network."""

    kind: str  # of CLASSIFIERS
    widths: tuple[int, ...]  # of mlp: hidden layers; of cnn and wide_residual: channels of each block or group
    blocks: int  # of wide_residual, in a group
    dropout: float  # before the last layer of mlp and cnn, between the convolutions of wide_residual


def make(how: Classifier, image: Image, classes: int) -> nn.Module:
    """The network: images [n, channels, height, width] in [0, 1] to logits [n, classes].

    Raises `Refusal` for widths that do not fit its kind.
    """
    found = choose(CLASSIFIERS, how.kind, "models.kind")
    if how.kind != "softmax" and not how.widths:
        raise Refusal(f"params.yaml: a {how.kind} needs `widths`, one number a layer, block or group")
    return found(how, image, classes)


def softmax(how: Classifier, image: Image, classes: int) -> nn.Module:
    """One linear layer."""
    return nn.Sequential(nn.Flatten(), nn.Linear(prod(image), classes))


def mlp(how: Classifier, image: Image, classes: int) -> nn.Module:
    """Linear layers."""
    layers: list[nn.Module] = [nn.Flatten()]
    for a, b in pairwise((prod(image), *how.widths)):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers, nn.Dropout(how.dropout), nn.Linear(how.widths[-1], classes))


def cnn(how: Classifier, image: Image, classes: int) -> nn.Module:
    """Two convolutions a block, halved between blocks."""
    layers: list[nn.Module] = []
    for a, b in pairwise((image[0], *how.widths)):
        layers += [nn.MaxPool2d(2)] if layers else []
        layers += [_conv(a, b), nn.BatchNorm2d(b), nn.ReLU(), _conv(b, b), nn.BatchNorm2d(b), nn.ReLU()]
    pooled = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(how.dropout)]
    return nn.Sequential(*layers, *pooled, nn.Linear(how.widths[-1], classes))


class Block(nn.Module):
    """x [n, a, h, w] to [n, b, h / stride, w / stride]; the shortcut of unequal ends branches off after the norm."""

    def __init__(self, a: int, b: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.BatchNorm2d(a), nn.BatchNorm2d(b)])
        self.first, self.second = _conv(a, b, stride), _conv(b, b)
        self.dropout = nn.Dropout(dropout)
        self.shortcut = None if a == b and stride == 1 else nn.Conv2d(a, b, 1, stride, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Shortcut and two convolutions, added."""
        h = functional.relu(self.norms[0](x))
        through = self.second(self.dropout(functional.relu(self.norms[1](self.first(h)))))
        return through + (x if self.shortcut is None else self.shortcut(h))


def wide_residual(how: Classifier, image: Image, classes: int) -> nn.Module:
    """A stem of 16 channels, then groups of blocks, each group but the first at half the size."""
    layers: list[nn.Module] = [_conv(image[0], 16)]
    for place, (a, b) in enumerate(pairwise((16, *how.widths))):
        for block in range(how.blocks):
            stride = 2 if place and not block else 1
            layers.append(Block(b if block else a, b, stride, how.dropout))
    top = how.widths[-1]
    return nn.Sequential(
        *layers, nn.BatchNorm2d(top), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(top, classes)
    )


def _conv(a: int, b: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(a, b, 3, stride, padding=1, bias=False)


CLASSIFIERS: Choices = {"softmax": softmax, "mlp": mlp, "cnn": cnn, "wide_residual": wide_residual}
"""What makes a network of (params, image, classes)."""
