"""The benchmark of optimisers: what it measures of each, and accumulation at batch 1 as the article has it."""

from dataclasses import replace
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file
from sklearn.datasets import load_digits
from torch import nn

from stages.core.errors import Refusal
from stages.core.params import typed
from stages.core.systems import Inputs
from stages.nets.benchmark_optimisers import BenchmarkOptimisers, Entrant, EvaluateOptimisers, evaluate, train
from stages.nets.optimisers import OPTIMISERS, Accumulate

ROW = yaml.safe_load((Path(__file__).parents[2] / "params.yaml").read_text())["systems"]["benchmark_optimisers"]


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """The digits that scikit-learn carries."""
    x, y = load_digits(return_X_y=True)
    x, labels = torch.tensor(x * 15.9).byte().view(-1, 1, 8, 8), torch.tensor(y)
    folder = tmp_path_factory.mktemp("images")
    parts = {"train": x[:1400], "train_labels": labels[:1400], "test": x[1400:], "test_labels": labels[1400:]}
    save_file({name: part.contiguous() for name, part in parts.items()}, folder / "images.safetensors")
    return folder


def test_every_optimiser_is_in_the_row():
    assert {entrant["optimiser"] for entrant in ROW["train"]["entrants"]} == set(OPTIMISERS) - {"warm"}


def test_all_learn_under_equal_conditions_and_what_they_remember_is_counted(images, tmp_path):
    how = typed(BenchmarkOptimisers, ROW["train"], "row")
    quick = replace(how.conditions, steps=100, seeds=(0,), device="cpu")
    train(Inputs(input=images), replace(how, conditions=quick), tmp_path / "model")
    asked = replace(typed(EvaluateOptimisers, ROW["evaluate"], "row"), device="cpu")
    found = evaluate(tmp_path / "model", Inputs(truth=images), asked)
    assert min(found.metrics[f"accuracy.{name}"] for name in OPTIMISERS if name != "warm") > 0.8
    state = {name: found.metrics[f"state.{name}"] for name in ("sgd", "momentum", "tiger", "lion", "adam", "lookahead")}
    assert state == {"sgd": 0, "momentum": 1, "tiger": 1, "lion": 1, "adam": 2, "lookahead": 3}
    assert len(found.claims) == len(asked.targets)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"entrants": (Entrant("adan", 1.0),)}, "choices: sgd, momentum"),
        ({}, "needs `input`"),
    ],
)
def test_bad_params_are_named(more, says, images, tmp_path):
    how = typed(BenchmarkOptimisers, ROW["train"], "row")
    with pytest.raises(Refusal, match=says):
        train(Inputs(input=images if more else None), replace(how, **more), tmp_path / "model")


@pytest.mark.slow
def test_accumulating_100_single_samples_trains_like_a_batch_of_100():
    """https://kexue.fm/archives/6794: at batch 1 Adam is stuck, accumulated over 100 it is as good as batch 100."""
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    x, y = torch.tensor(x[order] / 16, dtype=torch.float32), torch.tensor(y[order])

    def accuracy(seed, batch, k):
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10))
        optimiser = torch.optim.Adam(net.parameters(), 1e-2)
        optimiser = Accumulate(optimiser, k) if k > 1 else optimiser
        for _ in range(6):
            for rows in torch.randperm(1400).split(batch):
                optimiser.zero_grad()
                nn.functional.cross_entropy(net(x[rows]), y[rows]).backward()
                optimiser.step()
        with torch.no_grad():
            return (net(x[1400:]).argmax(1) == y[1400:]).double().mean().item()

    single, accumulated, large = (
        fmean(accuracy(seed, batch, k) for seed in range(5)) for batch, k in ((1, 1), (1, 100), (100, 1))
    )
    assert abs(accumulated - large) <= 0.005
    assert accumulated >= single + 0.02
