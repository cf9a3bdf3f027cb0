"""Designing GANs: choose where the best critic lies and how steep it is, integrate, and a GAN comes out.

Article: https://kexue.fm/archives/7210; paper: Basioti & Moustakides 2020 (https://arxiv.org/abs/2002.00865).

    r = q/p (fakes over reals);  choose w(r), strictly increasing, and rho(t) > 0 on its range
    psi'(t) = rho(t),   phi'(t) = -w^-1(t) rho(t)
    critic:     max  E_p phi(t) + E_q psi(t),   best at t = w(r)
    generator:  min  E_q beta(t),   beta = psi, or any for which d(r) = alpha(w(r)) + r beta(w(r)) is convex or has its
                                    minimum at r = 1 (the article's own addition; alpha is a matter of the proof only)

t is high on fakes: it is made of the score s, high on reals, as -s, or as sigmoid(-s) where w only reaches (0, 1).
The number: the maximum over t lies within 1e-4 of w(r) for every r in [0.01, 100]; w^-1(t) estimates q/p, whose mean
over reals is 1. KL is no such game; all of them are f-divergences.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch.nn.functional import softplus

from stages.core.errors import Refusal
from stages.core.params import Choices
from stages.gan.tangents import exp, log

Curve = Callable[[torch.Tensor], torch.Tensor]


def negated(s: torch.Tensor) -> torch.Tensor:
    """t = -s: every real number."""
    return -s


def share(s: torch.Tensor) -> torch.Tensor:
    """t = sigmoid(-s), between 0 and 1."""
    return torch.sigmoid(-s)


@dataclass(frozen=True)
class Design:
    """One game; each curve is a function of a tensor of any shape, applied to each number."""

    w: Curve  # of r
    w_inv: Curve  # of t
    rho: Curve  # of t
    phi: Curve  # of t, in closed form or integrated
    psi: Curve
    beta: Curve | None = None  # psi where there is none
    alpha: Curve | None = None
    t: Curve = negated  # of the score s

    def ratio(self, s: torch.Tensor) -> torch.Tensor:
        """The estimate of q/p that scores `s` (any shape) amount to: its mean over reals comes near 1."""
        return self.w_inv(self.t(s))


def design(w: Curve, w_inv: Curve, rho: Curve, t: Curve = negated) -> Design:
    """The game that follows from `w`, its inverse and `rho`, phi and psi integrated anew at every t they are asked for.

    Raises `Refusal` that says which condition fails: a w that does not increase, a rho that is not positive, an inverse
    that is none, integrals that miss the best t.
    """
    start = w(torch.ones((), dtype=torch.float64)).item()  # psi(w(1)) = 0
    made = Design(
        w,
        w_inv,
        rho,
        phi=lambda t: integral(lambda s: -w_inv(s) * rho(s), start, t),
        psi=lambda t: integral(rho, start, t),
        t=t,
    )
    if (missed := check(made).argmax) > CLOSE:
        raise Refusal(f"the integrals of rho miss the best t by {missed:.2g}: give phi and psi in closed form")
    return made


CLOSE = 1e-4
"""How near the best t must lie to w(r)."""


def integral(curve: Curve, start: float, t: torch.Tensor) -> torch.Tensor:
    """The integral of `curve` from `start` to each of `t` (any shape), by Gauss's rule; gradients reach t."""
    nodes, weights = (torch.as_tensor(numbers, dtype=t.dtype, device=t.device) for numbers in _gauss(64))
    half = (t - start)[..., None] / 2
    return (curve(start + half * (1 + nodes)) * weights * half).sum(-1)


@cache
def _gauss(n: int) -> tuple[np.ndarray, np.ndarray]:
    return np.polynomial.legendre.leggauss(n)


@dataclass(frozen=True)
class Check:
    """What was found on r in [0.01, 100]: all are 0 where theory holds exactly."""

    argmax: float  # largest distance of the best t from w(r)
    bend: float  # how far the slope of the critic's d(r) ever falls, in parts of its largest; 0 where it is convex
    lowest: float  # |log r| where the critic's d(r) is lowest
    generator: float  # the smaller of both for the generator's d(r)
    closed: float  # largest distance of phi and psi from their integrals, constants apart


def check(made: Design) -> Check:
    """Hold `made` against the conditions, in float64; raises `Refusal` for a w, inverse or rho that breaks them."""
    r = torch.logspace(-2, 2, 401, dtype=torch.float64)
    best = made.w(r)
    if not bool((best.diff() > 0).all()):
        raise Refusal("w(r) does not strictly increase on [0.01, 100]")
    if not torch.allclose(made.w_inv(best), r, rtol=1e-6):
        raise Refusal("w_inv is not the inverse of w on [0.01, 100]")
    if not bool((made.rho(best) > 0).all()):
        raise Refusal("rho(t) is not positive for every t = w(r), r in [0.01, 100]")
    one = made.w(torch.ones(1, dtype=torch.float64))
    psi = made.psi(best) - made.psi(one)
    bend, lowest = _shape(r, made.phi(best) + r * psi)
    alpha = 0 if made.alpha is None else made.alpha(best)
    played = psi if made.beta is None else made.beta(best)
    of_generator = _shape(r, (made.phi(best) if made.beta is None else alpha) + r * played)
    start = one.item()
    apart = [
        made.phi(best) - made.phi(one) + integral(lambda t: made.w_inv(t) * made.rho(t), start, best),
        psi - integral(made.rho, start, best),
    ]
    return Check(
        argmax=(argmax(made, r[::20]) - best[::20]).abs().max().item(),
        bend=bend,
        lowest=lowest,
        generator=min(of_generator),
        closed=torch.stack(apart).abs().max().item(),
    )


def argmax(made: Design, r: torch.Tensor) -> torch.Tensor:
    """The t at which phi(t) + r psi(t) is largest for each of `r` [n], searched for on a grid made finer twice."""
    low, high = torch.full_like(r, math.log(1e-3)), torch.full_like(r, math.log(1e3))
    for _ in range(3):
        grid = low[:, None] + (high - low)[:, None] * torch.linspace(0, 1, 201, dtype=r.dtype)  # [n, 201] of log r
        t = made.w(grid.exp())
        at = (made.phi(t) + r[:, None] * made.psi(t)).argmax(dim=1, keepdim=True)
        low, high = (grid.gather(1, (at + side).clamp(0, 200))[:, 0] for side in (-1, 1))
    return made.w(((low + high) / 2).exp())


def _shape(r: torch.Tensor, d: torch.Tensor) -> tuple[float, float]:
    slope = d.diff() / r.diff()
    fall = (-slope.diff()).max().clamp(min=0) / slope.abs().max()
    return fall.item(), r[d.argmin()].log().abs().item()


SGAN = Design(  # the saturating one
    w=torch.log,
    w_inv=torch.exp,
    rho=lambda t: torch.sigmoid(-t),
    phi=lambda t: -softplus(t),
    psi=lambda t: math.log(2) - softplus(-t),
)
SGAN_LINEAR = Design(  # d = r log r
    w=SGAN.w, w_inv=SGAN.w_inv, rho=SGAN.rho, phi=SGAN.phi, psi=SGAN.psi, beta=lambda t: t
)
SGAN_TWICE = Design(  # d = (1 + r) log(1 + r): the usual non-saturating one
    w=SGAN.w, w_inv=SGAN.w_inv, rho=SGAN.rho, phi=SGAN.phi, psi=SGAN.psi, beta=softplus, alpha=softplus
)
SGAN_FREE = Design(  # the same critic once more, its sigmoid being no part of the loss
    w=lambda r: r / (1 + r),
    w_inv=lambda t: t / (1 - t),
    rho=lambda t: 1 / t,
    phi=lambda t: log(1 - t),
    psi=log,
    t=share,
)
EXPONENTIAL = Design(  # squared Hellinger distance, once more
    w=lambda r: torch.log(r) / 2,
    w_inv=lambda t: exp(2 * t),
    rho=lambda t: exp(-t),
    phi=lambda t: -exp(t),
    psi=lambda t: -exp(-t),
)
EXPONENTIAL_NS = Design(  # d = r^(3/2)
    w=EXPONENTIAL.w,
    w_inv=EXPONENTIAL.w_inv,
    rho=EXPONENTIAL.rho,
    phi=EXPONENTIAL.phi,
    psi=EXPONENTIAL.psi,
    beta=exp,
)
LSGAN = Design(  # a = -1, b = 1: d = (r - 1)^2 / (r + 1)
    w=lambda r: (r - 1) / (r + 1),
    w_inv=lambda t: (t + 1) / (1 - t),
    rho=lambda t: 2 * (1 - t),
    phi=lambda t: -((t + 1) ** 2),
    psi=lambda t: -((t - 1) ** 2),
    beta=torch.square,
    alpha=torch.square,
)

DESIGNS: Choices = {
    "dg_sgan_sat": SGAN,
    "dg_sgan_lin": SGAN_LINEAR,
    "dg_sgan": SGAN_TWICE,
    "dg_sgan_free": SGAN_FREE,
    "dg_exp": EXPONENTIAL,
    "dg_exp_ns": EXPONENTIAL_NS,
    "dg_lsgan": LSGAN,
}
