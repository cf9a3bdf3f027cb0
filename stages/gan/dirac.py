"""The Dirac GAN: one real point at 0, one fake at theta, a critic s(x) = phi x. Does theta come to 0?

Article: https://kexue.fm/archives/6583; paper: Mescheder, Geiger & Nowozin 2018 (https://arxiv.org/abs/1801.04406).

    phi' = -grad_phi [L_D(0, phi theta) + penalty + decay |phi|^2 / 2]        theta' = -grad_theta L_G(0, phi theta)

Two dimensions, from phi = (0.1, 0.2) and theta = (0.2, 0.1), as in https://github.com/bojone/gan/blob/master/gan_numeric.py.
The number: without a penalty |theta| circles at 0.13 to 0.23 for ever, with a zero-centred one it is below 0.0001 at
time 100, but with |.|^6 for |.|^2 it is still 0.08 to 0.16: its damping dies with the slope.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.integrate import solve_ivp

from stages.gan.losses import LAMBDA, Loss, Pair
from stages.gan.penalties import Penalty

START = (0.1, 0.2, 0.2, 0.1)  # phi, theta


def flow(
    loss: Loss,
    until: float,
    penalty: Penalty | None = None,
    weight: float = 0.0,
    decay: float = 0.0,
    normalised: bool = False,
    points: int = 4001,
) -> np.ndarray:
    """theta at `points` equal steps of time from 0 to `until`, [points, 2].

    `normalised` makes the critic x phi / |phi|. Distances of GAN-QP are |theta| / 10 here, so that its lambda is the
    article's 1.
    """
    once, half = torch.ones(1, dtype=torch.float64), torch.full((1,), 0.5, dtype=torch.float64)

    def velocity(_: float, state: np.ndarray) -> np.ndarray:
        phi, theta = torch.tensor(state).view(2, 1, 2).requires_grad_().unbind()  # [1, 2] each

        def s(x: torch.Tensor) -> torch.Tensor:
            return (x * phi).sum(1) / (phi.norm() if normalised else once)

        pair = Pair(s(torch.zeros_like(theta)), s(theta), lambda kind: theta.detach().norm(dim=1) / LAMBDA)
        of_critic = loss.critic(pair) + decay / 2 * phi.square().sum()
        if penalty is not None:
            of_critic = of_critic + weight * penalty(s, torch.zeros_like(theta), theta, half)
        (for_phi,) = torch.autograd.grad(of_critic, phi, retain_graph=True)
        (for_theta,) = torch.autograd.grad(loss.generator(pair), theta)
        return -torch.cat([for_phi, for_theta]).flatten().numpy()

    times = np.linspace(0, until, points)
    found = solve_ivp(velocity, (0, until), START, method="DOP853", t_eval=times, rtol=1e-5, atol=1e-8)
    return found.y[2:].T
