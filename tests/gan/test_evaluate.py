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
from stages.nets.latent import Latent
from stages.nets.training import Watch

HOW = EvaluateGan(6163, "two kinds", 64, None, (), (Target("fd", "like the data", "at most", 1e6),))


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
    assert set(found.figures) == {"samples", "growth", "curves", "diversity"}
    assert found.tables["growth"]["step"].to_pylist() == [3, 6] * 2
    assert {"recall_rise", "sharpness", "least_class"} <= set(found.metrics)
    again = evaluate.evaluate(out, Inputs(truth=data / "judge"), HOW)
    assert again.metrics == found.metrics


def test_chains_and_strangers_are_measured_where_params_say_so(rows, data):
    out = model(rows, data, "meg")
    plain = evaluate.evaluate(out, Inputs(truth=data / "judge"), HOW).metrics
    chain = Latent("ddls", "mala", 1.0, 2, 0.1)
    found = evaluate.evaluate(out, Inputs(truth=data / "judge"), replace(HOW, chain=chain, unseen=(1,)))
    assert {name: found.metrics[name] for name in plain} == plain
    assert found.metrics["chain_fd_ratio"] == found.metrics["chain_fd"] / plain["fd"]
    assert 0 < found.metrics["chain_accepted"] <= 1
    assert {"idle_fd", "chain_precision_rise", "auroc_unseen"} <= set(found.metrics)
    assert "chain" in found.figures
    steep = evaluate.evaluate(out, Inputs(truth=data / "judge"), replace(HOW, chain=replace(chain, beta=200.0))).metrics
    assert steep["idle_fd"] == found.metrics["idle_fd"]  # without the energy, whatever its weight
    assert steep["chain_fd"] != found.metrics["chain_fd"]
    still = replace(chain, potential="energy", beta=0.0, eps=1e-12)
    found = evaluate.evaluate(out, Inputs(truth=data / "judge"), replace(HOW, chain=still)).metrics
    assert found["chain_fd_ratio"] == pytest.approx(1, abs=1e-3)  # chains that began where the samples are from


def test_the_averaged_generator_is_what_is_judged(rows, data):
    out = model(rows, data, "rp_r1r2")
    game = evaluate.load(out, rows["rp_r1r2"], (1, 8, 8), 0)
    z = torch.randn(4, 16)
    assert not torch.equal(game.nets["G"](z), game.nets["last"](z))
    shown = (game.nets["G"](train.noise(rows["rp_r1r2"], 64, torch.Generator().manual_seed(0))) * 255).round()
    grids = evaluate.grids(out, 0)[-1] * 255
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
