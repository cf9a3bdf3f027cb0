"""Penalties on the slope of a critic s with respect to its input, to be added to any critic loss.

Articles: https://kexue.fm/archives/4439 (WGAN-GP, one-sided), https://kexue.fm/archives/6139 (WGAN-div).
Papers: Gulrajani 2017 (https://arxiv.org/abs/1704.00028), Mescheder 2018 (https://arxiv.org/abs/1801.04406, R1 and R2),
Wu 2018 (https://arxiv.org/abs/1712.01026, WGAN-div).

    weight * mean over samples x of  h(|grad s(x)|),     |.| over ALL numbers of a sample

    one_centred   (|.| - 1)^2     interpolates   WGAN-GP, weight 10
    one_sided     relu(|.| - 1)   interpolates   not squared: the author's first scripts, weight 10
    zero_real     |.|^2           reals          R1; zero_fake on fakes is R2
    zero_both     |.|^2           both           weight gamma is R3GAN's gamma/2 (R1 + R2): the mean is over all 2 n
    div           |.|^6           both           WGAN-div, weight k = 2: k/2 (E |grad s(x_r)|^6 + E |grad s(x_f)|^6)

WGAN-div claims that it does not matter where it acts, and that for WGAN-GP it does: hence the other rows.
A critic whose batch normalisation ties samples together has no slope of one sample: use none with a penalty.
The number: a linear critic s = w x has |.| = |w| everywhere, whatever the shape of x.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from stages.core.params import Choices

Critic = Callable[[torch.Tensor], torch.Tensor]
Height = Callable[[torch.Tensor], torch.Tensor]
Place = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
Penalty = Callable[[Critic, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


def squared_norms(critic: Critic, x: torch.Tensor) -> torch.Tensor:
    """|grad s(x)|^2 of each sample of `x` [n, ...], over all its numbers; [n], with a graph to the critic's weights.

    Slopes are in float32 also under autocast: squares and sixth powers of bfloat16 would keep two digits.
    """
    x = x.detach().to(torch.promote_types(x.dtype, torch.float32)).requires_grad_()
    with torch.enable_grad():
        (slope,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    return slope.flatten(1).square().sum(1)


def one_centred(squared: torch.Tensor) -> torch.Tensor:
    """(|.| - 1)^2 of squared norms [n]; the root's slope is kept finite where a critic is flat."""
    return (torch.sqrt(squared + 1e-12) - 1).square()


def one_sided(squared: torch.Tensor) -> torch.Tensor:
    """relu(|.| - 1): only slopes above 1 cost."""
    return torch.relu(torch.sqrt(squared + 1e-12) - 1)


def second_power(squared: torch.Tensor) -> torch.Tensor:
    """|.|^2."""
    return squared


def sixth_power(squared: torch.Tensor) -> torch.Tensor:
    """|.|^6."""
    return squared**3


def interpolates(x_r: torch.Tensor, x_f: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """u x_r + (1 - u) x_f, with one u a sample."""
    return torch.lerp(x_f, x_r, _a_sample(u, x_r))


def reals(x_r: torch.Tensor, x_f: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """x_r."""
    return x_r


def fakes(x_r: torch.Tensor, x_f: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """x_f."""
    return x_f


def both(x_r: torch.Tensor, x_f: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """x_r and x_f, [2 n, ...]."""
    return torch.cat([x_r, x_f])


def either(x_r: torch.Tensor, x_f: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """x_r where u < 1/2, else x_f: half the cost of both."""
    return torch.where(_a_sample(u, x_r) < 0.5, x_r, x_f)


def _a_sample(u: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return u.to(x.dtype).view(-1, *[1] * (x.ndim - 1))  # [n, 1, ...]


def penalty(height: Height, place: Place) -> Penalty:
    """The penalty that takes `height` of the squared slopes at `place`.

    It is called with the critic, reals and fakes [n, ...] and uniform numbers u [n], and gives the mean, a scalar.
    """

    def mean(critic: Critic, x_r: torch.Tensor, x_f: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return height(squared_norms(critic, place(x_r, x_f, u))).mean()

    return mean


PENALTIES: Choices = {
    "one_centred": penalty(one_centred, interpolates),
    "one_centred_real": penalty(one_centred, reals),
    "one_centred_fake": penalty(one_centred, fakes),
    "one_centred_both": penalty(one_centred, both),
    "one_centred_either": penalty(one_centred, either),
    "one_sided": penalty(one_sided, interpolates),
    "zero_real": penalty(second_power, reals),
    "zero_fake": penalty(second_power, fakes),
    "zero_both": penalty(second_power, both),
    "div": penalty(sixth_power, both),
    "div_interpolates": penalty(sixth_power, interpolates),
    "div_real": penalty(sixth_power, reals),
    "div_fake": penalty(sixth_power, fakes),
    "div_either": penalty(sixth_power, either),
}
