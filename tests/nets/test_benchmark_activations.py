"""The benchmark of activations: both networks, the promises, what is refused."""

from dataclasses import replace

import pytest
import torch
from repository import ROOT

from stages import run
from stages.core import params
from stages.core.errors import Refusal
from stages.core.systems import Inputs
from stages.core.targets import Target
from stages.nets.activations import ACTIVATIONS
from stages.nets.benchmark_activations import NETS

VALUES = params.load(ROOT / "params.yaml")
TRAIN, EVALUATE = (run.read(VALUES, phase, "benchmark_activations") for phase in ("train", "evaluate"))
BRIEF = replace(
    TRAIN.settings,
    activations=("relu", "gelu", "sau"),
    conditions=replace(TRAIN.settings.conditions, steps=80, seeds=(0, 1), device="cpu"),
)
PROMISE = Target("behind.sau", "SAU is near", "at most", 0.05)
JUDGE = replace(EVALUATE.settings, targets=(PROMISE, replace(PROMISE, value=-1.0)), device="cpu")


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits") / "data"
    row = run.read(VALUES, "preprocess", "digits")
    row.function(None, row.settings, folder)
    return folder


@pytest.mark.parametrize(("net", "widths"), [("mlp", (16, 16)), ("cnn", (8, 16))])
def test_a_benchmark_from_beginning_to_end(digits, tmp_path, net, widths):
    how = replace(BRIEF, net=net, widths=widths)
    TRAIN.function(Inputs(input=digits), how, tmp_path / "model")
    found = EVALUATE.function(tmp_path / "model", Inputs(truth=digits), JUDGE)
    right = {name: found.metrics[f"accuracy.{name}"] for name in how.activations}
    assert min(right.values()) > 0.4
    near, negative = found.claims
    assert near.value == pytest.approx(max(right["relu"], right["gelu"]) - right["sau"])
    assert near.archive == 8718
    assert not negative.passed


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("net", NETS)
def test_every_activation_fits_into_every_network(name, net):
    made = NETS[net](ACTIVATIONS[name], (1, 8, 8), (3, 4), 10)
    assert made(torch.randn(2, 1, 8, 8)).shape == (2, 10)
    assert sum(isinstance(part, type(ACTIVATIONS[name]())) for part in made) == 2


def test_what_does_not_fit_is_refused(digits, tmp_path):
    TRAIN.function(Inputs(input=digits), replace(BRIEF, activations=("relu", "sau")), tmp_path / "model")
    with pytest.raises(Refusal, match="compared is gelu"):
        EVALUATE.function(tmp_path / "model", Inputs(truth=digits), JUDGE)
    with pytest.raises(Refusal, match="choices: relu"):
        TRAIN.function(Inputs(input=digits), replace(BRIEF, activations=("rely",)), tmp_path / "other")
    with pytest.raises(Refusal, match="needs `input`"):
        TRAIN.function(Inputs(), BRIEF, tmp_path / "other")
