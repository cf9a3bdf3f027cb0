"""f-GAN: every f-divergence has a dual form, and every dual form is a GAN.

Article: https://kexue.fm/archives/6016; paper: Nowozin, Cseke & Tomioka 2016 (https://arxiv.org/abs/1606.00709).

    D_f(p, q) = E_q f(p/q) = max over T of  E_p T - E_q g(T),     g(t) = max over u > 0 of  u t - f(u)
    T = a(v), where v is the critic's raw score and a has g's domain as its range;  best T = f'(p/q)

p is the law of reals, q that of fakes, and scores are high on reals: a is increasing here. (With activations -e^v and
1 - e^v, as they are often listed, raw scores are high on fakes; v has changed sign in those rows.)
The number: D_f of N(0, 1) and N(1, 1), e.g. KL 0.5, total variation 0.3829, JS 0.1114, is the dual's value.
Rows are known by f: what the article calls Pearson, the integral of (q - p)^2 / p, is Neyman's divergence here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn.functional import logsigmoid, relu, softplus

from stages.core.params import Choices
from stages.gan.tangents import exp

Curve = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Divergence:
    """One row of the table; each is a function of a tensor of any shape, applied to each number.

    `f` of u = p/q, its conjugate `g` of t, the activation `a` of v, `best` = f' of u (what T is at the optimum), and
    `ga` = g(a(v)) in the form that neither overflows nor loses digits.
    """

    f: Curve
    g: Curve
    a: Curve
    best: Curve
    ga: Curve


def omega(x: torch.Tensor) -> torch.Tensor:
    """Lambert's W(e^x), the y that solves y + log y = x, for x from -15 up; any shape.

    Newton's steps for l = log y in l + e^l = x start right of the root of a convex function, so that they only descend.
    The last of them is the one that a gradient sees, and it gives the exact slope dl/dx = 1 / (1 + y).
    """
    with torch.no_grad():
        l = torch.where(x > 1, torch.log(x.clamp(min=1)), x)  # noqa: E741 (log y)
        for _ in range(6):
            l = l - (l + torch.exp(l) - x) / (1 + torch.exp(l))  # noqa: E741
        y = torch.exp(l)
    return torch.exp(l - (l + y - x) / (1 + y))


def _jeffreys_g(t: torch.Tensor) -> torch.Tensor:
    """W + 1/W + t - 2 with W = W(e^(1-t)), and 1/W = exp(t - 1 + W)."""
    w = omega((1 - t).clamp(min=-15))
    return w + exp(t - 1 + w) + t - 2


TOTAL_VARIATION = Divergence(
    f=lambda u: torch.abs(u - 1) / 2,
    g=lambda t: t,  # |t| <= 1/2
    a=lambda v: torch.tanh(v) / 2,
    best=lambda u: torch.sign(u - 1) / 2,
    ga=lambda v: torch.tanh(v) / 2,
)
KL = Divergence(
    f=lambda u: u * torch.log(u),
    g=lambda t: exp(t - 1),
    a=lambda v: v,
    best=lambda u: 1 + torch.log(u),
    ga=lambda v: exp(v - 1),
)
REVERSE_KL = Divergence(
    f=lambda u: -torch.log(u),
    g=lambda t: -1 - torch.log(-t),  # t < 0
    a=lambda v: -exp(-v),
    best=lambda u: -1 / u,
    ga=lambda v: v - 1,
)
PEARSON = Divergence(  # integral of (p - q)^2 / q
    f=lambda u: (u - 1) ** 2,
    g=lambda t: relu(t / 2 + 1) ** 2 - 1,  # t^2/4 + t above -2; below it the best u is 0
    a=lambda v: v,  # the paper's; e^v - 2, which has the range t > -2, diverges when trained
    best=lambda u: 2 * (u - 1),
    ga=lambda v: relu(v / 2 + 1) ** 2 - 1,
)
NEYMAN = Divergence(  # integral of (p - q)^2 / p
    f=lambda u: (1 - u) ** 2 / u,
    g=lambda t: 2 - 2 * torch.sqrt(1 - t),  # t < 1
    a=lambda v: 1 - exp(-v),
    best=lambda u: 1 - u**-2,
    ga=lambda v: 2 - 2 * exp(-v / 2),
)
HELLINGER = Divergence(
    f=lambda u: (torch.sqrt(u) - 1) ** 2,
    g=lambda t: t / (1 - t),  # t < 1
    a=lambda v: 1 - exp(-v),
    best=lambda u: 1 - u**-0.5,
    ga=lambda v: exp(v) - 1,
)
JEFFREYS = Divergence(  # KL and reverse KL together
    f=lambda u: (u - 1) * torch.log(u),
    g=_jeffreys_g,
    a=lambda v: v,
    best=lambda u: torch.log(u) + 1 - 1 / u,
    ga=_jeffreys_g,
)
JS = Divergence(
    f=lambda u: (u * torch.log(u) - (u + 1) * torch.log((1 + u) / 2)) / 2,
    g=lambda t: -torch.log(2 - torch.exp(2 * t)) / 2,  # t < log(2) / 2
    a=lambda v: (math.log(2) + logsigmoid(v)) / 2,
    best=lambda u: torch.log(2 * u / (1 + u)) / 2,
    ga=lambda v: (softplus(v) - math.log(2)) / 2,
)


def alpha(order: float) -> Divergence:
    """The alpha divergence, f = (u^alpha - 1 - alpha (u - 1)) / (alpha (alpha - 1)), of any order but 0 and 1.

    t = f'(u) = (u^(alpha-1) - 1) / (alpha - 1) gives g(t) = (u^alpha - 1) / alpha, so that with u = e^v the activation
    is a(v) = (e^((alpha-1) v) - 1) / (alpha - 1) and g(a(v)) = (e^(alpha v) - 1) / alpha, for every alpha. Order 1
    would be KL, 1/2 is twice Hellinger, 0 would be reverse KL, 2 and -1 are half of Pearson and of Neyman.
    """
    return Divergence(
        f=lambda u: (u**order - 1 - order * (u - 1)) / (order * (order - 1)),
        g=lambda t: ((1 + (order - 1) * t) ** (order / (order - 1)) - 1) / order,
        a=lambda v: (exp((order - 1) * v) - 1) / (order - 1),
        best=lambda u: (u ** (order - 1) - 1) / (order - 1),
        ga=lambda v: (exp(order * v) - 1) / order,
    )


ALPHA = alpha(0.75)  # between Hellinger's distance and KL

DIVERGENCES: Choices = {
    "f_tv": TOTAL_VARIATION,
    "f_kl": KL,
    "f_reverse_kl": REVERSE_KL,
    "f_pearson": PEARSON,
    "f_neyman": NEYMAN,
    "f_hellinger": HELLINGER,
    "f_jeffreys": JEFFREYS,
    "f_js": JS,
    "f_alpha": ALPHA,
}


def value(divergence: Divergence, p: torch.Tensor, q: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """D_f = E_q f(p/q) by quadrature: densities `p` and `q` [n] at the points `x` [n], ascending; a scalar."""
    return torch.trapezoid(q * divergence.f(p / q), x)


def bound(divergence: Divergence, t: torch.Tensor, p: torch.Tensor, q: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """E_p T - E_q g(T), the dual's value for a critic whose T is `t` [n] at the points `x` [n]; a scalar <= D_f."""
    return torch.trapezoid(p * t - q * divergence.g(t), x)
