"""What every law over grids of codes has, whatever its network: p(k) = prod_i p(k_i | k_1 ... k_{i-1}), row by row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch

from stages.core.errors import Refusal


@dataclass(frozen=True)
class Network:
    """Params of the network of an autoregressive law."""

    kind: str  # transformer (causal.py), pixelcnn (pixelcnn.py)
    width: int  # channels
    layers: int
    heads: int  # of a transformer's attention
    kernel: int  # side of a PixelCNN's first convolution, odd; the others have 3
    dropout: float


class Grid(NamedTuple):
    """Codes 0 .. codes - 1 at side x side places."""

    codes: int
    side: int


def drawn(logits: torch.Tensor, temperature: float, source: torch.Generator) -> torch.Tensor:
    """Draws [...] of p ~ exp(logits / temperature), logits [..., K]: the largest after Gumbel noise.

    Raises `Refusal` for a temperature that is not above 0.
    """
    if temperature <= 0:
        raise Refusal(f"params.yaml: a temperature is {temperature:g}, but must be above 0")
    waits = torch.empty_like(logits, dtype=torch.float32).exponential_(generator=source)
    return (logits.float() / temperature - waits.log()).argmax(-1)
