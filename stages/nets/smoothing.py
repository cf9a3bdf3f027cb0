"""Smooth versions of functions with bends and jumps: convolution with a narrow kernel.

Article: https://kexue.fm/archives/8718; paper: Biswas et al. 2021 (SAU, https://arxiv.org/abs/2109.13210).

    g(x) = integral of f(y) φ_h(x - y) dy,    φ_h(x) = φ(x / h) / h,  φ even, of integral 1
    S(x) = integral of φ_h up to x (a smooth step θ),    R(x) = integral of S up to x (a smooth ramp x_+)
    f = c0 + c1 x + Σ Δ_i (x - a_i)_+ + Σ J_m θ(x - b_m)    gives    g = c0 + c1 x + Σ Δ_i R(x - a_i) + Σ J_m S(x - b_m)

It is computed as f and what smoothing adds, which fades away from bends and jumps: nothing large cancels.

    S(x) - θ(x) = -sign(x) tail(|x| / h)        tail(u) = integral of φ from u on
    R(x) - x_+ = h rest(|x| / h)                rest(u) = integral of tail from u on

The number: R of the Gaussian is at most σ / sqrt(2 π) = 0.3989 σ off x_+, that of the logistic h ln 2, both at 0
(systems row `nets_theory`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce

import numpy as np
import torch
from torch.nn import functional

from stages.core.errors import Refusal
from stages.core.params import Choices

Width = float | torch.Tensor
"""h > 0: σ of the Gaussian, 1/t of the logistic kernel. A number 0 gives f itself; a tensor may be trained."""

FARTHEST = 1e9  # widths; its square is still a float32, and farther out nothing changes


@dataclass(frozen=True)
class Kernel:
    """φ of width 1 by its integrals, functions of u >= 0."""

    tail: Callable[[torch.Tensor], torch.Tensor]
    rest: Callable[[torch.Tensor], torch.Tensor] | None  # None where φ has no mean: it smooths jumps, but no bends
    reach: float | None  # where `tail` is below 1e-17; None where that is nowhere
    nodes: Callable[[int], tuple[np.ndarray, np.ndarray]] | None = None  # places and weights of a quadrature with φ


def _normal_tail(u: torch.Tensor) -> torch.Tensor:
    return 0.5 * torch.erfc(u / math.sqrt(2))


def _normal_rest(u: torch.Tensor) -> torch.Tensor:
    return torch.exp(-0.5 * u * u) / math.sqrt(2 * math.pi) - u * _normal_tail(u)


def _hermite(n: int) -> tuple[np.ndarray, np.ndarray]:
    places, weights = np.polynomial.hermite.hermgauss(n)
    return math.sqrt(2) * places, weights / math.sqrt(math.pi)


def _trapezoid(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Of the logistic density, which is analytic: to 1e-10 with 64 nodes."""
    places = np.linspace(-25, 25, n)
    weights = 1 / np.cosh(places / 2) ** 2
    return places, weights / weights.sum()


def _legendre(n: int) -> tuple[np.ndarray, np.ndarray]:
    places, weights = np.polynomial.legendre.leggauss(n)
    return places, weights / 2


def _student_tail(u: torch.Tensor) -> torch.Tensor:
    root = torch.sqrt(1 + u * u)
    return 0.5 / (root * (root + u))


GAUSSIAN = Kernel(_normal_tail, _normal_rest, 8.5, _hermite)
LOGISTIC = Kernel(lambda u: torch.sigmoid(-u), lambda u: functional.softplus(-u), 40.0, _trapezoid)
CAUCHY = Kernel(lambda u: torch.atan2(torch.ones_like(u), u) / math.pi, None, None)
# R = (x + sqrt(x^2 + h^2)) / 2, squareplus
STUDENT = Kernel(_student_tail, lambda u: 0.5 / (u + torch.sqrt(1 + u * u)), None)
# R = (x + h)^2 / 4h for |x| <= h: SmeLU, Shamir & Lin 2022 (https://arxiv.org/abs/2202.06499)
BOX = Kernel(lambda u: (1 - u).clamp(min=0) / 2, lambda u: (1 - u).clamp(min=0).square() / 4, 1.0, _legendre)

KERNELS: Choices = {"gaussian": GAUSSIAN, "logistic": LOGISTIC, "cauchy": CAUCHY, "student": STUDENT, "box": BOX}


def _jump(x: torch.Tensor, width: Width, kernel: Kernel) -> torch.Tensor | float:
    """S - θ."""
    u, sign = _distance(x, width)
    return 0.0 if u is None else -sign * kernel.tail(u)


def _bend(x: torch.Tensor, width: Width, kernel: Kernel) -> torch.Tensor | float:
    """R - x_+."""
    if kernel.rest is None:
        raise Refusal("a Cauchy kernel has no mean and smooths no bend: choose gaussian, logistic, student or box")
    u, _ = _distance(x, width)
    return 0.0 if u is None else width * kernel.rest(u)


def _distance(x: torch.Tensor, width: Width) -> tuple[torch.Tensor | None, torch.Tensor]:
    """|x| / h, None where h is the number 0, and the sign of x, 1 at 0.

    The sign counts as a constant, so that derivatives are right at 0 too, where those of x_+ and of the rest add up.
    """
    sign = torch.where(x >= 0, 1.0, -1.0).to(x.dtype)
    if not isinstance(width, torch.Tensor):
        if not width >= 0:
            raise Refusal(f"the width of a kernel is {width}: it must be at least 0")
        if width == 0:
            return None, sign
    return (sign * x / width).clamp(max=FARTHEST), sign


def _wide(x: torch.Tensor) -> torch.Tensor:
    """`x` as at least float32, and finite: what is infinite becomes the largest number."""
    if not x.is_floating_point():
        raise Refusal(f"smooth functions take floating-point numbers, not {x.dtype}: convert them first")
    most = torch.finfo(x.dtype).max
    return (x.float() if x.dtype in (torch.float16, torch.bfloat16) else x).clamp(-most, most)


@dataclass(frozen=True)
class Piecewise:
    """f(x) = constant + slope x + Σ Δ (x - a)_+ + Σ J θ(x - b), with bends (a, Δ) and jumps (b, J); θ(0) = 1."""

    constant: float = 0.0
    slope: float = 0.0
    bends: tuple[tuple[float, float], ...] = ()
    jumps: tuple[tuple[float, float], ...] = ()

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """f itself, piece by piece, so that a large x does not wipe out a constant."""
        slope, constant = self.slope, self.constant
        value = constant + slope * x
        changes = [(a, delta, -delta * a) for a, delta in self.bends] + [(b, 0.0, height) for b, height in self.jumps]
        for place, steeper, higher in sorted(changes):
            slope, constant = slope + steeper, constant + higher
            value = torch.where(x >= place, constant + slope * x, value)
        return value


def leaky(slope: float) -> Piecewise:
    """x, and `slope` x below 0: ReLU for 0, |x| for -1."""
    return Piecewise(slope=slope, bends=((0.0, 1 - slope),))


def clip(low: float, high: float) -> Piecewise:
    """x kept between `low` and `high`; raises `Refusal` where nothing is between."""
    if not low < high:
        raise Refusal(f"clip keeps numbers between {low} and {high}, which is nothing: the first must be less")
    return Piecewise(low, bends=((low, 1.0), (high, -1.0)))


def stairs(first: int, last: int) -> Piecewise:
    """floor(x) as in the article: with the jumps at `first`, ..., `last` only."""
    return Piecewise(first - 1.0, jumps=tuple((float(n), 1.0) for n in range(first, last + 1)))


STEP = Piecewise(jumps=((0.0, 1.0),))
RAMP = Piecewise(bends=((0.0, 1.0),))
SIGN = Piecewise(-1.0, jumps=((0.0, 2.0),))


def smooth(f: Piecewise, x: torch.Tensor, width: Width, kernel: Kernel = GAUSSIAN) -> torch.Tensor:
    """g at `x` of any shape: the smooth version of `f`, and `f` itself where the width is the number 0.

    Raises `Refusal` for a negative width, and for bends with a kernel that has no mean.
    """
    wide = _wide(x)
    g = f(wide)
    for place, delta in f.bends:
        g = g + delta * _bend(wide - place, width, kernel)
    for place, height in f.jumps:
        g = g + height * _jump(wide - place, width, kernel)
    return g.to(x.dtype)


def step(x: torch.Tensor, width: Width, kernel: Kernel = GAUSSIAN) -> torch.Tensor:
    """S at `x` of any shape: the smooth version of θ."""
    return smooth(STEP, x, width, kernel)


def ramp(x: torch.Tensor, width: Width, kernel: Kernel = GAUSSIAN) -> torch.Tensor:
    """R at `x` of any shape: the smooth version of max(x, 0); raises `Refusal` for a kernel that has no mean."""
    return smooth(RAMP, x, width, kernel)


def smooth_floor(x: torch.Tensor, width: float, kernel: Kernel = LOGISTIC) -> torch.Tensor:
    """floor with all its jumps, at `x` of any size: those that are within the kernel's reach are smoothed.

    round(x) is floor(x + 1/2), ceil(x) is -floor(-x), stairs of another step are step floor(x / step).
    Raises `Refusal` for a kernel whose tails reach jumps without end.
    """
    if kernel.reach is None:
        raise Refusal("smooth stairs need a kernel with thin tails: choose gaussian, logistic or box")
    wide = _wide(x)
    below = wide.detach().floor()
    within = wide - below  # in [0, 1), with derivative 1
    far = max(0, math.ceil(kernel.reach * width))
    return (below + sum(_jump(within - n, width, kernel) for n in range(-far, far + 1))).to(x.dtype)


def smooth_max(a: torch.Tensor, b: torch.Tensor, width: Width, kernel: Kernel = GAUSSIAN) -> torch.Tensor:
    """max(a, b) = b + (a - b)_+, smooth: Clark's formula with a Gaussian, h log(e^(a/h) + e^(b/h)) with a logistic."""
    return b + ramp(a - b, width, kernel)


def smooth_largest(x: torch.Tensor, dim: int, width: Width, kernel: Kernel = LOGISTIC) -> torch.Tensor:
    """The largest along `dim`, one after another: the order matters but for the logistic, which gives h logsumexp."""
    if kernel is LOGISTIC and not (isinstance(width, float | int) and width <= 0):
        return width * torch.logsumexp(x / width, dim)
    return reduce(lambda a, b: smooth_max(a, b, width, kernel), x.unbind(dim))


def smooth_numeric(
    f: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor, width: Width, kernel: Kernel = GAUSSIAN, nodes: int = 64
) -> torch.Tensor:
    """g of any function `f` of tensors, by quadrature: Σ w_i f(x - h z_i), Gauss-Hermite for the Gaussian.

    Exact for polynomials; off by about 1 / `nodes` of what a jump jumps. Raises `Refusal` for heavy tails.
    """
    if kernel.nodes is None:
        raise Refusal("heavy tails have no quadrature of few nodes: choose gaussian, logistic or box")
    z, weights = (torch.as_tensor(each, dtype=x.dtype, device=x.device) for each in kernel.nodes(nodes))
    return (weights * f(x[..., None] - width * z)).sum(-1)
