"""The bottleneck: its loss is the article's, all lambdas at once are each alone, and what its curve is made of."""

import math
from dataclasses import replace

import pytest
import torch
from repository import ROOT
from safetensors.torch import load_file, save_file
from torch.nn import functional

from stages.core import params
from stages.core.errors import Refusal
from stages.core.systems import Inputs
from stages.core.targets import Target
from stages.nets import images, training
from stages.vae import vib, vib_evaluate
from stages.vae.vib import Bottleneck, Vib
from stages.vae.vib_evaluate import EvaluateVib

HOW = EvaluateVib(6181, "two kinds", 4, "cpu", (Target("gain", "better", "at least", -1),))


@pytest.fixture(scope="module")
def how() -> Vib:
    """The row, a few steps of small nets long."""
    row = params.load(ROOT / "params.yaml")["systems"]["vib"]["train"]
    row = params.typed(Vib, row, "vib")
    net = replace(row.encoder, widths=(16,))
    return replace(row, encoder=net, latent=3, labelled=40, lambdas=(0, 0.01, 0.5), steps=6, seeds=(0, 1), device="cpu")


@pytest.fixture
def data(pixels, tmp_path):
    labels = torch.tensor([0, 1] * 100)
    held = {"train": pixels[:160], "train_labels": labels[:160], "test": pixels[160:], "test_labels": labels[160:]}
    save_file({name: part.contiguous() for name, part in held.items()}, tmp_path / "images.safetensors")
    return tmp_path


def learnt(how, data, spool=None):
    known = images.load(data)
    models = [Bottleneck(how, known.shape, known.classes, seed) for seed in how.seeds]
    return vib.learn(models, [vib.part(known, how, seed) for seed in how.seeds], how, spool)


def test_the_loss_and_its_gradient_are_the_articles(how, data, monkeypatch):
    """With noise and rate where lambda is above 0, as a plain classifier where it is 0."""
    how = replace(how, seeds=(3,), steps=1, capacity=0.02)
    known = images.load(data)
    x, y = vib.part(known, how, 3)
    e = torch.randn(1, 40, 3, generator=torch.Generator().manual_seed(3))[0]
    seen = {}

    def watched(loss, weights):
        training.differentiate(loss, weights)
        seen["gradients"] = [weight.grad.clone() for weight in weights]

    monkeypatch.setattr(vib, "differentiate", watched)
    _, history = learnt(how, data)
    for j, at in enumerate(how.lambdas):
        model = Bottleneck(how, known.shape, 2, 3)
        mu, log_var = model.encoder(x).chunk(2, 1)
        z = mu + (log_var / 2).exp() * e if at else mu
        loss = functional.cross_entropy(z @ model.reader.weight.T + model.reader.bias, y)
        rate = (mu.square() + log_var.exp() - log_var - 1).sum(1).mean() / 2
        assert rate > how.capacity
        weights = list(model.parameters())
        expected = torch.autograd.grad(loss + at * (rate - 0.02), weights)
        for found, gradient in zip(seen["gradients"], expected, strict=True):
            torch.testing.assert_close(found[j], gradient, rtol=1e-4, atol=1e-6)
        assert history[f"loss_{at:g}"] == pytest.approx([loss.item()], rel=1e-5)
        assert history[f"rate_{at:g}"] == pytest.approx([rate.item()], rel=1e-5)


def test_a_rate_below_the_capacity_costs_nothing(how, data):
    free, _ = learnt(replace(how, capacity=1e6), data)
    for value in free.values():
        torch.testing.assert_close(value[:, 1], value[:, 2])


def test_all_at_once_are_each_alone(how, data):
    """No model feels another one: neither its gradient nor its noise."""
    together, _ = learnt(replace(how, seeds=(5,)), data)
    alone, _ = learnt(replace(how, seeds=(5,), lambdas=(0, 0.5)), data)
    for name, value in together.items():
        torch.testing.assert_close(alone[name], value[:, [0, 2]], rtol=1e-4, atol=1e-6)


def test_it_goes_on_to_the_same_bytes(how, data, tmp_path, monkeypatch):
    how = replace(how, watch=replace(how.watch, every=2))
    whole, history = learnt(how, data)
    monkeypatch.setattr(training, "BETWEEN_CHECKPOINTS", 0.0)
    real, calls = vib.differentiate, []

    def until(*given):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        real(*given)

    monkeypatch.setattr(vib, "differentiate", until)
    with pytest.raises(KeyboardInterrupt):
        learnt(how, data, tmp_path / "spool")
    monkeypatch.setattr(vib, "differentiate", real)
    again, history_again = learnt(how, data, tmp_path / "spool")
    assert history_again == history
    assert all(torch.equal(value, again[name]) for name, value in whole.items())


def test_a_share_of_the_labels_is_by_chance(how, data):
    known = images.load(data)
    x, y = vib.part(known, replace(how, labelled=160, noise=0.5), 0)
    order = torch.randperm(160, generator=torch.Generator().manual_seed(0))
    assert torch.equal(x, known.train[order] / 255)
    wrong = y != known.train_labels[order]
    assert 20 <= wrong[:80].sum() <= 60  # by chance half of them are right
    assert not wrong[80:].any()


def test_a_row_is_trained_and_measured(how, data):
    vib.train(Inputs(input=data), how, data / "out")
    found = vib_evaluate.evaluate(data / "out", Inputs(truth=data), HOW)
    assert {"gain", "best", "nll_share", "rate_step", "accuracy_0", "nll_0.01", "rate_0.5"} <= set(found.metrics)
    assert [claim.passed for claim in found.claims] == [True]
    assert set(found.figures) == {"curve"}
    assert found.tables["curve"]["lambda"].to_pylist() == [0, 0.01, 0.5] * 2
    weights = load_file(data / "out/weights.safetensors")
    _, models = vib_evaluate.load(data / "out", "cpu")
    assert torch.equal(models[1, 0.5].reader.weight, weights["reader.weight"][1, 2])


def test_probabilities_are_averaged_not_their_logarithms(how):
    """Of a code whose two draws say yes and no for sure, the mean is a half: log 2 nats, not infinity."""
    model = Bottleneck(how, (1, 8, 8), 2, 0).eval().requires_grad_(False)
    x, y = torch.rand(30, 1, 8, 8), torch.zeros(30, dtype=torch.int64)
    model.reader.weight.mul_(1e4)  # sure of itself
    found = vib_evaluate.measured(model, 0.1, x, y, 64, 0)
    z = model.encode(x).draw(torch.Generator().manual_seed(1000), 64)
    yes = (model.reader(z).softmax(-1)[..., 0]).double().mean(0)
    assert found["nll"] == pytest.approx(-yes.clamp(min=1e-300).log().mean().item(), rel=1e-4)
    mu = model.encode(x).mu
    assert found["accuracy"] == pytest.approx((model.reader(mu).argmax(1) == 0).double().mean().item())
    plain = vib_evaluate.measured(model, 0, x, y, 64, 0)
    assert plain["nll"] == pytest.approx(
        functional.cross_entropy(model.reader(mu).double(), y, reduction="none").clamp(max=300 * math.log(10)).mean(),
        rel=1e-3,
    )


def test_the_best_lambda_is_one_for_all_seeds():
    table = [
        {"seed": seed, "lambda": at, "accuracy": right, "nll": nats, "rate": rate}
        for seed, rows in {
            0: [(0, 0.5, 2.0, 90.0), (0.1, 0.9, 1.0, 8.0), (0.2, 0.6, 1.5, 4.0), (0.3, 0.6, 0.5, 2.0)],
            1: [(0, 0.6, 2.0, 80.0), (0.1, 0.6, 1.0, 8.0), (0.2, 0.7, 1.5, 9.0), (0.3, 0.6, 1.0, 2.0)],
        }.items()
        for at, right, nats, rate in rows
    ]
    found = vib_evaluate.compared(table)
    assert [row["best"] for row in found.values()] == [0.1, 0.1]
    assert [row["gain"] for row in found.values()] == pytest.approx([0.4, 0.0])
    assert [row["nll_share"] for row in found.values()] == [0.25, 0.5]
    assert [row["rate_step"] for row in found.values()] == [0.5, 9 / 8]
    assert found[1]["accuracy_0.2"] == 0.7


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"lambdas": (0.1, 0.2)}, "from 0 on, which is the control"),
        ({"lambdas": (0, 0.2, 0.1)}, "must rise"),
        ({"labelled": 1000}, "labelled is 1000, but .* has 160 images"),
    ],
)
def test_wrong_params_are_refused(how, data, wrong, named):
    with pytest.raises(Refusal, match=named):
        vib.train(Inputs(input=data), replace(how, **wrong), data / "out")


def test_batch_norm_is_refused(how, data):
    with pytest.raises(Refusal, match="no batch or spectral norm"):
        vib.train(
            Inputs(input=data), replace(how, encoder=replace(how.encoder, widths=(8, 8), norm="batch")), data / "out"
        )


def test_what_is_missing_is_refused(how, data):
    with pytest.raises(Refusal, match="needs an `input`"):
        vib.train(Inputs(), how, data / "out")
    with pytest.raises(Refusal, match="judged by a `truth`"):
        vib_evaluate.evaluate(data, Inputs(), HOW)
