"""A perceptron over tokens: MLP-Mixer, and the stack of feed-forward layers, which is the same with the order changed.

Article: https://kexue.fm/archives/8431; papers: Tolstikhin et al. 2021 (MLP-Mixer), https://arxiv.org/abs/2105.01601,
and Melas-Kyriazi 2021 (Do You Even Need Attention?), https://arxiv.org/abs/2105.02723.

    U = X + W2 g(W1 LN(X)),    W1 [m, length], W2 [length, m] on the axis of tokens, the same for all channels
    Y = U + W4 g(W3 LN(U))     on channels; the stack begins with channels, and has m = 4 length

Causal: hidden unit k sees the tokens up to place k length / m, and the tokens from that place on see it, as in MADE
(Germain et al. 2015, https://arxiv.org/abs/1502.03509). The number: with g the identity it is W2 W1 X, Random
Synthesizer without softmax, exactly (tests/nets/test_mixers.py).
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from stages.core.errors import Refusal
from stages.nets.mixers.settings import Frame, Settings, fitting, zeroed


class Mixer(nn.Module):
    """MLP-Mixer's: m = settings.hidden * length."""

    frame = Frame()

    def __init__(self, dim: int, length: int, causal: bool, settings: Settings) -> None:
        super().__init__()
        m = self.units(length, settings)
        if m < 1:
            raise Refusal(f"params.yaml: hidden {settings.hidden:g} of {length} tokens is no hidden unit: raise it")
        self.length, self.g, self.dropout = length, nn.GELU(), settings.dropout
        self.first, self.second = nn.Linear(length, m), nn.Linear(m, length)
        if causal:
            place, token = torch.arange(m) * length // m, torch.arange(length)
            self.register_buffer("past", (token <= place[:, None]).float(), persistent=False)  # [m, length]
            self.register_buffer("future", (token[:, None] >= place).float(), persistent=False)  # [length, m]
        self.causal = causal

    @staticmethod
    def units(length: int, settings: Settings) -> int:
        """m."""
        return int(settings.hidden * length)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """As in the package."""
        n = fitting(x, self.length)
        first, second = self.first.weight, self.second.weight
        if self.causal:
            first, second = first * self.past, second * self.future
        first = functional.dropout(first[:, :n], self.dropout, self.training)
        second = functional.dropout(second[:n], self.dropout, self.training)
        hidden = self.g(functional.linear(zeroed(x, mask).mT, first, self.first.bias))  # [batch, dim, m]
        return functional.linear(hidden, second, self.second.bias[:n]).mT


class Stack(Mixer):
    """Of feed-forward layers: m = settings.expansion * length, and the channels' layer stands first."""

    frame = Frame(channels="before")

    @staticmethod
    def units(length: int, settings: Settings) -> int:
        """m."""
        return settings.expansion * length
