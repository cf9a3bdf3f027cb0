"""The networks that answer couplets, one table: both read first lines and second ones, MASK where not known.

    network(first, second)    int64 [n, t] twice -> logits [n, t, classes] of the second line

The author's does not look at the second line, so one pass is all that there is to it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from stages.core.params import Choices, choose
from stages.text.couplet.convolution import Convolution
from stages.text.couplet.transformer import Transformer


@dataclass(frozen=True)
class Network:
    """Params of a network."""

    kind: str  # convolution, transformer
    dim: int
    layers: int
    kernel: int  # of convolutions, an odd number
    heads: int  # of a Transformer
    dropout: float


def _convolution(classes: int, how: Network) -> nn.Module:
    return Convolution(classes, how.dim, how.layers, how.kernel, how.dropout)


def _transformer(classes: int, how: Network) -> nn.Module:
    return Transformer(classes, how.dim, how.layers, how.heads, how.dropout)


KINDS: Choices = {"convolution": _convolution, "transformer": _transformer}


def network(how: Network, classes: int) -> nn.Module:
    """The network, its weights drawn by torch's generator; raises `Refusal` for a kind that there is none of."""
    return choose(KINDS, how.kind, "network.kind")(classes, how)


def refines(how: Network) -> bool:
    """Whether it reads what is known of the second line."""
    return how.kind == "transformer"


def masked(second: torch.Tensor, classes: int) -> torch.Tensor:
    """A second line of which nothing is known: MASK, which is the number after the classes."""
    return torch.full_like(second, classes)
