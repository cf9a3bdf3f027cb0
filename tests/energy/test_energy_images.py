"""Energies of digits: a training from data to claims, strangers, and what is filled in."""

from dataclasses import replace

import pytest
import torch
from energies import SMALL
from sklearn.metrics import roc_auc_score
from torch import nn

from stages.core import tables
from stages.core.errors import Refusal
from stages.core.systems import Inputs
from stages.core.targets import Target
from stages.energy import images, model
from stages.energy.images import EvaluateOfImages, OfImages
from stages.energy.inpaint import HIDDEN, inpaint
from stages.energy.model import Model
from stages.nets.images import load, unit
from stages.nets.langevin import Descent

EVALUATION = EvaluateOfImages(500, 100, 30, "lower", 0, "cpu", "digits 8x8", ())


class Ink(nn.Module):
    """s(x) = -(the ink of an image)."""

    def forward(self, x):
        return -x.flatten(1).sum(1)


def test_from_data_to_claims(data, judge, tmp_path):
    out, targets = tmp_path / "model", (Target("auroc_noise", "knows noise", "at least", 0.9),)
    params = OfImages((9,), replace(SMALL, seeds=(0, 1)))
    told = images.train(Inputs(input=data, spool=tmp_path / "spool"), params, out)
    assert set(told.history) == {f"{name}_{seed}" for name in ("loss", "real", "fake", "spread") for seed in (0, 1)}
    assert tables.read(out / "history.parquet").column_names == ["seed", "step", "fake", "loss", "real", "spread"]
    found = images.evaluate(out, Inputs(truth=judge), replace(EVALUATION, targets=targets))
    assert found.claims[0].passed
    assert found.metrics["buffer_fd_of_gaussian"] < 2
    assert found.metrics["fresh_fd"] > 0
    assert 0 <= found.metrics["auroc_unseen"] <= 1
    assert set(found.figures) == {"buffer", "fresh", "energies", "inpainting", "curves"}
    again, models = model.load(out, OfImages)
    assert again == params
    assert models[0].buffer.shape == (500, 1, 8, 8)
    with pytest.raises(Refusal, match="there are: buffer_fd"):
        images.evaluate(out, Inputs(truth=judge), replace(EVALUATION, targets=(replace(targets[0], metric="fd"),)))


def test_energies_of_test_train_and_strangers_by_hand(data):
    held = load(data)
    found = images.energies(Model(Ink(), torch.zeros(0)), held, (8,), 0)
    ink = {part: unit(getattr(held, part)).flatten(1).sum(1) for part in ("train", "test")}
    train, test = ink["train"][held.train_labels != 8], ink["test"][held.test_labels != 8]
    assert found["gap"] == pytest.approx(abs((test.mean() - train.mean()).item()), rel=1e-4)
    assert found["gap_share"] == pytest.approx(found["gap"] / train.std().item(), rel=1e-4)
    assert found["auroc_shuffled"] == pytest.approx(0.5, abs=1e-3)  # as much ink as before
    unseen = (held.test_labels == 8).numpy()
    assert found["auroc_unseen"] == pytest.approx(roc_auc_score(unseen, ink["test"].numpy()))


def test_classes_are_left_out():
    labels = torch.tensor([0, 1, 2, 1, -1])
    assert images.among(labels, (1, 2)).tolist() == [True, False, False, False, True]
    assert images.among(labels, ()).all()


def test_what_inpainting_may_see():
    known = {name: mask(8, 8)[0, 0] for name, mask in HIDDEN.items()}
    assert known["lower"][:4].all()
    assert not known["lower"][4:].any()
    assert known["left"][:, 4:].all()
    assert not known["left"][:, :4].any()
    assert not known["middle"][2:6, 2:6].any()
    assert known["middle"].sum() == 64 - 16


def test_inpainting_is_sampling_given_the_rest():
    """N(0, A^-1) with A = [[2, 1], [1, 2]]: x2 given x1 is N(-x1 / 2, 1/2)."""
    a = torch.tensor([[2.0, 1.0], [1.0, 2.0]])
    x = torch.stack([torch.full((20000,), 1.0), torch.full((20000,), 9.0)], 1).view(-1, 1, 1, 2)
    known = torch.tensor([True, False]).view(1, 1, 1, 2)
    eps = 0.05
    law = Descent(steps=300, step=eps / 2, noise=eps**0.5, clip=0.0, low=-10.0, high=10.0)
    filled = inpaint(lambda x: (x.flatten(1) @ a * x.flatten(1)).sum(1) / 2, x, known, law, torch.Generator())
    assert torch.equal(filled[..., 0], x[..., 0])
    assert filled[..., 1].mean().item() == pytest.approx(-0.5, abs=0.03)
    assert filled[..., 1].var().item() == pytest.approx(0.5, rel=0.1)


def test_without_data_or_judge_it_refuses(tmp_path):
    with pytest.raises(Refusal, match="needs an `input`"):
        images.train(Inputs(), OfImages((), SMALL), tmp_path / "model")
    with pytest.raises(Refusal, match="`truth`"):
        images.evaluate(tmp_path, Inputs(), EVALUATION)


@pytest.mark.slow
def test_digits_as_promised(data, judge, tmp_path):
    """Spec 19.3 over three seeds and 1500 steps; its distance of 22 where a Gaussian has 40.3."""
    wide = replace(SMALL, network=replace(SMALL.network, widths=(256, 256)), buffer=2000, steps=1500, seeds=(0, 1, 2))
    images.train(Inputs(input=data), OfImages((), wide), tmp_path / "model")
    found = images.evaluate(tmp_path / "model", Inputs(truth=judge), replace(EVALUATION, samples=1437)).metrics
    assert found["buffer_fd_of_gaussian"] <= 22 / 40.3
    assert found["auroc_noise"] >= 0.98
    assert found["auroc_permuted"] >= 0.98
    assert found["auroc_shuffled"] >= 0.8
    assert found["gap"] < 0.1
