"""Synthesizers: attention whose matrix is learnt (Random) or made of each token alone (Dense), not asked for.

Article: https://kexue.fm/archives/8431; paper: Tay et al. 2020, https://arxiv.org/abs/2005.00743.

    Random    O = softmax(R) V,    R [length, length] a parameter, the same for all samples; or frozen as it was drawn
    Dense     O = softmax(B) V,    B_i = W2 relu(W1 x_i) in R^length

The number: without softmax Random is MLP-Mixer's product of matrices, exactly (tests/nets/test_mixers.py).
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from stages.nets.mixers.settings import Frame, Settings, fitting, shared, visible


class Random(nn.Module):
    """R of each head, trained."""

    frame = Frame()
    trained = True

    def __init__(self, dim: int, length: int, causal: bool, settings: Settings) -> None:
        super().__init__()
        shared(dim, settings.heads)
        self.length, self.causal, self.dropout = length, causal, settings.dropout
        self.R = nn.Parameter(torch.randn(settings.heads, length, length), requires_grad=self.trained)
        self.value, self.out = nn.Linear(dim, dim), nn.Linear(dim, dim)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """As in the package."""
        n = fitting(x, self.length)
        a = mixed(self.R[:, :n, :n], x, mask, self.causal)  # [1 or batch, heads, tokens, tokens]
        a = functional.dropout(a, self.dropout, self.training)
        v = self.value(x).unflatten(-1, (len(self.R), -1))  # [batch, tokens, heads, dim/heads]
        o = torch.einsum("hij,njhd->nihd", a[0], v) if len(a) == 1 else torch.einsum("nhij,njhd->nihd", a, v)
        return self.out(o.flatten(2))


class Frozen(Random):
    """R of each head, as it was drawn."""

    trained = False


class Dense(nn.Module):
    """B of each head, made of its own part of relu(W1 x)."""

    frame = Frame()

    def __init__(self, dim: int, length: int, causal: bool, settings: Settings) -> None:
        super().__init__()
        width = shared(dim, settings.heads)
        self.length, self.causal, self.dropout, self.heads = length, causal, settings.dropout, settings.heads
        self.first = nn.Linear(dim, dim)
        self.second = nn.Parameter(torch.empty(settings.heads, length, width).uniform_(-1, 1) * width**-0.5)
        self.value, self.out = nn.Linear(dim, dim), nn.Linear(dim, dim)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """As in the package."""
        n = fitting(x, self.length)
        hidden = functional.relu(self.first(x)).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        a = mixed(hidden @ self.second[:, :n].mT, x, mask, self.causal)  # [batch, heads, tokens, tokens]
        a = functional.dropout(a, self.dropout, self.training)
        v = self.value(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        return self.out((a @ v).transpose(1, 2).flatten(2))


def mixed(b: torch.Tensor, x: torch.Tensor, mask: torch.Tensor | None, causal: bool) -> torch.Tensor:
    """softmax of `b` [.., heads, tokens, tokens] over what each token may look at; [1 or batch, heads, ...]."""
    seen = visible(x.shape[1], mask, causal, x.device)
    if seen is not None:
        b = b.masked_fill(~seen, -torch.inf)
    b = b.softmax(-1)
    return b if b.dim() == 4 else b[None]
