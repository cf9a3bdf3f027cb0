"""External attention: tokens ask a memory of S slots that belongs to the model, not each other.

Article: https://kexue.fm/archives/8431; paper: Guo et al. 2021, https://arxiv.org/abs/2105.02358.

    O = Norm(X M_k^T) M_v,    M_k, M_v [S, dim]
    over slots (what the article writes)     softmax over S: every token is on its own
    over tokens (what its authors' code does) softmax over tokens, then divided by the sum over S: tokens do meet

Causal: the softmax over tokens is over those up to each one, exp(a_i - logsumexp of a_1 ... a_i). The number: the
Jacobian between tokens is 0 of the first and not of the second (tests/nets/test_mixers.py).
"""

from __future__ import annotations

import torch
from torch import nn

from stages.nets.mixers.settings import Frame, Settings


class OverSlots(nn.Module):
    """Norm is softmax over the slots of the memory."""

    frame = Frame()

    def __init__(self, dim: int, length: int, causal: bool, settings: Settings) -> None:
        super().__init__()
        self.causal = causal
        self.keys, self.values = (
            nn.Linear(*size, bias=False) for size in ((dim, settings.memories), (settings.memories, dim))
        )
        self.drop = nn.Dropout(settings.dropout)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """As in the package."""
        return self.values(self.drop(self.normed(self.keys(x), mask)))

    def normed(self, a: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """Norm of `a` [n, tokens, S]."""
        return a.softmax(-1)


class OverTokens(OverSlots):
    """Norm is softmax over tokens, then division by the sum over slots."""

    def normed(self, a: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """Norm of `a` [n, tokens, S]; in logarithms, so that a token that none of the slots looks at is no 0 / 0."""
        seen = a if mask is None else a.masked_fill(~mask[..., None], LEAST)
        total = seen.logcumsumexp(1) if self.causal else seen.logsumexp(1, keepdim=True)
        return (a - total).softmax(-1)  # exp over its sum over S


LEAST = -1e4
"""The logit of a token that is not there: below all others, and a number of bfloat16."""
