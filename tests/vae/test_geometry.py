"""The geometry of codes: what is measured of clouds that are known, and four models side by side."""

import math
from dataclasses import replace

import pytest
import torch
from repository import ROOT
from safetensors.torch import load_file, save_file

from stages.core import params
from stages.core.errors import Refusal
from stages.core.systems import Inputs
from stages.core.targets import Target
from stages.nets import features, training
from stages.nets.codes import Gaussian
from stages.nets.features import Features
from stages.nets.posteriors import Posterior, make
from stages.nets.training import Watch
from stages.vae import clouds, evaluate, geometry, train
from stages.vae.evaluate import EvaluateVae
from stages.vae.geometry import EvaluateGeometry, Geometry

TARGETS = (Target("coverage_gain", "more", "at least", -1),)
HOW = EvaluateGeometry(7725, "two kinds", 64, ("vae", "autoencoder"), "cpu", TARGETS)
NAMES = ["autoencoder", "noise", "crude", "vae"]


@pytest.fixture(scope="module")
def how() -> Geometry:
    """The row, a few steps long."""
    row = params.load(ROOT / "params.yaml")["systems"]["geometry"]["train"]
    row = params.typed(Geometry, row, "geometry")
    return replace(row, shared=replace(row.shared, steps=4, batch=16, seeds=(0, 1), device="cpu"))


@pytest.fixture(scope="module")
def data(pixels, tmp_path_factory):
    """A data set of two kinds of image, and a network that knows them."""
    folder = tmp_path_factory.mktemp("data")
    labels = torch.tensor([0, 1] * 100)
    held = {"train": pixels[:160], "train_labels": labels[:160], "test": pixels[160:], "test_labels": labels[160:]}
    save_file({name: part.contiguous() for name, part in held.items()}, folder / "images.safetensors")
    known = Features((8,), 8, "labels", 0.05, 0.05, 20, 32, 0.01, 160, 0, Watch(50, 1e6, {}, 0), "cpu", False, False)
    features.train(Inputs(input=folder), known, folder / "judge")
    return folder


def test_the_correlation_is_that_of_the_law():
    source = torch.Generator().manual_seed(0)
    a, b, c = torch.randn(3, 100_000, generator=source)
    mu = torch.stack([a, -0.6 * a + 0.8 * b, 5 * c + 3], 1)  # correlations -0.6, 0, 0
    assert clouds.correlation(mu) == pytest.approx(0.2, abs=0.01)
    assert clouds.correlation(torch.cat([mu, torch.ones(100_000, 1)], 1)) == pytest.approx(0.2, abs=0.01)
    assert math.isnan(clouds.correlation(mu[:, :1]))


def test_the_moment_is_that_of_mu_and_sigma():
    code = Gaussian(torch.tensor([[1.0, 2.0], [3.0, 0.0]]), torch.tensor([[0.0, math.log(4)], [-math.inf, 0.0]]))
    assert clouds.moment(code) == pytest.approx((1 + 1 + 4 + 4 + 9 + 0 + 0 + 1) / 4)


def test_draws_are_of_the_prior_or_as_the_codes_lie():
    head = make(Posterior("gauss", 2, {}))
    mu = torch.tensor([3.0, -1.0]) + torch.tensor([2.0, 0.1]) * torch.randn(50, 2)
    source = torch.Generator().manual_seed(0)
    plain = clouds.draws(head, "kl", mu, 50_000, source)
    assert plain.mean(0).tolist() == pytest.approx([0, 0], abs=0.02)
    assert plain.std(0).tolist() == pytest.approx([1, 1], abs=0.02)
    fitted = clouds.draws(head, "none", mu, 50_000, source)
    assert fitted.mean(0).tolist() == pytest.approx(mu.mean(0).tolist(), abs=0.03)
    assert fitted.std(0).tolist() == pytest.approx(mu.std(0).tolist(), rel=0.02)


def test_ellipses_have_sigma_as_half_axes():
    """As drawn: one from -1 to 3 and from 1.5 to 2.5 in a panel of its own."""
    figure = clouds.ellipses(
        {"a": Gaussian(torch.tensor([[1.0, 2.0]]), torch.tensor([[4.0, 0.25]]).square().log() / 2)}
    )
    (axes,) = figure.axes
    (held,) = axes.collections
    assert (2 * held._widths[0], 2 * held._heights[0]) == pytest.approx((4.0, 1.0))
    assert held.get_offsets().tolist() == [[1.0, 2.0]]


def test_four_models_are_trained_and_compared(how, data):
    geometry.train(Inputs(input=data), how, data / "out")
    found = geometry.evaluate(data / "out", Inputs(truth=data / "judge"), HOW)
    names = {f"{model}_{name}" for model in NAMES for name in ("fd", "coverage", "correlation", "moment", "confident")}
    assert names | {"coverage_gain", "precision_gain", "correlation_share", "fd_share"} <= set(found.metrics)
    assert "vae_prior_gap" in found.metrics
    assert "autoencoder_prior_gap" not in found.metrics
    assert [claim.passed for claim in found.claims] == [True]
    assert set(found.figures) == {"ellipses", "draws"}
    table = found.tables["models"]
    assert table["model"].to_pylist() == [name for name in NAMES for _ in (0, 1)]
    assert table["prior_gap"].null_count == 2
    assert all(math.isfinite(value) for value in found.metrics.values())


def test_each_model_is_what_train_makes_alone(how, data):
    geometry.train(Inputs(input=data), how, data / "again")
    one = geometry.settings(how)["crude"]
    train.train(Inputs(input=data), one, data / "crude")
    held, alone = (load_file(data / place / "seed_1.safetensors") for place in ("again/crude", "crude"))
    assert all(torch.equal(value, held[name]) for name, value in alone.items())
    assert one.posterior.kind == "gauss"
    assert geometry.settings(how)["noise"].posterior.terms == {"sigma": 0.3}


def test_it_goes_on_to_the_same_bytes(how, data, monkeypatch):
    """Killed in the middle of the last of eight trainings."""
    how = replace(how, shared=replace(how.shared, watch=replace(how.shared.watch, every=1)))
    geometry.train(Inputs(input=data), how, data / "whole")
    monkeypatch.setattr(training, "BETWEEN_CHECKPOINTS", 0.0)
    real, calls = train.draw, []

    def until(*given):
        calls.append(1)
        if len(calls) == 30:
            raise KeyboardInterrupt
        return real(*given)

    monkeypatch.setattr(train, "draw", until)
    with pytest.raises(KeyboardInterrupt):
        geometry.train(Inputs(input=data, spool=data / "spool"), how, data / "half")
    calls.extend([0] * 1000)
    geometry.train(Inputs(input=data, spool=data / "spool"), how, data / "half")
    assert len(calls) - 30 - 1000 < 8  # what was done is not done again
    for name in NAMES:
        for file in ("seed_0.safetensors", "seed_1.safetensors", "history.parquet"):
            assert (data / "whole" / name / file).read_bytes() == (data / "half" / name / file).read_bytes()


def test_comparisons_are_of_the_first_to_the_second():
    a = {"coverage": 0.7, "precision": 0.6, "correlation": 0.1, "fd": 20.0}
    b = {"coverage": 0.4, "precision": 0.5, "correlation": 0.4, "fd": 40.0}
    found = geometry.compared({3: {"vae": a, "plain": b}}, "vae", "plain")[3]
    assert found["coverage_gain"] == pytest.approx(0.3)
    assert found["precision_gain"] == pytest.approx(0.1)
    assert found["correlation_share"] == 0.25
    assert found["fd_share"] == 0.5
    assert found["plain_fd"] == 40


def test_a_vae_of_two_numbers_shows_its_ellipses(how, data):
    """And an autoencoder's draws are where its codes are."""
    target = EvaluateVae(5343, "two kinds", 64, 2, 2, "cpu", ())
    for name, posterior in {
        "vae": Posterior("gauss", 2, {}),
        "autoencoder": Posterior("fixed", 2, {"sigma": 0}),
    }.items():
        one = replace(geometry.settings(how)[name], posterior=posterior, seeds=(0,))
        train.train(Inputs(input=data), one, data / f"flat_{name}")
        found = evaluate.evaluate(data / f"flat_{name}", Inputs(truth=data / "judge"), target)
        assert "ellipses" in found.figures
        assert {"correlation", "moment", "confident"} <= set(found.metrics)


def test_what_cannot_be_compared_is_refused(how, data):
    with pytest.raises(Refusal, match="need an `input`"):
        geometry.train(Inputs(), how, data / "none")
    with pytest.raises(Refusal, match="judged by a `truth`"):
        geometry.evaluate(data, Inputs(), HOW)
    round_ = replace(how.models[3], posterior=Posterior("vmf", 3, {"kappa": 5, "learned": 0}))
    geometry.train(Inputs(input=data), replace(how, models=(round_, how.models[0])), data / "round")
    with pytest.raises(Refusal, match="choose Gaussian posteriors"):
        geometry.evaluate(data / "round", Inputs(truth=data / "judge"), HOW)
    with pytest.raises(Refusal, match=r"compared is \['vae', 'plain'\], but the models are vae, autoencoder"):
        geometry.evaluate(data / "round", Inputs(truth=data / "judge"), replace(HOW, compared=("vae", "plain")))
