"""A thousand modes counted, of a generator whose modes are known and of a row that was trained."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from stages import run
from stages.core import params
from stages.core.errors import Refusal
from stages.core.systems import Inputs
from stages.core.targets import Target
from stages.corpora.images.digits import Digits, digits
from stages.corpora.images.stacked import Stacked, stacked
from stages.gan import stacks, train
from stages.nets import features
from stages.nets.threads import one_thread
from stages.nets.training import Watch

ROOT = Path(__file__).parents[2]
HOW = stacks.EvaluateStacks(6331, "stacks", 3000, 0, (Target("triples", "all", "at least", 1000),))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Digits, a network that knows them, and stacks of them."""
    folder = tmp_path_factory.mktemp("stacks")
    digits(None, Digits(360, 0), folder / "digits")
    watch = Watch(50, 1e4, {}, 0)
    how = features.Features((16, 16), 16, "labels", 0.05, 0.05, 300, 64, 3e-3, 1437, 0, watch, "cpu", False, False)
    with one_thread():
        features.train(Inputs(input=folder / "digits"), how, folder / "judge")
    stacked(folder / "digits", Stacked(500, 50, 0), folder / "stacks")
    return folder


def test_digits_themselves_have_all_modes_and_half_of_them_half(data):
    judge = features.load(data / "judge")
    found = stacks.real(judge, 12_000, 0)
    assert found["real_triples"] >= 995
    assert found["real_triple_kl"] < 0.12  # 999 / 24,000 of chance, and what the small network errs
    assert found["real_fd_of_gaussian"] < 0.3
    low = judge.images.test[judge.images.test_labels < 5]
    fakes = low[torch.randint(len(low), (9000,), generator=torch.Generator().manual_seed(0))].view(3000, 3, 8, 8) / 255
    few = stacks.measured(judge, fakes)
    assert few["triple_kl"] > 3 * 0.6  # log 2 a channel, but for errors
    assert few["fd"] > 3 * found["real_fd"]


def test_a_row_of_stacks_is_measured(data, tmp_path):
    values = params.load(ROOT / "params.yaml")
    how = replace(run.read(values, "train", "gan_stacked").settings, steps=4, grids=2, device="cpu")
    train.train(Inputs(input=data / "stacks"), how, tmp_path / "model")
    found = stacks.evaluate(tmp_path / "model", Inputs(truth=data / "judge"), HOW)
    assert {"triples", "triple_kl", "fd", "real_triples", "real_triple_kl", "real_fd"} <= set(found.metrics)
    assert [claim.passed for claim in found.claims] == [False]
    assert set(found.figures) == {"samples", "growth", "curves"}
    with pytest.raises(Refusal, match="read by a `truth`"):
        stacks.evaluate(tmp_path / "model", Inputs(), HOW)
