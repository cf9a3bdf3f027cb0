"""What the articles claim of long trainings, on 8x8 digits over three seeds: five minutes each on a free core.

The promises are those of a table measured by another feature network, whose Gaussian fitted to the pixels had a
distance of 40.3: they are held as shares of that. `pytest -m slow -s tests/gan/test_claims.py` prints what came out.
"""

from dataclasses import replace

import pytest
from repository import ROOT
from test_leader_board import GAUSSIAN, judge  # noqa: F401 (a fixture)

from stages import run
from stages.core import params
from stages.core.systems import Inputs
from stages.gan import losses

pytestmark = pytest.mark.slow

LONG = 8000  # steps of the generator


def measured(folder, out, key, **more):
    """The metrics of a row at length, mean over three seeds."""
    values = params.load(ROOT / "params.yaml")
    how = run.read(values, "train", key).settings
    adam = replace(how.critic_optimiser, rate=2e-4)
    how = replace(how, generator_optimiser=adam, critic_optimiser=adam, average=0.995, seeds=(0, 1, 2), grids=1)
    row = run.read(values, "train", key)
    row.function(Inputs(input=folder / "data"), replace(how, device="cpu", **more), out)
    judged = run.read(values, "evaluate", key)
    settings = replace(judged.settings, targets=(), chain=None)
    found = judged.function(out, Inputs(truth=folder / "judge"), settings).metrics
    print(key, more, {name: round(value, 3) for name, value in found.items()})
    return found


@pytest.fixture(scope="module")
def o_gans(judge, tmp_path_factory):  # noqa: F811
    """O-GAN, and its control with the squared distance of codes in place of their correlation."""
    folder = tmp_path_factory.mktemp("o_gans")
    terms = {"rho": {"rho": 0.5, "mse": 0.0}, "mse": {"rho": 0.0, "mse": 0.5}}
    return {name: measured(judge, folder / name, "o_gan", steps=LONG, terms=term) for name, term in terms.items()}


def test_o_gan_is_a_generator_and_an_encoder(o_gans):
    found = o_gans["rho"]
    assert found["fd_of_gaussian"] <= 30 / GAUSSIAN
    assert found["agreement"] >= 0.9
    assert found["pixel_mse"] <= 0.025


def test_the_correlation_costs_less_quality_than_the_distance_of_codes(o_gans):
    """The article has it that training with the distance almost always fails: it does not, it makes worse samples."""
    assert o_gans["rho"]["fd"] < o_gans["mse"]["fd"]


@pytest.fixture(scope="module")
def bigans(judge, tmp_path_factory):  # noqa: F811
    """BiGAN-QP with and without the stopped gradient in its cycles."""
    folder = tmp_path_factory.mktemp("bigans")
    terms = {stopped: {"z_cycle": 2.0, "x_cycle": 3.0, "stopped": float(stopped)} for stopped in (1, 0)}
    return {
        stopped: measured(judge, folder / str(stopped), "bigan_qp", steps=LONG, terms=term)
        for stopped, term in terms.items()
    }


@pytest.mark.parametrize("stopped", [1, 0])
def test_bigan_inverts_its_generator(bigans, stopped):
    found = bigans[stopped]
    assert found["fd_of_gaussian"] <= 35 / GAUSSIAN
    assert 0.9 <= found["code_deviation"] <= 1.1
    assert found["z_cycle"] <= 1.3


@pytest.mark.parametrize("stopped", [1, 0])
def test_reconstructions_of_bigan_keep_the_class(bigans, stopped):
    assert bigans[stopped]["agreement"] >= 0.6


@pytest.mark.xfail(reason="distances 26.5, 12.6 and 31.1 at lambda 1, 10 and 100: a factor of 2.5")
def test_the_weight_of_gan_qp_hardly_matters(judge, tmp_path, monkeypatch):  # noqa: F811
    """lambda only rescales: 1, 10 and 100 have distances within 40 % of each other."""
    distances = {}
    for scale in (1.0, 10.0, 100.0):
        monkeypatch.setitem(losses.LOSSES, "gan_qp_l1", losses.gan_qp("l1", scale))
        distances[scale] = measured(judge, tmp_path / f"{scale}", "gan_qp_l1", steps=2500)["fd"]
    print(distances)
    assert max(distances.values()) < 1.4 * min(distances.values())
