"""Self-attention, the baseline: every token asks all others.

Article: https://kexue.fm/archives/8431; paper: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762.

    O = softmax(Q K^T / sqrt d) V,    a head at a time, then W_o

The number: without positions it commutes with permutations of tokens to 1e-6 (tests/nets/test_mixers.py).
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from stages.nets.mixers.settings import Frame, Settings, shared, visible


class Attention(nn.Module):
    """x [n, tokens, dim] -> the same; for any number of tokens."""

    frame = Frame()

    def __init__(self, dim: int, length: int, causal: bool, settings: Settings) -> None:
        super().__init__()
        shared(dim, settings.heads)
        self.heads, self.causal, self.dropout = settings.heads, causal, settings.dropout
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """As in the package."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # [n, heads, tokens, dim/heads]
        seen = visible(x.shape[1], mask, self.causal, x.device) if mask is not None else None
        dropout = self.dropout if self.training else 0.0
        causal = self.causal and mask is None
        o = functional.scaled_dot_product_attention(q, k, v, attn_mask=seen, dropout_p=dropout, is_causal=causal)
        return self.out(o.transpose(1, 2).flatten(2))
