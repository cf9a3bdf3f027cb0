"""The feature network on made images and on the digits: what it learns, keeps, resumes and says of references."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file

from stages import run
from stages.core import files, params
from stages.core.errors import Refusal
from stages.core.systems import Inputs
from stages.corpora.images import digits as make
from stages.nets import calibration, features, quality, references, training
from stages.nets.images import Images, unit
from stages.nets.threads import one_thread

ROOT = Path(__file__).parents[2]
ROW = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["systems"]["digits_features"]
WEB = yaml.safe_load((ROOT / "params/web.yaml").read_text(encoding="utf-8"))
MIRROR = Path(os.environ.get("QUJING_MIRROR") or ROOT.parent / "shared/data")
SETTINGS = params.typed(features.Features, ROW["train"] | {"device": "cpu"}, "tests")
JUDGING = params.typed(calibration.EvaluateFeatures, ROW["evaluate"] | {"device": "cpu"}, "tests")
FEW = replace(SETTINGS, steps=40, watch=replace(SETTINGS.watch, every=10))


@pytest.fixture(autouse=True)
def calm():
    with one_thread():
        yield


def write(folder, train, train_labels, test, test_labels):
    folder.mkdir(parents=True, exist_ok=True)
    held = {"train": train, "train_labels": train_labels, "test": test, "test_labels": test_labels}
    save_file(
        {name: torch.as_tensor(value).contiguous() for name, value in held.items()}, folder / "images.safetensors"
    )
    return folder


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """The data set of the row's input."""
    out = tmp_path_factory.mktemp("digits") / "data"
    make.digits(None, make.Digits(360, 0), out)
    return out


@pytest.fixture(scope="module")
def trained(digits, tmp_path_factory):
    """The row `digits_features`, trained."""
    out = tmp_path_factory.mktemp("trained") / "model"
    with one_thread():
        return out, features.train(Inputs(input=digits), SETTINGS, out)


def test_a_convolution_more_halves_once_more_down_to_two_pixels():
    for image, widths, flat in [
        ((1, 8, 8), (32, 64, 64), 256),
        ((1, 28, 28), (8, 8, 16), 144),
        ((3, 64, 64), (4,) * 6, 16),
    ]:
        net = features.Net(image, widths, 5, 3)
        assert net.body[-2].in_features == flat
        assert net(torch.rand(2, *image)).shape == (2, 3)
    assert features.Net((1, 5, 9), (4, 4), 6, 2)(torch.rand(3, 1, 5, 9)).shape == (3, 2)


def test_turned_images_are_told_from_upright_ones():
    x = torch.arange(2 * 3 * 3).reshape(2, 1, 3, 3).repeat(4, 1, 1, 1).float()  # 8 images
    turned, which = features.by_rotation(x, torch.full((8,), -1))
    assert which.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    for image, turns, k in zip(turned, which, [0, 4, 1, 5, 2, 6, 3, 7], strict=True):
        np.testing.assert_array_equal(image[0].numpy(), np.rot90(x[k, 0].numpy(), int(turns)))
    assert len(features.by_rotation(x[:3], torch.zeros(3, dtype=torch.long))[0]) == 3


def test_the_digits_are_known_and_the_model_holds_all_that_a_judge_needs(trained, digits):
    out, found = trained
    assert found.metrics["accuracy"] >= 0.98
    assert len(found.history["loss"]) == SETTINGS.steps
    assert files.digest(out / "images.safetensors") == files.digest(digits / "images.safetensors")
    judge = features.load(out)
    test = unit(judge.images.test)
    right = judge.probabilities(test).argmax(1) == judge.images.test_labels
    assert right.double().mean().item() == found.metrics["accuracy"] == features.accuracy(judge)
    torch.testing.assert_close(judge.features(test), judge.test)
    torch.testing.assert_close(judge.features(unit(judge.images.train)), judge.train)
    assert judge.test.shape == (360, 32)
    assert judge.test.min() == 0  # after ReLU
    assert len(judge.rows.unique()) == 1437 == len(judge.reference)
    torch.testing.assert_close(judge.probabilities(test).sum(1), torch.ones(360))
    deviation = judge.train.std(0)
    standard, least = judge.standardised(judge.train), 0.1 * deviation.mean()
    assert standard.mean(0).abs().max() < 1e-4
    torch.testing.assert_close(standard.std(0), torch.where(deviation < least, deviation / least, 1.0))


def test_killed_and_resumed_is_the_same_bytes(digits, tmp_path, monkeypatch):
    features.train(Inputs(input=digits), FEW, tmp_path / "whole")
    monkeypatch.setattr(training, "BETWEEN_CHECKPOINTS", 0.0)
    plain, steps = torch.optim.Adam.step, []

    def dies(self, *args, **more):
        steps.append(1)
        if len(steps) == 25:
            raise KeyboardInterrupt
        return plain(self, *args, **more)

    monkeypatch.setattr(torch.optim.Adam, "step", dies)
    given = Inputs(input=digits, spool=tmp_path / "spool")
    (tmp_path / "spool").mkdir()
    with pytest.raises(KeyboardInterrupt):
        features.train(given, FEW, tmp_path / "resumed")
    assert not (tmp_path / "resumed").exists()
    steps.extend([1] * 100)
    features.train(given, FEW, tmp_path / "resumed")
    assert len(steps) == 25 + 100 + 20  # from step 20 on
    assert files.digest(tmp_path / "whole") == files.digest(tmp_path / "resumed")
    features.train(Inputs(input=digits), replace(FEW, seed=1), tmp_path / "other")
    assert files.digest(tmp_path / "whole") != files.digest(tmp_path / "other")


def test_the_loss_is_cross_entropy_of_smoothed_labels(digits):
    """One step without noise, against -sum q log p with q = 1 - s + s / 10 for the class and s / 10 for the others."""
    settings = replace(SETTINGS, steps=1, batch=50, rate=0.0, noise=0.0, smoothing=0.3)
    images = features.load_images(digits)
    net = features.Net((1, 8, 8), (4,), 6, 10)
    loss = features.learn(net, images, features.by_label, settings, None)["loss"][0]
    rows = torch.randint(1437, (50,), generator=torch.Generator().manual_seed(settings.seed))
    logs = net(images.train[rows] / 255).double().log_softmax(1)
    q = 0.03 + 0.7 * torch.eye(10, dtype=torch.float64)[images.train_labels[rows]]
    assert loss == pytest.approx(-(q * logs).sum(1).mean().item(), rel=1e-5)


def test_the_rate_falls_over_the_last_half_and_images_get_noise(digits, monkeypatch):
    rates, spreads = [], []
    plain = torch.optim.Adam.step
    monkeypatch.setattr(
        torch.optim.Adam, "step", lambda self: (rates.append(self.param_groups[0]["lr"]), plain(self))[1]
    )
    black = Images(torch.zeros(9, 1, 8, 8, dtype=torch.uint8), *(torch.zeros(9, dtype=torch.long),) * 3)

    class Seen(features.Net):
        def forward(self, x):
            spreads.append(x.std().item())
            return super().forward(x)

    features.learn(Seen((1, 8, 8), (4,), 6, 10), black, features.by_label, replace(FEW, steps=4, noise=0.2), None)
    assert rates == pytest.approx([1e-3, 1e-3, 1e-3, 5e-4])
    assert np.mean(spreads) == pytest.approx(0.2, rel=0.05)


def test_without_labels_rotations_are_learned(digits, tmp_path):
    pixels = features.load_images(digits)
    nobody = torch.full_like(pixels.train_labels, -1)
    folder = write(tmp_path / "data", pixels.train, nobody, pixels.test, nobody[:360].clone())
    with pytest.raises(Refusal, match="set the task to rotations"):
        features.train(Inputs(input=folder), FEW, tmp_path / "model")
    settings = replace(SETTINGS, steps=150, task="rotations", reference=500)
    found = features.train(Inputs(input=folder), settings, tmp_path / "model")
    assert found.metrics["accuracy"] > 0.7
    judge = features.load(tmp_path / "model")
    assert judge.reference.shape == (500, 32)
    measured = quality.measure(judge, unit(pixels.test), 0)
    assert "classes" not in measured
    assert measured["nearest_ratio"] == pytest.approx(1)
    judged = calibration.evaluate(tmp_path / "model", Inputs(), replace(JUDGING, target_accuracy=None))
    assert judged.tables["references"]["set"].to_pylist() == ["half", "test", *calibration.ORDER[2:]]
    assert [claim.claim for claim in judged.claims if "class" in claim.claim or "accuracy" in claim.claim] == []
    wide = write(tmp_path / "wide", pixels.train[:, :, :6], nobody, pixels.test[:, :, :6], nobody[:360].clone())
    with pytest.raises(Refusal, match="6 x 8, but rotations need square ones"):
        features.train(Inputs(input=wide), settings, tmp_path / "none")


def test_a_model_that_is_broken_is_refused(trained, tmp_path):
    with pytest.raises(Refusal, match="is missing"):
        features.load(tmp_path)
    for name in ("model.json", "images.safetensors", "features.safetensors"):
        (tmp_path / name).write_bytes((trained[0] / name).read_bytes())
    with pytest.raises(Refusal, match="holds no feature network"):
        features.load(tmp_path)


def test_reference_sets_are_ordered_and_the_claims_are_those_of_the_spec(trained):
    found = calibration.evaluate(trained[0], Inputs(), JUDGING)
    table = {row["set"]: row for row in found.tables["references"].to_pylist()}
    assert list(table) == ["half", *calibration.ORDER]
    fd = {name: row["fd"] for name, row in table.items()}
    assert fd["test"] < 3 < fd["without a class"] < fd["gaussian"] < fd["shuffled"] < min(fd["blurred"], fd["noise"])
    assert table["half"]["kid"] is None
    assert table["test"]["nearest_ratio"] == pytest.approx(1)
    assert table["test"]["precision"] > 0.8
    assert table["test"]["recall"] > 0.9
    lost = table["without a class"]
    assert (lost["classes"], lost["precision"]) == (9, 1)
    assert lost["nearest_ratio"] < 0.01
    assert lost["coverage"] == pytest.approx(0.9, abs=0.01)
    assert lost["label_kl"] == pytest.approx(-np.log(0.9), abs=0.01)
    assert table["gaussian"]["fd_of_gaussian"] == pytest.approx(1, abs=0.15)
    assert table["blurred"]["recall"] < 0.05
    claims = {claim.claim: claim for claim in found.claims}
    assert claims["accuracy of the feature network"].passed
    assert claims["distance of half of the data to the other"].value == fd["half"]
    assert claims["neighbours in the order from test images to noise"].value >= 4
    assert set(found.figures) == {"distances", "images"}
    assert found.metrics["fd_without_a_class"] == fd["without a class"]
    again = calibration.evaluate(trained[0], Inputs(), JUDGING)
    assert again.metrics == found.metrics


def test_copies_are_caught_and_what_cannot_be_measured_is_refused(trained):
    judge = features.load(trained[0])
    real = unit(judge.images.train)
    assert quality.measure(judge, real[:200], 0)["nearest_ratio"] < 0.02
    one = quality.measure(judge, real[:1].expand(200, -1, -1, -1) + 1e-3 * torch.rand(200, 1, 8, 8), 0)
    assert (one["classes"], one["coverage"] < 0.02) == (1, True)
    with pytest.raises(Refusal, match="32 images are too few to measure with 32 features"):
        quality.measure(judge, real[:32], 0)
    with pytest.raises(Refusal, match="not all finite"):
        quality.measure(judge, real[:50] * float("nan"), 0)
    noise = references.noise(real, 300, torch.Generator().manual_seed(0))
    assert quality.measure(judge, noise, 0) == quality.measure(judge, noise, 0)


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.skipif(not MIRROR.is_dir(), reason="QUJING_MIRROR names no folder of real data")
def test_fashion_is_known_after_a_short_training(tmp_path, monkeypatch):
    """The rows of params/web.yaml, at half the width."""
    monkeypatch.setenv("QUJING_MIRROR", str(MIRROR.resolve()))  # which holds other files of the same names
    row = run.read(WEB, "crawl", "fashion_mnist")
    row.function(None, row.settings, tmp_path / "rounds/fashion_mnist", tmp_path / "spool")
    row = run.read(WEB, "preprocess", "fashion_mnist")
    row.function(tmp_path / row.values["input"], row.settings, tmp_path / "data")
    settings = run.read(WEB, "train", "fashion_features").settings
    settings = replace(settings, widths=(16, 32, 64), dim=64, steps=2000, batch=64, rate=2e-3, reference=2000)
    found = features.train(Inputs(input=tmp_path / "data"), settings, tmp_path / "model")
    assert found.metrics["accuracy"] >= 0.88
