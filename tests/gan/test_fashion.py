"""Every loss on Fashion-MNIST, 28x28, as params/gpu.yaml asks for it, but narrower and shorter, for a CPU.

`pytest -m real -s tests/gan/test_fashion.py` prints the table, best first, with means and deviations of three seeds:
1000 steps of the critic at four times the rates, nets of 16 and 32 channels. Three quarters of an hour on one core.
"""

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from repository import ROOT

from stages import run
from stages.core import params
from stages.core.systems import Inputs

VALUES = params.load(ROOT / "params/gpu.yaml")
ROWS = [key for key, row in VALUES["systems"].items() if row["kind"] == "gan"]
SHORTER, FASTER = 50, 4
SHOWN = ("fd_of_gaussian", "fd", "fd_last", "kid", "classes", "recall", "coverage")

FOUND = {}


def told(key):
    found = FOUND[key]
    print(key, *(f"{name} {found[name]:.3f} +- {found[f'{name}_deviation']:.3f}" for name in SHOWN), flush=True)


@pytest.fixture(scope="module")
def fashion(tmp_path_factory):
    """The data set and its judge."""
    source = Path(os.environ.get("QUJING_MIRROR", "")) / "fashion_mnist"
    if not os.environ.get("QUJING_MIRROR") or not source.exists():
        pytest.skip("Fashion-MNIST is not in QUJING_MIRROR")
    folder = tmp_path_factory.mktemp("fashion")
    row = run.read(VALUES, "preprocess", "fashion_mnist")
    row.function(source, row.settings, folder / "data")
    row = run.read(VALUES, "train", "fashion_features")
    row.function(Inputs(input=folder / "data"), replace(row.settings, device="cpu"), folder / "judge")
    return folder


@pytest.fixture(scope="module", autouse=True)
def table():
    yield
    print()
    for key in sorted(FOUND, key=lambda key: FOUND[key]["fd_of_gaussian"]):
        told(key)


@pytest.mark.real
@pytest.mark.parametrize("key", ROWS)
def test_a_loss_learns_clothes(fashion, tmp_path, key):
    """Over three seeds no training breaks down, and none makes but one thing."""
    torch.set_num_threads(1)
    row = run.read(VALUES, "train", key).settings
    faster = {
        name: replace(getattr(row, name), rate=FASTER * getattr(row, name).rate)
        for name in ("generator_optimiser", "critic_optimiser")
    }
    how = replace(
        row,
        generator=replace(row.generator, widths=(16, 32)),
        critic=replace(row.critic, widths=(16, 32)),
        steps=row.steps // SHORTER,
        average=0.98,
        device="cpu",
        **faster,
        **dict.fromkeys(("bf16", "channels_last", "compile"), False),
    )
    training = run.read(VALUES, "train", key).function
    training(Inputs(input=fashion / "data"), how, tmp_path / "model")
    judged = run.read(VALUES, "evaluate", key)
    settings = replace(judged.settings, samples=5000)
    found = judged.function(tmp_path / "model", Inputs(truth=fashion / "judge"), settings).metrics
    FOUND[key] = found
    told(key)
    assert found["classes"] > 1
