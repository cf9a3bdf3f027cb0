"""What all token mixers are given, and what they share: sizes, padding, the way back in time that is closed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from stages.core.errors import Refusal


@dataclass(frozen=True)
class Settings:
    """Params of a mixer and of the block around it; each reads what concerns it."""

    heads: int  # of attention and Synthesizers; of lightweight and dynamic convolutions, whose heads share their taps
    expansion: int  # width of the perceptron over channels, and of gMLP between its projections, in dims
    hidden: float  # tokens inside MLP-Mixer's perceptron over tokens, in lengths
    memories: int  # of external attention
    kernel: int  # taps of convolutions
    dilation: int  # tokens from tap to tap
    tiny: int  # width of aMLP's attention
    scale: float  # that ResMLP's branches begin with
    dropout: float  # of what mixes tokens


USUAL = Settings(
    heads=4, expansion=4, hidden=2.0, memories=64, kernel=7, dilation=1, tiny=64, scale=0.1, dropout=0.0
)  # fmt: skip


@dataclass(frozen=True)
class Frame:
    """How a mixer stands in its block: x + mixing(norm(x)), then x + perceptron(norm(x)) over channels."""

    norm: Callable[[int], nn.Module] = nn.LayerNorm
    last: Callable[[int, Settings], nn.Module] | None = None  # what each branch ends with
    channels: str = "after"  # where the perceptron over channels stands: after, before, or none


def zeroed(x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """`x` [n, length, dim] with 0 for the tokens that `mask` [n, length] says are not there."""
    return x if mask is None else x * mask[..., None]


def visible(length: int, mask: torch.Tensor | None, causal: bool, device: torch.device) -> torch.Tensor | None:
    """What each token may look at, bool, to be expanded to [n, heads, length, length]; None for all.

    Where the mask says that none of them is there, a token may look at all: what comes of it is not used.
    """
    past = torch.ones(length, length, dtype=torch.bool, device=device).tril() if causal else None
    if mask is None:
        return past
    seen = mask[:, None, None]  # [n, 1, 1, length]
    seen = seen & past if past is not None else seen
    return seen | ~seen.any(-1, keepdim=True)


def fitting(x: torch.Tensor, length: int) -> int:
    """The number of tokens of `x` [n, tokens, dim]; raises `Refusal` where a mixer made for `length` has no weights."""
    if x.shape[1] > length:
        raise Refusal(f"a mixer made for {length} tokens was given {x.shape[1]}: make it longer, or cut them")
    return x.shape[1]


def shared(dim: int, heads: int) -> int:
    """The width of each of `heads`; raises `Refusal` where they do not share `dim` evenly."""
    if heads < 1 or dim % heads:
        raise Refusal(f"params.yaml: dim {dim} is no multiple of heads {heads}: change one of them")
    return dim // heads
