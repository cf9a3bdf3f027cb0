"""FNet: the Fourier transform over tokens and channels mixes them, without a parameter.

Article: https://kexue.fm/archives/8431; paper: Lee-Thorp et al. 2021, https://arxiv.org/abs/2105.03824.

    O = Re(F_tokens F_channels X),    F = exp(-2 pi i j k / n)

So every token sees all and which of them is the last: it cannot be causal, and padding, though it counts as 0, changes
what comes out. The number: Re(D X D) with matrices written out, to 1e-10 (tests/nets/test_mixers.py).
"""

from __future__ import annotations

import torch
from torch import nn

from stages.core.errors import Refusal
from stages.nets.mixers.settings import Frame, Settings, zeroed


class Fnet(nn.Module):
    """For any number of tokens; float32 at least, as transforms of half numbers are not in every device."""

    frame = Frame()

    def __init__(self, dim: int, length: int, causal: bool, settings: Settings) -> None:
        super().__init__()
        if causal:
            raise Refusal("a Fourier transform looks at all tokens: fnet cannot be causal; choose another mixer")

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """As in the package."""
        x = zeroed(x, mask)
        return torch.fft.fft2(x if x.dtype == torch.float64 else x.float()).real.to(x.dtype)
