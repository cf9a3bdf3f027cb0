"""A Transformer that reads the first line, and of the second as much as is known already.

Article: https://kexue.fm/archives/6270 asks for more coherence than places chosen one by one have; paper: Ghazvininejad
et al. 2019 (mask-predict), https://arxiv.org/abs/1904.09324.

    x_i = E[first_i] + E'[second_i or MASK] + S[i] + T[t - 1 - i],    logits_i = E' norm(blocks(x))_i

Characters that face each other share a place, so both lines cost no more than one. With all of the second line masked
the logits are those of p(second_i | first), the quantity of the author's network; with a part of it given they are
those of p(second_i | first, part), by whose chain rule whole lines are weighed.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from stages.core.errors import Refusal
from stages.nets.transformer import Block, Config

ENDS = 16
"""Places from either end of a line that are told apart; attention turns with distance, so lines may be longer."""


class Transformer(nn.Module):
    """First lines [n, t] and second ones, MASK where not known, -> logits [n, t, classes] of the second."""

    def __init__(self, classes: int, dim: int, layers: int, heads: int, dropout: float) -> None:
        super().__init__()
        if dim % heads or dim // heads % 2:
            raise Refusal(f"params.yaml: network.dim {dim} is no even multiple of network.heads {heads}")
        head = dim // heads
        config = Config(dim, layers, heads, heads, head, 4 * dim, "layer", 1e-5, True, "gelu", "rope", True, True, True,
                        dropout)  # fmt: skip
        self.first, self.second = nn.Embedding(classes, dim), nn.Embedding(classes + 1, dim)  # the last one is MASK
        self.starts, self.ends = nn.Embedding(ENDS, dim), nn.Embedding(ENDS, dim)
        self.drop = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(Block(config) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)
        self.bias = nn.Parameter(torch.zeros(classes))
        self.register_buffer("frequencies", 10000.0 ** -(torch.arange(0, head, 2) / head), persistent=False)
        for table in (self.first, self.second, self.starts, self.ends):
            nn.init.normal_(table.weight, std=dim**-0.5)

    def forward(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """The logits, of lines of any length."""
        return self.logits(self.states(first, second))

    def states(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """What every place knows, [n, t, dim]."""
        place = torch.arange(first.shape[1], device=first.device)
        x = self.first(first) + self.second(second)  # [n, t, dim]
        x = x + self.starts(place.clamp(max=ENDS - 1)) + self.ends(place.flip(0).clamp(max=ENDS - 1))
        x, angles = self.drop(x), place[:, None] * self.frequencies  # [t, head / 2]
        seen = x.new_zeros(1, len(place), len(place))  # every place sees all
        for block in self.blocks:
            x = block(x, angles, seen)
        return self.norm(x)

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        """Of states [..., dim] the logits [..., classes]."""
        return functional.linear(states, self.second.weight[:-1], self.bias)
