"""Every row of the kind trains, resumes to the same bytes, and its gradients are those of its equations."""

import math
import os
import subprocess
import sys
from dataclasses import asdict, replace

import pytest
import torch
import yaml
from repository import ROOT
from safetensors.torch import load_file, save_file
from torch.nn import functional

from stages.core import files, params
from stages.core.errors import Refusal
from stages.core.systems import Inputs
from stages.nets import training
from stages.nets.codes import Gaussian
from stages.nets.posteriors import Posterior, make
from stages.vae import objective, train
from stages.vae.likelihoods import Likelihood
from stages.vae.model import BINARY
from stages.vae.settings import Vae

CPU = torch.device("cpu")
SYSTEMS = yaml.safe_load((ROOT / "params.yaml").read_text())["systems"]
ROWS = [key for key, row in SYSTEMS.items() if row["kind"] == "vae"]


def learnt(how, pixels, seed=0, spool=None):
    model = train.build(how, tuple(pixels.shape[1:]), seed, CPU)
    return train.learn(model, pixels, how, seed, spool)


@pytest.mark.parametrize("key", ROWS)
def test_a_row_trains_and_goes_on_to_the_same_bytes(rows, pixels, tmp_path, monkeypatch, key):
    how = replace(rows[key], watch=replace(rows[key].watch, every=2))
    model, history = learnt(how, pixels)
    assert set(history) == {"loss", "reconstruction", "kl", "slack"}
    assert all(len(column) == how.steps for column in history.values())
    assert all(torch.isfinite(value).all() for value in model.state_dict().values())
    assert not model.training
    monkeypatch.setattr(training, "BETWEEN_CHECKPOINTS", 0.0)
    real, calls = train.draw, []

    def until(*given):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real(*given)

    monkeypatch.setattr(train, "draw", until)
    with pytest.raises(KeyboardInterrupt):
        learnt(how, pixels, spool=tmp_path)
    monkeypatch.setattr(train, "draw", real)
    again, history_again = learnt(how, pixels, spool=tmp_path)
    assert history_again == history
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in model.state_dict().items())


def test_the_rows_differ_in_what_they_compare_only():
    kept = (
        "encoder",
        "decoder",
        "optimiser",
        "batch",
        "average",
        "seeds",
        "regulariser",
        "beta",
        "free_bits",
        "warm_up",
    )
    first = SYSTEMS["vae"]
    for key in ROWS:
        row = SYSTEMS[key]
        if row["input"] == first["input"]:
            assert [row["train"][name] for name in kept] == [first["train"][name] for name in kept], key


def test_the_loss_is_the_articles(rows, pixels):
    """One step of plain descent moves the weights by the gradient of the formula, written out."""
    how = replace(rows["vae"], beta=2.0, steps=1, average=0.0)
    model = train.build(how, (1, 8, 8), 0, CPU)
    source = torch.Generator().manual_seed(0)
    x = (training.draw(pixels, how.batch, source) > 127).float()
    mu, log_var = model.encoder(x).chunk(2, 1)
    z = mu + (log_var / 2).exp() * torch.randn(1, how.batch, 8, generator=source)[0]
    bce = functional.binary_cross_entropy_with_logits(model.decoder(z), x, reduction="none").sum((1, 2, 3))
    kl = (mu.square() + log_var.exp() - log_var - 1).sum(1) / 2
    expected = torch.autograd.grad((bce + 2 * kl).mean(), list(model.parameters()))
    _, history = train.learn(model, pixels, how, 0)
    for weight, gradient in zip(model.parameters(), expected, strict=True):
        torch.testing.assert_close(weight.grad, gradient, rtol=1e-4, atol=1e-5)
    assert history["loss"] == pytest.approx([(bce + 2 * kl).mean().item()], rel=1e-5)
    assert history["reconstruction"] == pytest.approx([bce.mean().item()], rel=1e-5)
    assert history["kl"] == history["slack"] == pytest.approx([kl.mean().item()], rel=1e-5)


def test_the_weight_of_the_divergence_warms_up():
    assert [objective.warmth(i, 4) for i in range(6)] == [0, 0.25, 0.5, 0.75, 1, 1]
    assert objective.warmth(0, 0) == 1


def test_free_bits_are_counted_for_each_number():
    h = torch.tensor([[2.0, 0.0, 0.0, 0.0], [2.0, 1.2, 0.0, 0.0]])  # KL 2 and 2, 0 and 0.72
    code = make(Posterior("gauss", 2, {}))(h)
    assert objective.kl(code, 0.5).item() == pytest.approx(2.0 + 0.5)  # the mean over the batch counts, 0.36
    assert objective.kl(code, 0.0).item() == pytest.approx(2.0 + 0.36)
    with pytest.raises(Refusal, match="free_bits"):
        objective.kl(make(Posterior("vmf", 2, {"kappa": 1, "learned": 0}))(h[:, :2]), 0.5)


def test_the_crude_regulariser_is_the_articles():
    code = Gaussian(torch.tensor([[1.0, 2.0]]), torch.tensor([[2 * math.log(3.0), 0.0]]))
    assert objective.crude(code, 0.0).item() == pytest.approx((1 + 4 + 4) / 2)
    with pytest.raises(Refusal, match="crude is for Gaussian"):
        objective.crude(make(Posterior("vmf", 2, {"kappa": 1, "learned": 0}))(torch.ones(1, 2)), 0.0)


@pytest.mark.parametrize(
    ("posterior", "regulariser"),
    [
        (Posterior("fixed", 8, {"sigma": 0}), "none"),  # a plain autoencoder
        (Posterior("fixed", 8, {"sigma": 0.3}), "none"),
        (Posterior("gauss", 8, {}), "crude"),
        (Posterior("bn_full", 8, {"tau": 0.5}), "none"),
        (Posterior("vmf", 3, {"kappa": 5, "learned": 1}), "kl"),
    ],
)
@pytest.mark.parametrize("likelihood", ["gaussian", "gaussian_pixel", "categorical"])
def test_parts_combine(rows, pixels, posterior, regulariser, likelihood):
    how = replace(
        rows["vae"], posterior=posterior, regulariser=regulariser, likelihood=Likelihood(likelihood, 0.2), binary="none"
    )
    model, history = learnt(how, pixels)
    assert {"loss", "reconstruction", regulariser} <= set(history)
    assert all(math.isfinite(value) for column in history.values() for value in column)
    if posterior.terms.get("learned"):
        assert model.head.law.kappa.item() != 5


@pytest.mark.parametrize("kind", ["dcgan", "residual"])
def test_networks_of_every_kind(rows, pixels, kind):
    net = replace(rows["vae"].encoder, kind=kind, widths=(8, 16))
    how = replace(rows["vae_logistic"], encoder=net, decoder=net, steps=2, channels_last=True)
    learnt(how, pixels)


def test_binary_pixels(rows, pixels):
    seen = {name: BINARY[name](pixels, torch.Generator().manual_seed(0)) for name in BINARY}
    assert torch.equal(seen["none"], pixels / 255)
    assert torch.equal(seen["threshold"], (pixels >= 128).float())
    assert set(seen["dynamic"].unique().tolist()) == {0.0, 1.0}
    assert seen["dynamic"].mean().item() == pytest.approx(seen["none"].mean().item(), abs=0.02)
    other = BINARY["dynamic"](pixels, torch.Generator().manual_seed(1))
    assert not torch.equal(seen["dynamic"], other)


def test_batch_norm_sees_whole_batches_only(rows, pixels, monkeypatch):
    """200 images in batches of 16 would leave 8 over."""
    sizes = []
    real = train.Autoencoder.encode
    monkeypatch.setattr(train.Autoencoder, "encode", lambda self, x: sizes.append(len(x)) or real(self, x))
    learnt(replace(rows["vae_bn"], steps=20), pixels)
    assert set(sizes) == {16}


def test_a_bound_that_is_broken_ends_the_training(rows, pixels, monkeypatch):
    monkeypatch.setattr("stages.nets.posteriors.Bn.bound", lambda self: torch.tensor(100.0))
    with pytest.raises(Refusal, match=r"diverged at step 0: slack is -"):
        learnt(rows["vae_bn"], pixels)


def test_the_average_is_what_is_kept(rows, pixels):
    """After one step a quarter of the way from the first weights to the last."""
    how = replace(rows["vae"], average=0.75, steps=1)
    model = train.build(how, (1, 8, 8), 0, CPU)
    first = {name: value.clone() for name, value in model.state_dict().items()}
    kept, _ = train.learn(model, pixels, how, 0)
    for name, last in model.state_dict().items():
        assert not torch.equal(last, first[name])
        torch.testing.assert_close(kept.state_dict()[name], torch.lerp(first[name], last, 0.25))
    assert train.learn(model, pixels, replace(how, average=0.0), 0)[0] is model


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"regulariser": "k1"}, "regulariser is 'k1'; did you mean 'kl'"),
        ({"posterior": Posterior("bm", 8, {})}, "posterior.kind is 'bm'; did you mean 'bn'"),
        ({"likelihood": Likelihood("gausian", 1)}, "likelihood.kind is 'gausian'; did you mean 'gaussian'"),
    ],
)
def test_wrong_params_are_refused_by_name(rows, pixels, wrong, named):
    with pytest.raises(Refusal, match=named):
        learnt(replace(rows["vae"], **wrong), pixels)


def test_a_wrong_key_is_refused_by_name(rows):
    row = asdict(rows["vae"])
    row["posterior"]["latnet"] = row["posterior"].pop("latent")
    with pytest.raises(Refusal, match=r"x\.posterior has (an unknown key 'latnet'|no key 'latent')"):
        params.typed(Vae, row, "x")
    with pytest.raises(Refusal, match="VAE needs an `input`"):
        train.train(Inputs(), rows["vae"], None)


PROGRAM = """
import os
import sys
from pathlib import Path
from stages.core import params
from stages.core.files import read_json
from stages.core.systems import Inputs
from stages.vae import train
from stages.vae.settings import Vae
folder, rank, keys = Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
for key in keys:
    os.environ["QUJING_MEETING"] = f"file://{folder}/meeting-{key}"
    how = params.typed(Vae, read_json(folder / f"{key}.json"), "how")
    train.train(Inputs(input=folder), how, folder / f"{key}-of-{rank}")
"""


def test_two_processes_train_what_one_does(rows, pixels, tmp_path):
    """Normal draws, and those on the sphere."""
    keys = ["vae", "vae_vmf_4"]
    labels = torch.zeros(len(pixels), dtype=torch.int64)
    parts = {"train": pixels, "train_labels": labels, "test": pixels[:4].clone(), "test_labels": labels[:4].clone()}
    save_file(parts, tmp_path / "images.safetensors")
    for key in keys:
        how = replace(rows[key], steps=10, binary="dynamic")
        files.write_json(asdict(how), tmp_path / f"{key}.json")
        train.train(Inputs(input=tmp_path), how, tmp_path / f"{key}-of-one")
    together = {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(tmp_path), rank, *keys],
            env={**os.environ, **together, "RANK": rank, "LOCAL_RANK": rank},
            cwd=ROOT,
        )
        for rank in ("0", "1")
    ]
    assert [process.wait(timeout=120) for process in started] == [0, 0]
    for key in keys:
        one, both, other = (load_file(tmp_path / f"{key}-of-{name}/seed_0.safetensors") for name in ("one", "0", "1"))
        for name, value in one.items():
            assert torch.equal(both[name], other[name]), name
            torch.testing.assert_close(both[name], value, rtol=0, atol=1e-4 * float(value.abs().max()), msg=name)
