"""What critic and generator minimise: every adversarial loss beside its equation.

Articles: https://kexue.fm/archives/6110 (RSGAN), https://kexue.fm/archives/6163 (GAN-QP), and those of f-GAN and of
Designing GANs, whose games are made in divergences.py and designs.py.

    r = s(x_r),  f = s(x_f)      scores of reals and of fakes; s is realness, high on real, everywhere in this family
    E                            mean over the batch;   sp(v) = log(1 + e^v), so that -log sigmoid(v) = sp(-v)

A new loss is one function or two, and one row of `LOSSES`: the tests find it there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn.functional import relu, softplus

from stages.core.distributed import common
from stages.core.params import Choices
from stages.gan import designs, divergences


@dataclass(frozen=True)
class Pair:
    """What a loss sees of a batch; the i-th fake is paired with the i-th real."""

    r: torch.Tensor  # [n]
    f: torch.Tensor  # [n]
    distance: Callable[[str], torch.Tensor] | None = None  # of each pair, [n], by a name of `DISTANCES`


@dataclass(frozen=True)
class Loss:
    """What each player minimises, and whether the generator's part depends on the scores of reals."""

    critic: Callable[[Pair], torch.Tensor]
    generator: Callable[[Pair], torch.Tensor]
    relativistic: bool = False


# Standard GAN, https://arxiv.org/abs/1406.2661: the critic is a classifier.


def sgan_critic(pair: Pair) -> torch.Tensor:
    """E sp(-r) + E sp(f)."""
    return softplus(-pair.r).mean() + softplus(pair.f).mean()


def sgan(pair: Pair) -> torch.Tensor:
    """E sp(-f), the usual one: steep where fakes are told apart."""
    return softplus(-pair.f).mean()


def sgan_sat(pair: Pair) -> torch.Tensor:
    """-E sp(f), of the minimax game: flat where fakes are told apart."""
    return -softplus(pair.f).mean()


def up(pair: Pair) -> torch.Tensor:
    """-E f: of WGAN, hinge, GAN-QP, and of the standard critic, where it is reverse KL."""
    return -pair.f.mean()


# Least squares, https://arxiv.org/abs/1611.04076, and hinge, https://arxiv.org/abs/1705.02894.


def lsgan_critic(pair: Pair) -> torch.Tensor:
    """E (r - 1)^2 + E (f + 1)^2."""
    return (pair.r - 1).square().mean() + (pair.f + 1).square().mean()


def lsgan(pair: Pair) -> torch.Tensor:
    """E f^2: between both targets."""
    return pair.f.square().mean()


def hinge_critic(pair: Pair) -> torch.Tensor:
    """E relu(1 - r) + E relu(1 + f)."""
    return relu(1 - pair.r).mean() + relu(1 + pair.f).mean()


# Wasserstein distance, https://arxiv.org/abs/1701.07875: clipped, penalised or spectrally normalised elsewhere.


def wgan_critic(pair: Pair) -> torch.Tensor:
    """E f - E r."""
    return pair.f.mean() - pair.r.mean()


# Relativistic, https://arxiv.org/abs/1807.00734: is the real one more real? The generator's part has the roles swapped.


def rsgan(pair: Pair) -> torch.Tensor:
    """E sp(-(r - f))."""
    return softplus(pair.f - pair.r).mean()


def average(loss: Callable[[Pair], torch.Tensor]) -> Callable[[Pair], torch.Tensor]:
    """Half of `loss` on r - E f and f - E r, with the gradients of both means (the paper's average variants)."""

    def half(pair: Pair) -> torch.Tensor:
        r, f = common(pair.r.mean()), common(pair.f.mean())
        return loss(Pair(pair.r - f, pair.f - r)) / 2

    return half


def swapped(loss: Callable[[Pair], torch.Tensor]) -> Callable[[Pair], torch.Tensor]:
    """`loss` with fakes for reals."""
    return lambda pair: loss(Pair(pair.f, pair.r))


def relativistic(critic: Callable[[Pair], torch.Tensor]) -> Loss:
    """The symmetric game of a critic's loss."""
    return Loss(critic, swapped(critic), relativistic=True)


# GAN-QP, https://arxiv.org/abs/1811.07296: a bound on (r - f) / d(x_r, x_f) that adapts itself, no constraint.

LAMBDA = 10.0  # with distances that are means over pixels, https://github.com/bojone/gan-qp
SHORTEST = 1e-3  # a pair that is equal by chance would be given infinite weight


def mean_absolute(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """mean |x - y| over all numbers of a sample; [n, ...] -> [n]."""
    return (x - y).abs().flatten(1).mean(1)


def root_mean_square(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """sqrt(mean (x - y)^2) over all numbers of a sample; [n, ...] -> [n]."""
    return (x - y).square().flatten(1).mean(1).clamp(min=SHORTEST**2).sqrt()


def mean_square(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """mean (x - y)^2 over all numbers of a sample; [n, ...] -> [n]."""
    return (x - y).square().flatten(1).mean(1)


DISTANCES = {"l1": mean_absolute, "l2": root_mean_square, "squared": mean_square}


def distance(kind: str, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The distance `kind` of `DISTANCES` between x and y [n, ...], sample by sample; [n]."""
    return DISTANCES[kind](x, y)


def gan_qp(kind: str, scale: float = LAMBDA) -> Loss:
    """E [-(r - f) + (r - f)^2 / (2 lambda d)]; the generator sees E (r - f) alone, or it would minimise d itself."""

    def critic(pair: Pair) -> torch.Tensor:
        d = pair.distance(kind).clamp(min=SHORTEST)
        return ((pair.r - pair.f).square() / (2 * scale * d) - (pair.r - pair.f)).mean()

    return Loss(critic, up)  # E r does not depend on the generator


def f_gan(divergence: divergences.Divergence, saturating: bool = True) -> Loss:
    """-E a(r) + E g(a(f)); the generator -E g(a(f)), as in the minimax game, or -E a(f) where it must not saturate."""
    of_generator = divergence.ga if saturating else divergence.a
    return Loss(
        lambda pair: divergence.ga(pair.f).mean() - divergence.a(pair.r).mean(),
        lambda pair: -of_generator(pair.f).mean(),
    )


def designed(design: designs.Design) -> Loss:
    """-E phi(t_r) - E psi(t_f); the generator E beta(t_f)."""
    beta = design.beta or design.psi
    return Loss(
        lambda pair: -design.phi(design.t(pair.r)).mean() - design.psi(design.t(pair.f)).mean(),
        lambda pair: beta(design.t(pair.f)).mean(),
    )


LOSSES: Choices = {
    "sgan": Loss(sgan_critic, sgan),
    "sgan_sat": Loss(sgan_critic, sgan_sat),
    "sgan_lin": Loss(sgan_critic, up),
    "lsgan": Loss(lsgan_critic, lsgan),
    "hinge": Loss(hinge_critic, up),
    "wgan": Loss(wgan_critic, up),
    "rsgan": relativistic(rsgan),
    "rasgan": relativistic(average(sgan_critic)),
    "ralsgan": relativistic(average(lsgan_critic)),
    "rahinge": relativistic(average(hinge_critic)),
    "gan_qp_l1": gan_qp("l1"),
    "gan_qp_l2": gan_qp("l2"),
    "gan_qp_squared": gan_qp("squared", 2.0),  # 1/4 of the quotient, as in https://kexue.fm/archives/6409
    "f_tv": f_gan(divergences.TOTAL_VARIATION),
    "f_tv_ns": f_gan(divergences.TOTAL_VARIATION, saturating=False),
    "f_kl": f_gan(divergences.KL),
    "f_kl_ns": f_gan(divergences.KL, saturating=False),
    "f_reverse_kl": f_gan(divergences.REVERSE_KL),
    "f_reverse_kl_ns": f_gan(divergences.REVERSE_KL, saturating=False),
    "f_pearson": f_gan(divergences.PEARSON),
    "f_pearson_ns": f_gan(divergences.PEARSON, saturating=False),
    "f_neyman": f_gan(divergences.NEYMAN),
    "f_neyman_ns": f_gan(divergences.NEYMAN, saturating=False),
    "f_hellinger": f_gan(divergences.HELLINGER),
    "f_hellinger_ns": f_gan(divergences.HELLINGER, saturating=False),
    "f_jeffreys": f_gan(divergences.JEFFREYS),
    "f_jeffreys_ns": f_gan(divergences.JEFFREYS, saturating=False),
    "f_js": f_gan(divergences.JS),
    "f_js_ns": f_gan(divergences.JS, saturating=False),
    "f_alpha": f_gan(divergences.ALPHA),
    "f_alpha_ns": f_gan(divergences.ALPHA, saturating=False),
    "dg_sgan": designed(designs.SGAN_TWICE),
    "dg_sgan_sat": designed(designs.SGAN),
    "dg_sgan_lin": designed(designs.SGAN_LINEAR),
    "dg_sgan_free": designed(designs.SGAN_FREE),
    "dg_exp": designed(designs.EXPONENTIAL),
    "dg_exp_ns": designed(designs.EXPONENTIAL_NS),
    "dg_lsgan": designed(designs.LSGAN),
}
