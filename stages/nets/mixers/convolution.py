"""Convolutions over tokens: each sees K neighbours, with taps of a channel, of a head, or made of the token.

Article: https://kexue.fm/archives/8431; papers: Tay et al. 2021 (Are Pre-trained Convolutions Better?),
https://arxiv.org/abs/2105.03322, and Wu et al. 2019, https://arxiv.org/abs/1901.10430.

    X <- GLU(X W),    O_{i,c} = sum_j w_{h(c),j} X_{i + dilation (j - K // 2), c},    then W_o
    depthwise: w of each channel        lightweight: softmax(w) over taps, of each head
    dynamic:   softmax(W x_i) over taps, of each head

Causal: the last tap is the token itself. The number: the Jacobian between tokens is 0 beyond the taps
(tests/nets/test_mixers.py).
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from stages.core.errors import Refusal
from stages.nets.mixers.settings import Frame, Settings, shared, zeroed


class Depthwise(nn.Module):
    """w [dim, K]."""

    frame = Frame()

    def __init__(self, dim: int, length: int, causal: bool, settings: Settings) -> None:
        super().__init__()
        self.kernel, self.dilation, self.dropout = settings.kernel, settings.dilation, settings.dropout
        if min(self.kernel, self.dilation) < 1:
            raise Refusal("params.yaml: kernel and dilation of a convolution are 1 at least")
        before = self.kernel - 1 if causal else self.kernel // 2
        self.margins = (before * self.dilation, (self.kernel - 1 - before) * self.dilation)
        self.heads = self.sharing(dim, settings)
        self.inner, self.out = nn.Linear(dim, 2 * dim), nn.Linear(dim, dim)
        self.taps = self.made(dim)

    def sharing(self, dim: int, settings: Settings) -> int:
        """How many kernels there are."""
        return dim

    def made(self, dim: int) -> nn.Module | nn.Parameter:
        """The parameters of the taps."""
        return nn.Parameter(torch.empty(self.heads, self.kernel).uniform_(-1, 1) * self.kernel**-0.5)

    def weights(self) -> torch.Tensor:
        """The taps [heads, K]."""
        return self.taps

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """As in the package."""
        x = zeroed(functional.glu(self.inner(x)), mask)
        return self.out(self.mixed(functional.pad(x, (0, 0, *self.margins))))

    def mixed(self, padded: torch.Tensor) -> torch.Tensor:
        """O [n, tokens, dim] of X with margins."""
        w = functional.dropout(self.weights(), self.dropout, self.training)
        w = w.repeat_interleave(padded.shape[-1] // self.heads, 0)[:, None]  # [dim, 1, K]
        return functional.conv1d(padded.mT, w, dilation=self.dilation, groups=len(w)).mT


class Lightweight(Depthwise):
    """w [heads, K], which softmax makes sum to 1."""

    def sharing(self, dim: int, settings: Settings) -> int:
        """How many kernels there are."""
        shared(dim, settings.heads)
        return settings.heads

    def weights(self) -> torch.Tensor:
        """The taps [heads, K]."""
        return self.taps.softmax(-1)


class Dynamic(Lightweight):
    """w [n, tokens, heads, K] of what each token is."""

    def made(self, dim: int) -> nn.Module | nn.Parameter:
        """The parameters of the taps."""
        return nn.Linear(dim, self.heads * self.kernel, bias=False)

    def mixed(self, padded: torch.Tensor) -> torch.Tensor:
        """O [n, tokens, dim] of X with margins."""
        before, after = self.margins
        w = self.taps(padded[:, before : padded.shape[1] - after]).unflatten(-1, (self.heads, self.kernel)).softmax(-1)
        w = functional.dropout(w, self.dropout, self.training)  # [n, tokens, heads, K]
        seen = padded.unfold(1, before + after + 1, 1)[..., :: self.dilation]  # [n, tokens, dim, K], a view
        return (seen.unflatten(2, (self.heads, -1)) @ w[..., None]).flatten(2)
