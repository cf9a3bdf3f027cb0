"""The table of archive 6583's game, section 15 of the specification: who comes to rest, and who circles."""

from functools import cache

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from stages.gan.dirac import flow
from stages.gan.losses import LOSSES
from stages.gan.penalties import PENALTIES
from stages.nets.threads import one_thread

GAMES = {  # arguments of flow, and the smallest and largest |theta| in the last quarter of the time
    "sgan": ({"loss": "sgan", "until": 100}, "0.13", "0.23"),
    "rsgan": ({"loss": "rsgan", "until": 100}, "0.13", "0.23"),
    "wgan": ({"loss": "wgan", "until": 10, "normalised": True}, "0.09", "0.40"),
    "wgan_gp": ({"loss": "wgan", "until": 100, "penalty": "one_centred", "weight": 0.1}, "0.996", "1.003"),
    "wgan_zero": ({"loss": "wgan", "until": 100, "penalty": "zero_real", "weight": 0.1}, "0.0000", "0.0001"),
    "sgan_r1": ({"loss": "sgan", "until": 100, "penalty": "zero_real", "weight": 0.1}, "0.0000", "0.0001"),
    "gan_qp": ({"loss": "gan_qp_l2", "until": 100}, "0.173", "0.173"),
    "gan_qp_decay": ({"loss": "gan_qp_l2", "until": 100, "decay": 0.1}, "0.001", "0.004"),
    "hinge": ({"loss": "hinge", "until": 100}, "0.10", "0.30"),
    "wgan_div_once": ({"loss": "wgan", "until": 100, "penalty": "div", "weight": 1.0}, "0.09", "0.19"),
    # k = 2 of the paper; the specification's figures, 0.09 and 0.19, are those of weight 1
    "wgan_div": ({"loss": "wgan", "until": 100, "penalty": "div", "weight": 2.0}, "0.0823", "0.1647"),
}
CIRCLES = ["sgan", "rsgan", "wgan", "wgan_gp", "gan_qp", "hinge", "wgan_div"]


@cache
def theta(key):
    given = GAMES[key][0]
    penalty = PENALTIES[given["penalty"]] if "penalty" in given else None
    with one_thread():
        return flow(**{**given, "loss": LOSSES[given["loss"]], "penalty": penalty})


def late(path, part=4):
    return np.linalg.norm(path[-(len(path) // part) :], axis=1)


@pytest.mark.parametrize("key", GAMES)
def test_the_table(key):
    """Within 5 %, or half of the last digit that is printed."""
    distances = late(theta(key))
    for got, due in zip((distances.min(), distances.max()), GAMES[key][1:], strict=True):
        assert got == pytest.approx(float(due), rel=0.05, abs=0.501 * 0.1 ** len(due.partition(".")[2]))


def test_rsgan_is_sgan_here():
    """Reals score 0 for ever."""
    np.testing.assert_allclose(theta("sgan"), theta("rsgan"), atol=1e-6)


def test_gan_qp_takes_the_path_of_the_article():
    """Its equations by hand. The author's script divides by |phi| for |theta|, which the table cannot tell apart."""

    def velocity(_, state):
        phi, theta = state[:2], state[2:]
        return np.concatenate([-theta - (theta @ phi) * theta / np.linalg.norm(theta), phi])

    path = theta("gan_qp")
    times = np.linspace(0, 100, len(path))
    due = solve_ivp(velocity, (0, 100), [0.1, 0.2, 0.2, 0.1], t_eval=times, rtol=1e-8, atol=1e-10).y[2:].T
    np.testing.assert_allclose(path, due, atol=1e-3)


@pytest.mark.parametrize("key", CIRCLES)
def test_the_mean_over_time_is_near_the_target(key):
    """Which is why the average of a generator's weights is better than the last of them."""
    assert np.linalg.norm(theta(key).mean(axis=0)) < 0.012


@pytest.mark.slow
def test_a_sixth_power_comes_to_rest_like_a_root_and_a_square_exponentially():
    """|theta| ~ time^(-1/4) for p = 6: a fourfold time is worth 0.71, and p = 2 is at rest long before."""
    wgan = LOSSES["wgan"]
    far = late(flow(wgan, 400, PENALTIES["div"], 1.0)).max()
    assert far / late(theta("wgan_div_once")).max() == pytest.approx(4**-0.25, rel=0.05)
    assert late(flow(wgan, 100, PENALTIES["zero_both"], 1.0)).max() < 1e-6
