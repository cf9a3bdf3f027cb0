"""Eight Gaussians on a ring: which games find all of them, and what the entropy of MEG is worth.

Settings of the measured table: perceptrons of 64, Adam at 1e-3, batch 128, about 5000 updates of both players together.
"""

from dataclasses import replace
from functools import cache
from statistics import fmean

import pytest
import torch
from test_train import CPU

from stages.gan import train
from stages.gan.settings import Penalty
from stages.nets import modes
from stages.nets.layers import Network
from stages.nets.threads import one_thread

pytestmark = pytest.mark.slow

R1, BOTH, SIXTH = (Penalty("zero_real", 0.1),), (Penalty("zero_both", 0.1),), (Penalty("div", 2.0),)
SEEDS = (0, 1, 2)
NEAR = 0.75  # least share of samples near a mode
MISSED = {
    "rasgan": "one seed of three collapses",
    "gan_qp_l1": "0.731 of the samples are near a mode, mean of three seeds",
}
ALL = {  # loss, penalties, steps of the critic for one of the generator
    "sgan": ("sgan", (), 1),
    "rsgan": ("rsgan", (), 1),
    "rasgan": ("rasgan", (), 1),
    "sgan_lin": ("sgan_lin", (), 1),
    "hellinger": ("dg_exp", (), 1),
    "sgan_r1": ("sgan", R1, 1),
    "rp_r1r2": ("rsgan", BOTH, 1),
    "gan_qp_l1": ("gan_qp_l1", (), 2),
    "gan_qp_l2": ("gan_qp_l2", (), 2),
}


@cache
def data():
    return modes.draw("ring", 20_000, torch.Generator().manual_seed(0))


def scores(how, seed=0):
    """What the last generator makes, by modes.scores."""
    points = data()[:, :, None, None]
    game = train.build(how, (2, 1, 1), seed, CPU)
    with one_thread():
        train.play(game, points, how, seed)
    with torch.no_grad():
        made = game.nets["G"](train.noise(how, 10_000, torch.Generator().manual_seed(1)))[:, :, 0, 0]
    return modes.scores("ring", made, modes.draw("ring", 10_000, torch.Generator().manual_seed(2)))


def setting(rows, **more):
    flat = Network("mlp", (64, 64), "none", "relu", 0.0, True, "default")
    adam = replace(rows["rp_r1r2"].critic_optimiser, rate=1e-3)
    how = replace(rows["rp_r1r2"], generator=flat, critic=replace(flat, activation="leaky", slope=0.2))
    how = replace(how, generator_optimiser=adam, critic_optimiser=adam, latent=2, batch=128, output="linear", grids=0)
    return replace(how, **more)


@pytest.mark.parametrize(
    "key", [pytest.param(key, marks=pytest.mark.xfail(reason=MISSED[key])) if key in MISSED else key for key in ALL]
)
def test_all_modes_are_found(rows, key):
    loss, penalties, n = ALL[key]
    how = setting(rows, loss=loss, penalties=penalties, critic_steps=n, steps=5000 // (1 + n))
    found = [scores(how, seed) for seed in SEEDS]
    print(key, {name: [round(one[name], 3) for one in found] for name in ("modes", "hq", "mode_kl")})
    assert [one["modes"] for one in found] == [8] * len(SEEDS)
    assert fmean(one["hq"] for one in found) >= NEAR


def test_wgan_div_finds_nearly_all(rows):
    assert min(scores(setting(rows, loss="wgan", penalties=SIXTH, steps=2500), seed)["modes"] for seed in SEEDS) >= 7


def test_meg_finds_all_modes_evenly(rows):
    """With or without its entropy: that it halves the divergence of the modes does not show, both are below 0.01."""
    flat = setting(rows, game="meg", loss="wgan", penalties=R1, critic_steps=5, steps=830)
    for weight in (1.0, 0.0):
        found = [scores(replace(flat, terms={"information": weight}), seed) for seed in SEEDS]
        print(weight, {name: [round(one[name], 4) for one in found] for name in ("modes", "hq", "mode_kl")})
        assert [one["modes"] for one in found] == [8] * len(SEEDS)
        assert max(one["mode_kl"] for one in found) <= 0.02
