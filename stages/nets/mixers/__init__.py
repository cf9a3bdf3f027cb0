"""Ways to mix tokens, behind one signature; self-attention is the baseline.

Article: https://kexue.fm/archives/8431, which surveys what was put in place of attention in 2021.

    make(name, dim, length)       x [n, tokens, dim], mask [n, tokens] or None -> O [n, tokens, dim]
    Block(name, dim, length)      the same, with residuals, norms and a perceptron over channels

`tokens` may be fewer than `length`. Where the mask is False there is no token: what is there, and, but for fnet, how
many of them follow, changes nothing for the others; what comes out there means nothing.
"""

from __future__ import annotations

import torch
from torch import nn

from stages.core.params import choose
from stages.nets.mixers import attention, convolution, external, fourier, gmlp, perceptron, resmlp, synthesizer
from stages.nets.mixers.settings import USUAL, Settings

__all__ = ["MIXERS", "USUAL", "Block", "Settings", "make"]

MIXERS: dict[str, type[nn.Module]] = {
    "attention": attention.Attention,
    "synthesizer_random": synthesizer.Random,
    "synthesizer_frozen": synthesizer.Frozen,
    "synthesizer_dense": synthesizer.Dense,
    "mixer": perceptron.Mixer,
    "ffn_stack": perceptron.Stack,
    "resmlp": resmlp.ResMlp,
    "external_over_slots": external.OverSlots,
    "external_over_tokens": external.OverTokens,
    "convolution_depthwise": convolution.Depthwise,
    "convolution_lightweight": convolution.Lightweight,
    "convolution_dynamic": convolution.Dynamic,
    "fnet": fourier.Fnet,
    "gmlp": gmlp.Gmlp,
    "amlp": gmlp.Amlp,
}
"""Modules made of (dim, length, causal, settings), each with the `frame` that its block is made by.

No `Choices`, of which only named entries count in the digest of a row's code: checks and benchmarks go through all.
"""


def make(name: str, dim: int, length: int, causal: bool = False, settings: Settings = USUAL) -> nn.Module:
    """The mixer `name` for tokens [n, up to `length`, dim]; if `causal`, each token sees those before it and itself.

    Raises `Refusal` for an unknown name, sizes that do not fit, and where it cannot be causal.
    """
    return choose(MIXERS, name, "mixer")(dim, length, causal, settings)


class Block(nn.Module):
    """x + mixing(norm(x)), and x + perceptron(norm(x)) over channels, in the order and with the norms of the mixer."""

    def __init__(self, name: str, dim: int, length: int, causal: bool = False, settings: Settings = USUAL) -> None:
        super().__init__()
        self.mixing = make(name, dim, length, causal, settings)
        self.frame = self.mixing.frame
        self.norm, self.last = self.frame.norm(dim), self._last(dim, settings)
        self.channels = None
        if self.frame.channels != "none":
            inner = settings.expansion * dim
            perceptron = [nn.Linear(dim, inner), nn.GELU(), nn.Linear(inner, dim)]
            self.channels = nn.Sequential(self.frame.norm(dim), *perceptron, self._last(dim, settings))

    def _last(self, dim: int, settings: Settings) -> nn.Module:
        return self.frame.last(dim, settings) if self.frame.last else nn.Identity()

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """x [n, tokens, dim], mask [n, tokens] or None -> [n, tokens, dim]."""
        if self.frame.channels == "before":
            x = x + self.channels(x)
        x = x + self.last(self.mixing(self.norm(x), mask))
        return x + self.channels(x) if self.frame.channels == "after" else x
