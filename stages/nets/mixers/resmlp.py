"""ResMLP: one linear map of tokens, and affine maps of channels where others have norms.

Article: https://kexue.fm/archives/8431; paper: Touvron et al. 2021, https://arxiv.org/abs/2105.03404.

    Z = X + Aff'(A Aff(X)),    Y = Z + Aff'(C g(B Aff(Z))),    Aff(x) = alpha x + beta, Aff' with a small alpha

The number: with alpha' = 0 the block is the identity, exactly (tests/nets/test_mixers.py).
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from stages.nets.mixers.settings import Frame, Settings, fitting, zeroed


class Affine(nn.Module):
    """x [..., dim] -> alpha x + beta."""

    def __init__(self, dim: int, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha, self.beta = nn.Parameter(torch.full((dim,), alpha)), nn.Parameter(torch.zeros(dim))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The affine map of each channel."""
        return torch.addcmul(self.beta, x, self.alpha)


class ResMlp(nn.Module):
    """A, lower triangular where causal."""

    frame = Frame(norm=Affine, last=lambda dim, settings: Affine(dim, settings.scale))

    def __init__(self, dim: int, length: int, causal: bool, settings: Settings) -> None:
        super().__init__()
        self.length, self.causal, self.dropout = length, causal, settings.dropout
        self.A = nn.Parameter(torch.empty(length, length).uniform_(-1, 1) * length**-0.5)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """As in the package."""
        n = fitting(x, self.length)
        a = self.A[:n, :n].tril() if self.causal else self.A[:n, :n]
        a = functional.dropout(a, self.dropout, self.training)
        return torch.einsum("ij,njd->nid", a, zeroed(x, mask))
