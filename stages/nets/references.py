"""Images that no model made, by which a score is read: what a Gaussian, or no order at all, would get.

All take images [n, channels, height, width] in [0, 1] and give `n` or `count` such images.
"""

from __future__ import annotations

import torch
from torch.nn import functional


def gaussian(images: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
    """Draws of the normal law with mean and full covariance of the pixels, cut off at 0 and 1.

    With X the centred images [n, d] and z ~ N(0, 1)^n, mean + z X / sqrt(n - 1) has their covariance: none is formed.
    """
    flat = images.flatten(1)  # [n, d]
    mean = flat.mean(0)
    z = torch.randn(count, len(flat), generator=generator, device=flat.device, dtype=flat.dtype)
    drawn = mean + z @ (flat - mean) / (len(flat) - 1) ** 0.5
    return drawn.clamp(0, 1).reshape(count, *images.shape[1:])


def shuffled(images: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
    """Every pixel from an image of its own: the law of each pixel is right, and they are independent."""
    flat = images.flatten(1)
    rows = torch.randint(len(flat), (count, flat.shape[1]), generator=generator, device=flat.device)
    return flat.gather(0, rows).reshape(count, *images.shape[1:])


def blurred(images: torch.Tensor) -> torch.Tensor:
    """Every pixel the mean of the 3 x 3 around it, black beyond the edge."""
    return functional.avg_pool2d(images, 3, stride=1, padding=1)


def noise(images: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
    """Uniform pixels."""
    shape = (count, *images.shape[1:])
    return torch.rand(shape, generator=generator, device=images.device, dtype=images.dtype)
