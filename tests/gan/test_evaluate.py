"""The evaluation of a trained row: every metric there is, and what a perfect and a collapsed generator get."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from stages.core.errors import Refusal
from stages.core.systems import Inputs
from stages.core.targets import Target
from stages.gan import encoders, evaluate, train
from stages.gan.evaluate import EvaluateGan
from stages.nets import features
from stages.nets.features import Features
from stages.nets.training import Watch

HOW = EvaluateGan(6163, "two kinds", 64, (Target("fd", "like the data", "at most", 1e6),))


@pytest.fixture(scope="module")
def data(pixels, tmp_path_factory):
    """A data set of two kinds of image, and a network that knows them."""
    folder = tmp_path_factory.mktemp("data")
    labels = torch.tensor([0, 1]).repeat(100)
    parts = {"train": pixels[:160], "train_labels": labels[:160], "test": pixels[160:], "test_labels": labels[160:]}
    save_file({name: part.contiguous() for name, part in parts.items()}, folder / "images.safetensors")
    watch = Watch(50, 1e6, {}, 0)
    how = Features((8,), 8, "labels", 0.05, 0.05, 60, 32, 0.01, 160, 0, watch, "cpu", False, False)
    features.train(Inputs(input=folder), how, folder / "judge")
    return folder


def model(rows, data, key, **more):
    how = replace(rows[key], **more)
    out = data / f"{key}-{len(list(data.iterdir()))}"
    train.train(Inputs(input=data), how, out)
    return out


@pytest.mark.parametrize("key", ["rp_r1r2", "o_gan", "bigan_qp", "meg"])
def test_a_row_is_measured_for_each_seed(rows, data, key):
    out = model(rows, data, key, seeds=(0, 1))
    found = evaluate.evaluate(out, Inputs(truth=data / "judge"), HOW)
    own = {"rho", "agreement", "z_cycle"} if key in ("o_gan", "bigan_qp") else {"auroc_noise", "auroc_shuffled"}
    assert own | {"fd", "fd_last", "kid", "recall", "classes", "fd_deviation"} <= set(found.metrics)
    assert [claim.passed for claim in found.claims] == [True]
    assert found.tables["seeds"]["seed"].to_pylist() == [0, 1]
    assert set(found.figures) == {"samples", "growth", "curves"}
    again = evaluate.evaluate(out, Inputs(truth=data / "judge"), HOW)
    assert again.metrics == found.metrics


def test_the_averaged_generator_is_what_is_judged(rows, data):
    out = model(rows, data, "rp_r1r2")
    game = evaluate.load(out, rows["rp_r1r2"], (1, 8, 8), 0)
    z = torch.randn(4, 16)
    assert not torch.equal(game.nets["G"](z), game.nets["last"](z))
    shown = (game.nets["G"](train.noise(rows["rp_r1r2"], 64, torch.Generator().manual_seed(0))) * 255).round()
    grids = evaluate._grids(out, 0)[-1] * 255
    torch.testing.assert_close(grids, shown, atol=1.01, rtol=0)


def test_an_encoder_that_inverts_its_generator_is_perfect(rows, data):
    """G takes a code of 64 numbers to the image itself, E takes it back: every image is its own reconstruction."""
    how = replace(rows["bigan_qp"], latent=64)
    game = train.build(how, (1, 8, 8), 0, torch.device("cpu"))
    game.nets["G"], game.nets["E"] = torch.nn.Unflatten(1, (1, 8, 8)), torch.nn.Flatten()
    judge = features.load(data / "judge")
    found = encoders.measured(game, judge, 0)
    assert found["pixel_mse"] == found["z_cycle"] == 0
    assert found["rho"] == pytest.approx(1, abs=1e-5)
    known = judge.probabilities(judge.images.test / 255).argmax(1) == judge.images.test_labels
    assert found["agreement"] == pytest.approx(known.float().mean().item())
    assert found["nearest_code"] == 1
    assert found["pixel_mse_of_mean"] > 0.01


def test_no_judge_is_refused(rows, data):
    with pytest.raises(Refusal, match="judged by a `truth`"):
        evaluate.evaluate(data, Inputs(), HOW)
