"""The losses at length: 2500 steps of the generator, three seeds, by the settings of the measured table of 8x8 digits.

The table was measured by another feature network, whose Gaussian fitted to the pixels had a distance of 40.3: promises
are held as shares of that. `pytest -m slow -s tests/gan/test_leader_board.py` prints the table; half an hour.
"""

from dataclasses import replace

import pytest
from repository import ROOT

from stages import run
from stages.core import params
from stages.core.systems import Inputs

GAUSSIAN = 40.3
PROMISED = [  # Frechet distance
    ("wgan_gp", 9),
    pytest.param("rp_r1r2", 11, marks=pytest.mark.xfail(reason="0.286 +- 0.012 of the Gaussian, promised 0.273")),
    ("wgan_sn", 14),
    ("meg", 16),
    ("wgan_div", 20),
    ("rsgan_sn", 32),
    ("gan_qp_l1", 45),
    ("gan_qp_l2", 62),
]
MORE = {"meg": {"auroc_noise": 0.75, "auroc_permuted": 0.75}}  # at least


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    values = params.load(ROOT / "params.yaml")
    folder = tmp_path_factory.mktemp("digits")
    row = run.read(values, "preprocess", "digits")
    row.function(None, row.settings, folder / "data")
    row = run.read(values, "train", "digits_features")
    row.function(Inputs(input=folder / "data"), replace(row.settings, device="cpu"), folder / "judge")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(("key", "most"), PROMISED)
def test_a_loss_keeps_its_promise_over_three_seeds(judge, tmp_path, key, most):
    row = run.read(params.load(ROOT / "params.yaml"), "train", key)
    slow = {
        name: replace(getattr(row.settings, name), rate=2e-4) for name in ("generator_optimiser", "critic_optimiser")
    }
    how = replace(row.settings, steps=2500, average=0.995, seeds=(0, 1, 2), device="cpu", **slow)
    row.function(Inputs(input=judge / "data"), how, tmp_path / "model")
    judged = run.read(params.load(ROOT / "params.yaml"), "evaluate", key)
    found = judged.function(tmp_path / "model", Inputs(truth=judge / "judge"), judged.settings).metrics
    names = ("fd_of_gaussian", "fd", "fd_last", "classes", "recall", "coverage", "auroc_noise", "auroc_permuted")
    print(key, *(f"{name} {found[name]:.3g} +- {found[f'{name}_deviation']:.2g}" for name in names))
    assert found["fd_of_gaussian"] <= most / GAUSSIAN
    for name, least in MORE.get(key, {}).items():
        assert found[name] >= least
