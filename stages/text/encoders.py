"""Networks that make of a sentence one vector: the mean of what its places have become, brought to `dim` numbers.

transformer    embeddings of characters and places -> pre-norm Transformer blocks
convolution    embeddings of characters -> x + GELU(conv(norm x)), each seeing `kernel` neighbours
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from stages.core.errors import Refusal
from stages.core.params import Choices, choose
from stages.text.characters import FIRST, PAD


@dataclass(frozen=True)
class Reader:
    """Params of an encoder."""

    kind: str  # transformer, convolution
    width: int
    layers: int
    heads: int  # of a Transformer
    kernel: int  # of convolutions, an odd number
    dropout: float
    dim: int  # of the vector
    length: int  # characters that are read


class Transformer(nn.Module):
    """x [n, t, width] and which places are empty [n, t] -> [n, t, width]."""

    def __init__(self, how: Reader) -> None:
        super().__init__()
        if how.width % how.heads:
            raise Refusal(f"params.yaml: encoder.width {how.width} is no multiple of encoder.heads {how.heads}")
        layer = nn.TransformerEncoderLayer(
            how.width, how.heads, 4 * how.width, how.dropout, "gelu", batch_first=True, norm_first=True
        )
        self.places = nn.Parameter(0.02 * torch.randn(how.length, how.width))
        self.blocks = nn.TransformerEncoder(layer, how.layers, nn.LayerNorm(how.width), enable_nested_tensor=False)

    def forward(self, x: torch.Tensor, empty: torch.Tensor) -> torch.Tensor:
        """Every place, having looked at all that are not empty."""
        return self.blocks(x + self.places[: x.shape[1]], src_key_padding_mask=empty)


class Convolution(nn.Module):
    """The same by convolutions over neighbours; empty places are zeros to them."""

    def __init__(self, how: Reader) -> None:
        super().__init__()
        if how.kernel % 2 == 0:
            raise Refusal(f"params.yaml: encoder.kernel {how.kernel} is even: give an odd number")
        self.norms = nn.ModuleList(nn.LayerNorm(how.width) for _ in range(how.layers))
        self.convolutions = nn.ModuleList(
            nn.Conv1d(how.width, how.width, how.kernel, padding=how.kernel // 2) for _ in range(how.layers)
        )
        self.drop = nn.Dropout(how.dropout)

    def forward(self, x: torch.Tensor, empty: torch.Tensor) -> torch.Tensor:
        """Every place, having looked at its neighbours."""
        there = ~empty[..., None]
        for norm, convolution in zip(self.norms, self.convolutions, strict=True):
            seen = convolution((norm(x) * there).transpose(1, 2)).transpose(1, 2)
            x = x + self.drop(functional.gelu(seen))
        return x


KINDS: Choices = {"transformer": Transformer, "convolution": Convolution}


class Encoder(nn.Module):
    """Rows of numbers [n, t] of sentences (see characters.py) -> vectors [n, dim]."""

    def __init__(self, how: Reader, characters: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(characters + FIRST, how.width, padding_idx=PAD)
        self.drop = nn.Dropout(how.dropout)
        self.body = choose(KINDS, how.kind, "encoder.kind")(how)
        self.out = nn.Linear(how.width, how.dim)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """The vectors, of any length; how many PAD follow changes nothing."""
        empty = rows == PAD
        x = self.body(self.drop(self.embedding(rows)), empty)  # [n, t, width]
        there = ~empty[..., None]
        return self.out((x * there).sum(1) / there.sum(1))
