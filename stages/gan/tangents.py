"""Exponential and logarithm that follow their tangent where the numbers would get out of hand.

The losses of f-GANs and of designed GANs hold exp and log of raw scores. Past a score of 15 an exponential is worth
millions, and its square is still far inside float32; a little further a single sample decides the step, then it
overflows. A clamp would also stop the gradient, and with it the only force that brings the score back: for
E_q exp(v) - E_p v a clamped critic may grow on fakes for free. The tangent keeps value, slope, order and convexity.
"""

from __future__ import annotations

import math

import torch
from torch.nn import functional

FARTHEST = 15.0


def exp(x: torch.Tensor) -> torch.Tensor:
    """e^x up to x = 15, and beyond it the tangent at 15; any shape."""
    return torch.exp(x.clamp(max=FARTHEST)) * (1 + functional.relu(x - FARTHEST))


def log(x: torch.Tensor) -> torch.Tensor:
    """log x down to x = e^-15, and below it the tangent there, for x of any sign; any shape."""
    lowest = math.exp(-FARTHEST)
    return torch.log(x.clamp(min=lowest)) - functional.relu(lowest - x) / lowest
