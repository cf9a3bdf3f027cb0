"""InfoMax: its terms are the articles', no pair is both, and its codes are judged by what stands beside them."""

import math
from dataclasses import replace

import pytest
import torch
from repository import ROOT
from safetensors.torch import save_file

from stages.core import params
from stages.core.errors import Refusal
from stages.core.systems import Inputs
from stages.core.targets import Target
from stages.nets import images, training
from stages.vae import infomax, infomax_evaluate, probes
from stages.vae.infomax import Infomax
from stages.vae.infomax_evaluate import EvaluateInfomax

CPU = torch.device("cpu")
HOW = EvaluateInfomax(6024, "two kinds", 160, "cpu", (Target("probe_gain", "better", "at least", -1),))
SYSTEMS = params.load(ROOT / "params.yaml")["systems"]
ROWS = [key for key, row in SYSTEMS.items() if row["kind"] == "infomax"]
TERMS = {"infomax": {"global", "local"}, "infomax_local": {"local"}}


def row(key: str) -> Infomax:
    """A row, a few steps of small nets long."""
    how = params.typed(Infomax, SYSTEMS[key]["train"], key)
    posterior = replace(how.posterior, latent=4)
    short = {"blocks": (4, 6), "top": (8,), "discriminator": (8,), "batch": 16, "steps": 6, "device": "cpu"}
    return replace(how, posterior=posterior, **short)


@pytest.fixture
def data(pixels, tmp_path):
    labels = torch.tensor([0, 1] * 100)
    held = {"train": pixels[:160], "train_labels": labels[:160], "test": pixels[160:], "test_labels": labels[160:]}
    save_file({name: part.contiguous() for name, part in held.items()}, tmp_path / "images.safetensors")
    return tmp_path


def learnt(how, pixels, seed=0, spool=None):
    model = infomax.build(how, (1, 8, 8), seed, CPU)
    return model, infomax.learn(model, pixels, how, seed, spool)


@pytest.mark.parametrize("key", ROWS)
def test_a_row_trains_and_goes_on_to_the_same_bytes(pixels, tmp_path, monkeypatch, key):
    how = replace(row(key), watch=replace(row(key).watch, every=2))
    model, history = learnt(how, pixels)
    assert set(history) == {"loss", "prior"} | TERMS.get(key, {"global"})
    assert not model.training
    monkeypatch.setattr(training, "BETWEEN_CHECKPOINTS", 0.0)
    real, calls = infomax.differentiate, []

    def until(*given):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        real(*given)

    monkeypatch.setattr(infomax, "differentiate", until)
    with pytest.raises(KeyboardInterrupt):
        learnt(how, pixels, spool=tmp_path)
    monkeypatch.setattr(infomax, "differentiate", real)
    again, history_again = learnt(how, pixels, spool=tmp_path)
    assert history_again == history
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("pairs", ["code", "feature"])
def test_the_loss_is_the_articles(pixels, pairs):
    """The first step's, by hand: pair by pair, cell by cell, with sigmoids and logarithms."""
    how = replace(row("infomax"), pairs=pairs, steps=1, batch=6, alpha=0.7, beta=1.3, gamma=0.2)
    model = infomax.build(how, (1, 8, 8), 0, CPU)
    source = torch.Generator().manual_seed(0)
    x = pixels[torch.randperm(len(pixels), generator=source)[:6]] / 255
    found = model.encoder.map(x)  # [6, channels, 4, 4]
    mu, log_var = model.encoder.code(found).chunk(2, 1)
    z = mu + (log_var / 2).exp() * torch.randn(1, 6, 4, generator=source)[0]
    whole, cells = [], []
    for i in range(6):
        for j, own in ((i, True), ((i - 1) % 6, False)):
            side = z[j] if pairs == "code" else found[j].permute(1, 2, 0).flatten()
            score = model.scores["alpha"](torch.cat([side, z[i]])).sigmoid()
            whole.append(-(score if own else 1 - score).log())
            for place in range(16):
                cell = torch.cat([found[j, :, place // 4, place % 4], z[i]])
                score = model.scores["beta"](cell).sigmoid()
                cells.append(-(score if own else 1 - score).log())
    prior = -(1 + log_var - mu.square() - log_var.exp()).mean() / 2
    terms = {"global": 2 * torch.stack(whole).mean(), "local": 2 * torch.stack(cells).mean(), "prior": prior}
    history = infomax.learn(infomax.build(how, (1, 8, 8), 0, CPU), pixels, how, 0)
    for name, term in terms.items():
        assert history[name] == pytest.approx([term.item()], rel=1e-4), name
    loss = 0.7 * terms["global"] + 1.3 * terms["local"] + 0.2 * prior
    assert history["loss"] == pytest.approx([loss.item()], rel=1e-4)


@pytest.mark.parametrize("size", [2, 3, 8])
def test_no_pair_is_both(size):
    """A score that knows whether the two are of one image tells all pairs."""

    class Same(torch.nn.Module):
        def forward(self, pair):
            return 100 * (1 - 2 * (pair[..., :1] != pair[..., -1:]).float())

    a = torch.arange(float(size))[:, None]
    assert infomax.information(Same(), a, a).item() == pytest.approx(0, abs=1e-6)
    cells = a[:, None].expand(size, 5, 1)
    assert infomax.information(Same(), cells, a).item() == pytest.approx(0, abs=1e-6)


def test_no_image_is_twice_in_a_batch(pixels, monkeypatch):
    how = replace(row("infomax_local"), batch=len(pixels), steps=2)
    seen = []
    monkeypatch.setattr(infomax.images, "unit", lambda x: seen.append(x) or x / 255)
    learnt(how, pixels)
    for x in seen:
        assert len(x.flatten(1).unique(dim=0)) == len(pixels.flatten(1).unique(dim=0))
    assert not torch.equal(seen[0], seen[1])


def test_the_loss_bounds_the_information():
    """At the best score, log p(a, z) / p(a) p(z), the loss is 2 log 2 - 2 JS: for N(0, 1) pairs that correlate."""
    n, r = 200_000, 0.8
    source = torch.Generator().manual_seed(0)
    a = torch.randn(n, 1, generator=source)
    z = r * a + math.sqrt(1 - r * r) * torch.randn(n, 1, generator=source)

    class Best(torch.nn.Module):
        def forward(self, pair):
            a, z = pair[..., :1], pair[..., 1:]
            far = (a * a + z * z) / 2 - (a * a - 2 * r * a * z + z * z) / (2 * (1 - r * r))
            return far - math.log(1 - r * r) / 2

    found = infomax.information(Best(), a, z).item()
    line = torch.linspace(-7, 7, 1001, dtype=torch.float64)
    score = Best()(torch.stack(torch.meshgrid(line, line, indexing="ij"), -1))[..., 0]
    apart = torch.exp(-(line[:, None] ** 2 + line[None] ** 2) / 2) / (2 * math.pi)
    joint = apart * score.exp()
    middle = (joint + apart) / 2
    js = (torch.xlogy(joint, joint / middle) + torch.xlogy(apart, apart / middle)).sum() / 2 * (line[1] - line[0]) ** 2
    assert found == pytest.approx(2 * math.log(2) - 2 * js.item(), abs=0.005)


def test_the_map_is_halved_to_four_a_side():
    for side, left in ((8, 4), (28, 7), (32, 4)):
        encoder = infomax.Encoder(replace(row("infomax"), blocks=(4, 4, 6)), (1, side, side)).eval()
        cells, h = encoder(torch.zeros(2, 1, side, side))
        assert cells.shape == (2, left * left, 6)
        assert h.shape == (2, 8)


def test_a_row_is_measured_against_no_training_and_pixels(data):
    how = replace(row("infomax"), seeds=(0, 1), steps=20)
    infomax.train(Inputs(input=data), how, data / "out")
    found = infomax_evaluate.evaluate(data / "out", Inputs(truth=data), HOW)
    names = {f"{of}{name}" for of in ("", "untrained_", "pixels_") for name in ("probe", "retrieval")}
    assert names | {"probe_gain", "code_mean", "code_std", "probe_deviation"} <= set(found.metrics)
    assert found.metrics["pixels_probe"] == 1
    assert [claim.passed for claim in found.claims] == [True]
    assert set(found.figures) == {"neighbours", "curves"}
    gain = found.metrics["probe"] - found.metrics["untrained_probe"]
    assert found.metrics["probe_gain"] == pytest.approx(gain)
    for seed in (0, 1):  # untrained is what the training began with
        fresh = infomax.build(how, (1, 8, 8), seed, CPU).encoder.eval()
        before = infomax_evaluate.classes(images.load(data), infomax_evaluate.mode(fresh), 160)
        assert found.tables["seeds"]["untrained_probe"][seed].as_py() == before["probe"]


def test_neighbours_are_by_the_angle():
    """Classes are directions here, and the test codes so short that by distance only the shortest others are near."""
    source = torch.Generator().manual_seed(0)
    labels = torch.arange(200) % 2
    angle = 0.2 * torch.randn(200, generator=source) + labels * math.pi / 2
    length = 0.5 + torch.rand(200, 1, generator=source)
    length[150:] = 0.01
    x = torch.stack([angle.cos(), angle.sin()], 1) * length
    held = images.Images(x[:150], labels[:150], x[150:], labels[150:])
    assert infomax_evaluate.classes(held, lambda x: x, 150)["retrieval"] > 0.95
    assert probes.neighbours(x[:150], labels[:150], x[150:], labels[150:])["retrieval"] < 0.7


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"pairs": "coed"}, "pairs is 'coed'; did you mean 'code'"),
        ({"batch": 161}, "batch of 161 of 160 images"),
        ({"batch": 1}, "batch of 1 of 160"),
        ({"alpha": 0, "beta": 0}, "alpha or beta must be above it"),
        ({"gamma": -1}, "weights from 0 on"),
    ],
)
def test_wrong_params_are_refused(data, wrong, named):
    with pytest.raises(Refusal, match=named):
        infomax.train(Inputs(input=data), replace(row("infomax"), **wrong), data / "out")


def test_what_is_missing_is_refused(data, pixels, tmp_path):
    with pytest.raises(Refusal, match="needs an `input`"):
        infomax.train(Inputs(), row("infomax"), data / "out")
    with pytest.raises(Refusal, match="judged by a `truth`"):
        infomax_evaluate.evaluate(data, Inputs(), HOW)


def test_other_layouts_and_precisions_train(pixels):
    _, history = learnt(replace(row("infomax"), bf16=True, channels_last=True, steps=2), pixels)
    assert all(math.isfinite(value) for value in history["loss"])
