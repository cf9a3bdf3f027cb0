"""Filling in what is hidden of an image: sampling with the known pixels held.

Article: https://kexue.fm/archives/6612; paper: https://arxiv.org/abs/1903.08689, section 4.
"""

from __future__ import annotations

import torch

from stages.core.params import Choices
from stages.nets.langevin import Descent, Potential, descend


def lower(height: int, width: int) -> torch.Tensor:
    """Which pixels are known, [1, 1, height, width]: all but the lower half."""
    return (torch.arange(height) < height // 2)[None, None, :, None].expand(1, 1, height, width)


def left(height: int, width: int) -> torch.Tensor:
    """All but the left half."""
    return lower(width, height).flip(2).transpose(2, 3)


def middle(height: int, width: int) -> torch.Tensor:
    """All but the square in the middle of half the side."""
    y, x = (((2 * torch.arange(n) + 1 - n).abs() > n / 2) for n in (height, width))
    return (y[:, None] | x)[None, None]


HIDDEN: Choices = {"lower": lower, "left": left, "middle": middle}


def inpaint(
    u: Potential, images: torch.Tensor, known: torch.Tensor, descent: Descent, source: torch.Generator
) -> torch.Tensor:
    """`images` [n, channels, height, width] where `known`, elsewhere samples that began as uniform noise."""
    noise = torch.rand(images.shape, generator=source, device=images.device, dtype=images.dtype)
    begin = torch.where(known, images, descent.low + (descent.high - descent.low) * noise)
    return descend(u, begin, descent, source, known)
