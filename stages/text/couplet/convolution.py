"""The author's network: six gated convolutions that read the first line, and at every place a choice of character.

Article: https://kexue.fm/archives/6270.

    [g, c] = Conv1D(x)    x <- x * sigmoid(g) + c * (1 - sigmoid(g))

A place sees six neighbours on each side, so the ends of lines longer than 7 do not see each other. The number: after
3000 steps of 64 couplets 5.64 nats a character on held-out ones (row `couplets_reference` of params/web.yaml).
"""

from __future__ import annotations

import torch
from torch import nn

from stages.core.errors import Refusal


class Gated(nn.Module):
    """x [n, dim, t] -> the same, each place kept as far as its gate is open."""

    def __init__(self, dim: int, kernel: int) -> None:
        super().__init__()
        if kernel % 2 == 0:
            raise Refusal(f"params.yaml: network.kernel {kernel} is even: give an odd number")
        self.convolution = nn.Conv1d(dim, 2 * dim, kernel, padding=kernel // 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The gated sum of x and what its neighbourhood says."""
        g, c = self.convolution(x).chunk(2, 1)  # [n, dim, t] each
        return torch.lerp(c, x, g.sigmoid())


class Convolution(nn.Module):
    """First lines [n, t] -> logits [n, t, classes] of the second, every place by itself."""

    def __init__(self, classes: int, dim: int, layers: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(classes, dim)
        self.drop = nn.Dropout(dropout)
        self.blocks = nn.Sequential(*(Gated(dim, kernel) for _ in range(layers)))
        self.out = nn.Linear(dim, classes)

    def forward(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """The logits; what is known of `second` [n, t] is not looked at."""
        x = self.drop(self.embedding(first)).transpose(1, 2)  # [n, dim, t]
        return self.out(self.blocks(x).transpose(1, 2))
