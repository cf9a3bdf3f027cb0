"""Classifiers of images: sizes by hand, augmentations that do what they say, known calibration errors, real clothes."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from repository import ROOT

from stages import run
from stages.core import params
from stages.core.errors import Refusal
from stages.core.systems import Inputs
from stages.nets import augment, classifiers, classify, classify_evaluate
from stages.nets.classifiers import CLASSIFIERS, Classifier

GPU = params.load(ROOT / "params/gpu.yaml")
MODELS = run.read(GPU, "train", "fashion_classify").settings.models


def draws(seed=0):
    return torch.Generator().manual_seed(seed)


def weights(net):
    return sum(weight.numel() for weight in net.parameters())


def test_networks_have_the_weights_that_their_papers_count():
    made = {name: classifiers.make(model.net, (1, 28, 28), 10) for name, model in MODELS.items()}
    assert weights(made["softmax"]) == 7850
    assert weights(made["mlp"]) == 785 * 256 + 257 * 128 + 129 * 10  # 235,146, the specification's
    assert weights(made["cnn"]) <= 120_000
    assert weights(made["wide_residual"]) == pytest.approx(8.9e6, rel=0.01)  # arXiv 1605.07146, Table 4
    narrow = Classifier("wide_residual", (160, 320, 640), 4, 0.0)
    assert weights(classifiers.make(narrow, (3, 32, 32), 10)) == pytest.approx(36.5e6, rel=0.01)  # WRN-28-10, likewise


@pytest.mark.parametrize("kind", CLASSIFIERS)
@pytest.mark.parametrize("image", [(1, 8, 8), (3, 28, 28)])
def test_every_network_gives_logits_of_every_class(kind, image):
    net = classifiers.make(Classifier(kind, (8, 16), 1, 0.1), image, 7)
    out = net(torch.rand(5, *image, generator=draws()))
    assert out.shape == (5, 7)
    out.sum().backward()
    assert all(weight.grad is not None for weight in net.parameters())


def test_a_network_without_widths_is_refused():
    with pytest.raises(Refusal, match="needs `widths`"):
        classifiers.make(Classifier("cnn", (), 0, 0.0), (1, 8, 8), 10)


def test_a_block_is_its_shortcut_where_its_second_convolution_is_zero():
    block = classifiers.Block(4, 4, 1, 0.0)
    torch.nn.init.zeros_(block.second.weight)
    x = torch.randn(2, 4, 6, 6, generator=draws())
    assert torch.equal(block(x), x)


def test_half_of_the_pictures_are_mirrored_and_the_rest_are_not():
    x = torch.rand(2000, 1, 4, 5, generator=draws())
    y = augment.flip(x, draws(1))
    same, mirrored = (y == x).flatten(1).all(1), (y == x.flip(3)).flatten(1).all(1)
    assert (same ^ mirrored).all()
    assert abs(mirrored.double().mean() - 0.5) < 4 * (0.25 / 2000) ** 0.5


def test_a_crop_is_one_of_the_displacements_and_all_are_as_frequent():
    x = torch.rand(1, 1, 8, 8, generator=draws()).repeat(4500, 1, 1, 1) + 1
    y = augment.crop(x, draws(1))
    padded = torch.nn.functional.pad(x[0], (1, 1, 1, 1))
    each = torch.stack([padded[:, i : i + 8, j : j + 8] for i in range(3) for j in range(3)])  # 1/8 of 8 pixels
    counts = (y[:, None] == each[None]).flatten(2).all(2).sum(0)
    assert counts.sum() == len(x)
    assert ((counts - 500).abs() < 4 * (4500 * 8 / 81) ** 0.5).all()


def test_erasing_leaves_half_alone_and_of_the_others_takes_rectangles_of_the_paper_s_areas():
    x = torch.full((3000, 2, 28, 28), 2.0)
    y = augment.erase(x, draws(1))
    gone = (y != x).any(1)
    assert (y[(y != x)] <= 1).all()
    hit = gone.flatten(1).any(1)
    assert abs(hit.double().mean() - 0.5) < 4 * (0.25 / 3000) ** 0.5
    high, wide = gone.any(2).sum(1)[hit], gone.any(1).sum(1)[hit]
    assert torch.equal(high * wide, gone.flatten(1).sum(1)[hit])  # filled rectangles
    area = (high * wide / 784).double()
    assert area.min() < 0.05 < 0.38 < area.max() < 0.45
    assert abs(area.mean() - 0.21) < 0.02
    assert ((high / wide).median() - 1).abs() < 0.1


@pytest.mark.parametrize("name", augment.AUGMENTATIONS)
def test_augmentations_hang_on_their_generator_alone(name):
    x = torch.rand(20, 3, 9, 9, generator=draws())
    change = augment.AUGMENTATIONS[name]
    assert torch.equal(change(x, draws(3)), change(x, draws(3)))
    assert not torch.equal(change(x, draws(3)), change(x, draws(4)))


@pytest.mark.parametrize(("confidence", "error"), [(0.83, 0.03), (0.9, 0.1), (0.7, 0.1)])
def test_calibration_error_of_laws_that_are_known(confidence, error):
    """Four of five answers are right; each is given with the same confidence."""
    labels = torch.zeros(1000, dtype=torch.long)
    answers = (torch.arange(1000) % 5 == 0).long()
    p = torch.full((1000, 2), 1 - confidence, dtype=torch.float64)
    p[torch.arange(1000), answers] = confidence
    assert classify_evaluate.calibration_error(p, labels) == pytest.approx(error, abs=1e-9)


def test_to_be_sure_and_wrong_is_the_worst_calibration():
    p = torch.tensor([[0.0, 1.0]], dtype=torch.float64)
    assert classify_evaluate.calibration_error(p, torch.tensor([0])) == 1


def test_too_much_held_back_is_refused(tmp_path):
    row = run.read(params.load(ROOT / "params.yaml"), "preprocess", "digits")
    row.function(None, row.settings, tmp_path / "digits")
    row = run.read(params.load(ROOT / "params.yaml"), "train", "classify")
    with pytest.raises(Refusal, match="validation is 5000"):
        classify.train(Inputs(input=tmp_path / "digits"), replace(row.settings, validation=5000), tmp_path / "out")


@pytest.mark.real
@pytest.mark.parametrize(("name", "least"), [("softmax", 0.83), ("mlp", 0.89), ("cnn", 0.925)])
def test_clothes_are_known_on_a_cpu(tmp_path, name, least):
    """The models of params/gpu.yaml that a CPU can train, one seed each, in minutes."""
    source = Path(os.environ.get("QUJING_MIRROR", "")) / "fashion_mnist"
    if not os.environ.get("QUJING_MIRROR") or not source.exists():
        pytest.skip("Fashion-MNIST is not in QUJING_MIRROR")
    made = run.read(GPU, "preprocess", "fashion_mnist")
    made.function(source, made.settings, tmp_path / "data")
    row = run.read(GPU, "train", "fashion_classify")
    settings = replace(row.settings, models={name: row.settings.models[name]}, seeds=(0,), device="cpu", compile=False)
    row.function(Inputs(input=tmp_path / "data"), settings, tmp_path / "model")
    judge = run.read(GPU, "evaluate", "fashion_classify")
    found = judge.function(tmp_path / "model", Inputs(truth=tmp_path / "data"), replace(judge.settings, targets=()))
    print({key: round(value, 4) for key, value in found.metrics.items()})
    assert found.metrics[f"accuracy.{name}"] >= least
