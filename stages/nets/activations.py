"""Activations as modules, one table: torch's own, and smooth ones whose width and slope may be trained.

Article: https://kexue.fm/archives/8718; paper: Biswas et al. 2021 (SAU, https://arxiv.org/abs/2109.13210).

    SAU(x) = α x + (1 - α) R(x)         convolution: where the function is monotone, so is this
    SMU(x) = α x + (1 - α) x S(x)       only the step in x θ(x) is smoothed: it dips (https://arxiv.org/abs/2111.04682)

Relatives: R is the softplus with a logistic kernel, squareplus with Student's, SmeLU with a box; x S(x) is GELU with a
Gaussian of width 1 and SiLU with a logistic one. The number: on digits SAU is within a point of ReLU and GELU (systems
row `benchmark_activations`).
"""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import nn

from stages.core.errors import Refusal
from stages.core.params import Choices
from stages.nets.smoothing import (
    BOX,
    GAUSSIAN,
    LOGISTIC,
    STUDENT,
    Kernel,
    Piecewise,
    clip,
    ramp,
    smooth,
    smooth_floor,
    smooth_largest,
    step,
)


class Width(nn.Module):
    """h >= 0 of a kernel; where it is trained, log h is the parameter, so that it stays positive."""

    def __init__(self, width: float, trained: bool = False) -> None:
        super().__init__()
        if not width >= 0 or (trained and width == 0):
            raise Refusal(f"the width of a kernel is {width}: it must be at least 0, and above 0 to be trained")
        self.width = width
        self.log = nn.Parameter(torch.tensor(math.log(width))) if trained else None

    def forward(self) -> float | torch.Tensor:
        """h, a tensor where it is trained."""
        return self.width if self.log is None else self.log.exp()


class Leaky(nn.Module):
    """What is α x below 0 and x above, smoothed; `slope` is α, trained with the width or not."""

    def __init__(
        self, width: float = 1.0, slope: float = 0.01, kernel: Kernel = GAUSSIAN, trained: bool = False
    ) -> None:
        super().__init__()
        self.width, self.kernel = Width(width, trained), kernel
        self.slope = nn.Parameter(torch.tensor(slope)) if trained else slope


class SAU(Leaky):
    """Its convolution with a kernel: α x + (1 - α) R(x)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Any shape."""
        return self.slope * x + (1 - self.slope) * ramp(x, self.width(), self.kernel)


class SMU(Leaky):
    """Only its step smoothed: α x + (1 - α) x S(x)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Any shape."""
        return self.slope * x + (1 - self.slope) * x * step(x, self.width(), self.kernel)


class Smooth(nn.Module):
    """The smooth version of any function of pieces."""

    def __init__(self, f: Piecewise, width: float = 1.0, kernel: Kernel = GAUSSIAN, trained: bool = False) -> None:
        super().__init__()
        self.f, self.width, self.kernel = f, Width(width, trained), kernel

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Any shape."""
        return smooth(self.f, x, self.width(), self.kernel)


class SmoothFloor(nn.Module):
    """Stairs of `step`, the jumps at its multiples moved by `shift` steps to the left: 0 is floor, 1/2 is round."""

    def __init__(self, width: float = 0.1, kernel: Kernel = LOGISTIC, step: float = 1.0, shift: float = 0.0) -> None:
        super().__init__()
        self.width, self.kernel, self.step, self.shift = width, kernel, step, shift

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Any shape."""
        return self.step * smooth_floor(x / self.step + self.shift, self.width / self.step, self.kernel)


class SmoothMax(nn.Module):
    """The largest along `dim`."""

    def __init__(self, dim: int, width: float = 1.0, kernel: Kernel = LOGISTIC, trained: bool = False) -> None:
        super().__init__()
        self.dim, self.width, self.kernel = dim, Width(width, trained), kernel

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[..., n, ...] without `dim`."""
        return smooth_largest(x, self.dim, self.width(), self.kernel)


NARROW = 0.3
"""A width at which deep networks start to learn: at 0 a ramp is 0.4 widths high, which adds up."""

smooth_round = partial(SmoothFloor, shift=0.5)

ACTIVATIONS: Choices = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "prelu": nn.PReLU,
    "elu": nn.ELU,
    "tanh": nn.Tanh,
    "softplus": nn.Softplus,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "mish": nn.Mish,
    "hardswish": nn.Hardswish,
    "gaussian_relu": partial(SAU, slope=0.0),
    "squareplus": partial(SAU, slope=0.0, kernel=STUDENT),
    "smelu": partial(SAU, width=2.0, slope=0.0, kernel=BOX),
    "smooth_absolute": partial(SAU, slope=-1.0),
    "smooth_tanh": partial(Smooth, clip(-1.0, 1.0)),
    "sau": partial(SAU, NARROW),
    "sau_trained": partial(SAU, NARROW, 0.25, trained=True),
    "smu": partial(SMU, NARROW, 0.25, trained=True),
    "smu1": partial(SAU, NARROW, 0.25, STUDENT, trained=True),
    "swish": partial(SMU, slope=0.0, kernel=LOGISTIC, trained=True),
}
"""Calls without arguments that make one; the slopes of trained ones are where their training starts."""
