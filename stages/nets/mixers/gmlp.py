"""gMLP: half of the channels, mixed linearly over tokens, gates the other half; aMLP adds a little attention to that.

Article: https://kexue.fm/archives/8431; paper: Liu et al. 2021, https://arxiv.org/abs/2105.08050.

    Z = g(LN(X) U), [Z1, Z2] = Z,    s = Z1 (W LN(Z2) + b + A(LN X)),    Y = X + s V
    W almost 0 and b = 1 at first, so that s = Z1; A only in aMLP: one head, `tiny` wide

No perceptron over channels follows: U and V are one. The number: |s - Z1| < 1e-2 at first (tests/nets/test_mixers.py).
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from stages.core.errors import Refusal
from stages.nets.mixers.settings import Frame, Settings, fitting, visible, zeroed

ALMOST = 1e-3
"""W at first, times 1 / length."""


class Gmlp(nn.Module):
    """x -> s V."""

    frame = Frame(channels="none")

    def __init__(self, dim: int, length: int, causal: bool, settings: Settings) -> None:
        super().__init__()
        inner = settings.expansion * dim
        if inner % 2:
            raise Refusal(f"params.yaml: gMLP halves its expansion * dim, but {inner} is odd: change one of them")
        self.length, self.causal, self.dropout = length, causal, settings.dropout
        self.U, self.V = nn.Linear(dim, inner), nn.Linear(inner // 2, dim)
        self.norm, self.g = nn.LayerNorm(inner // 2), nn.GELU()
        self.W = nn.Parameter(torch.empty(length, length).uniform_(-1, 1) * ALMOST / length)
        self.b = nn.Parameter(torch.ones(length))

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """As in the package."""
        return self.V(self.gated(x, mask))

    def gated(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """s [n, tokens, expansion * dim / 2]."""
        n = fitting(x, self.length)
        z1, z2 = self.g(self.U(x)).chunk(2, -1)
        w = self.W[:n, :n].tril() if self.causal else self.W[:n, :n]
        w = functional.dropout(w, self.dropout, self.training)
        gate = torch.einsum("ij,njd->nid", w, zeroed(self.norm(z2), mask)) + self.b[:n, None]
        return z1 * self.attended(gate, x, mask)

    def attended(self, gate: torch.Tensor, x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """The gate as it is."""
        return gate


class Amlp(Gmlp):
    """With one head of attention in the gate."""

    def __init__(self, dim: int, length: int, causal: bool, settings: Settings) -> None:
        super().__init__(dim, length, causal, settings)
        self.qkv = nn.Linear(dim, 3 * settings.tiny)
        self.A = nn.Linear(settings.tiny, settings.expansion * dim // 2)

    def attended(self, gate: torch.Tensor, x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """The gate and A(x)."""
        q, k, v = self.qkv(x)[:, None].chunk(3, -1)  # [n, 1, tokens, tiny]
        seen = visible(x.shape[1], mask, self.causal, x.device)
        dropout = self.dropout if self.training else 0.0
        return gate + self.A(functional.scaled_dot_product_attention(q, k, v, attn_mask=seen, dropout_p=dropout)[:, 0])
