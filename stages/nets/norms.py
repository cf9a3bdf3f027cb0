"""Layer norm that a condition steers.

Article: https://kexue.fm/archives/7124.

    y = γ(c) (x - mean) / deviation + β(c),    γ(c) = γ + A c,  β(c) = β + B c

A and B start at 0, and so the layer as a plain layer norm, whose weights may be put into it.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


class ConditionalLayerNorm(nn.LayerNorm):
    """Layer norm over the last axis, of size `dim`, with a condition of `size` numbers a sample."""

    def __init__(self, dim: int, size: int, eps: float = 1e-5) -> None:
        super().__init__(dim, eps)
        self.to_weight, self.to_bias = (nn.Linear(size, dim, bias=False) for _ in range(2))
        for layer in (self.to_weight, self.to_bias):
            nn.init.zeros_(layer.weight)

    def forward(self, x: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """x [n, ..., dim] and condition [n, size] -> [n, ..., dim]."""
        axes = (len(x), *[1] * (x.dim() - 2), -1)
        weight = (self.weight + self.to_weight(condition)).reshape(axes)
        bias = (self.bias + self.to_bias(condition)).reshape(axes)
        return functional.layer_norm(x, self.normalized_shape, eps=self.eps) * weight + bias
