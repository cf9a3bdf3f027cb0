"""VQ-VAE: every row trains, resumes to the same bytes and is measured; two processes do what one does."""

import os
import subprocess
import sys
from dataclasses import asdict, replace
from math import log2

import numpy as np
import pytest
import repository
import torch
from safetensors.torch import load_file, save_file
from scipy.stats import entropy as scipy_entropy

from stages.core import files, params
from stages.core.errors import Refusal
from stages.core.systems import Inputs
from stages.core.targets import Target
from stages.nets import features, training
from stages.nets.features import Features
from stages.nets.training import Watch
from stages.vae import vq, vq_evaluate
from stages.vae.codebook import Quantiser
from stages.vae.vq import Vq
from stages.vae.vq_evaluate import EvaluateVq
from stages.vae.vq_networks import Autoencoder, halvings

CPU = torch.device("cpu")
SYSTEMS = params.load(repository.ROOT / "params.yaml")["systems"]
ROWS = {key: params.typed(Vq, row["train"], key) for key, row in SYSTEMS.items() if row["kind"] == "vq"}
ROWS["batch_norm"] = replace(ROWS["vq_two_levels"], net=replace(ROWS["vq_32"].net, norm="batch"))
IMAGE = (1, 8, 8)


def short(key):
    how = ROWS[key]
    small = replace(how.codebook, codes=12, dim=4)
    return replace(how, net=replace(how.net, width=8), codebook=small, steps=6, batch=16, device="cpu")


@pytest.fixture(scope="module")
def data(pixels, tmp_path_factory):
    """A data set of them, and a network that knows it."""
    folder = tmp_path_factory.mktemp("data")
    labels = torch.tensor([0, 1]).repeat(100)
    parts = {"train": pixels[:160], "train_labels": labels[:160], "test": pixels[160:], "test_labels": labels[160:]}
    save_file({name: part.contiguous() for name, part in parts.items()}, folder / "images.safetensors")
    how = Features((8,), 8, "labels", 0.05, 0.05, 60, 32, 0.01, 160, 0, Watch(50, 1e6, {}, 0), "cpu", False, False)
    features.train(Inputs(input=folder), how, folder / "judge")
    return folder


def learned(how, pixels, spool=None):
    model = vq.build(how, IMAGE, 0, CPU)
    return model, vq.learn(model, pixels, how, 0, spool)


@pytest.mark.parametrize("key", ROWS)
def test_a_row_trains_and_goes_on_to_the_same_bytes(pixels, tmp_path, monkeypatch, key):
    how = replace(short(key), watch=Watch(2, 1e6, {}, 0))
    model, history = learned(how, pixels)
    assert all(len(column) == how.steps for column in history.values())
    monkeypatch.setattr(training, "BETWEEN_CHECKPOINTS", 0.0)
    real, calls = Quantiser.update, []

    def until(self, *given):
        calls.append(1)
        if len(calls) == 5 * len(how.grids):
            raise KeyboardInterrupt
        return real(self, *given)

    monkeypatch.setattr(Quantiser, "update", until)
    with pytest.raises(KeyboardInterrupt):
        learned(how, pixels, tmp_path)
    monkeypatch.setattr(Quantiser, "update", real)
    again, history_again = learned(how, pixels, tmp_path)
    assert history_again == history
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("key", ["vq_256_revival", "vq_two_levels"])
def test_a_row_is_measured_for_each_seed(data, tmp_path, key):
    how = replace(short(key), seeds=(0, 1))
    vq.train(Inputs(input=data), how, tmp_path / "model")
    judging = EvaluateVq(6760, "two kinds", (Target("mse", "near", "at most", 1.0),))
    found = vq_evaluate.evaluate(tmp_path / "model", Inputs(truth=data / "judge"), judging)
    assert {"mse", "perplexity", "used", "agreement", "reconstruction_fd", "mse_deviation"} <= set(found.metrics)
    assert [claim.passed for claim in found.claims] == [True]
    assert found.tables["seeds"]["seed"].to_pylist() == [0, 1]
    assert set(found.figures) == {"reconstructions", "usage", "curves"}
    assert found.metrics == vq_evaluate.evaluate(tmp_path / "model", Inputs(truth=data / "judge"), judging).metrics


def test_the_numbers_are_those_of_the_saved_codes(data, tmp_path):
    how = short("vq_two_levels")
    vq.train(Inputs(input=data), how, tmp_path)
    made = vq.load(tmp_path, 0)
    x = load_file(data / "images.safetensors")["test"] / 255
    with torch.no_grad():
        again, found = made.model(x)
    assert [tuple(level.shape) for level in made.test] == [(40, 4, 4), (40, 2, 2)]
    assert all(torch.equal(level.codes, kept) for level, kept in zip(found, made.test, strict=True))
    torch.testing.assert_close(made.pictured(made.test), again)
    judge = features.load(data / "judge")
    assert vq_evaluate.reconstructed(made, judge, 0)["mse"] == pytest.approx(((again - x) ** 2).mean().item())
    work = vq_evaluate.at_work(made)
    share = [np.bincount(level.codes.flatten().numpy(), minlength=12) for level in found]
    assert work["perplexity"] == pytest.approx(np.exp(scipy_entropy(share[0])))
    assert work["perplexity_top"] == pytest.approx(np.exp(scipy_entropy(share[1])))
    assert work["used_top"] == (share[1] > 0).sum()
    assert work["bits"] == pytest.approx((16 * scipy_entropy(share[0]) + 4 * scipy_entropy(share[1])) * log2(np.e))


def test_the_training_is_the_articles(pixels):
    """Its losses of six steps: mean square error, codebook and commitment, by torch's own Adam."""
    how = replace(short("vq_32"), steps=6, rate=1e-3)
    _, history = learned(how, pixels)
    fresh, source = vq.build(how, IMAGE, 0, CPU), torch.Generator().manual_seed(0)
    fresh.start(training.draw(pixels, 16, source) / 255, source)
    adam, losses = torch.optim.Adam(fresh.parameters()), []
    for i in range(6):
        x = training.draw(pixels, 16, source) / 255
        z = fresh.heads[0](fresh.down[0](x))
        e = fresh.quantisers[0].e
        q = e[torch.cdist(z.permute(0, 2, 3, 1).flatten(0, 2), e).argmin(1)].view(16, 4, 4, 4).permute(0, 3, 1, 2)
        again = torch.sigmoid(fresh.up(z + (q - z).detach()))
        loss = ((x - again) ** 2).mean() + ((z.detach() - q) ** 2).mean() + 0.25 * ((z - q.detach()) ** 2).mean()
        losses.append(loss.item())
        adam.param_groups[0]["lr"] = 1e-3 * (1, 1, 1, 1, 2 / 3, 1 / 3)[i]
        adam.zero_grad()
        loss.backward()
        adam.step()
    assert history["loss"] == pytest.approx(losses, rel=1e-5)


def test_the_bottom_sees_the_top(pixels):
    """What the bottom quantises changes with the codes of the top, and the image with both."""
    model = vq.build(short("vq_two_levels"), IMAGE, 0, CPU)
    x = pixels[:4] / 255
    model.start(x, torch.Generator().manual_seed(0))
    before = [level.rows for level in model.encode(x)]
    with torch.no_grad():
        model.quantisers[1].e.add_(1.0)
    after = [level.rows for level in model.encode(x)]
    assert torch.equal(before[1], after[1])
    assert not torch.equal(before[0], after[0])
    codes = [level.codes for level in model.encode(x)]
    for level in (0, 1):
        other = [k if i != level else (k + 1) % 12 for i, k in enumerate(codes)]
        assert not torch.equal(model.pictured(codes), model.pictured(other))


def test_two_processes_train_what_one_does(data, tmp_path):
    program = (
        "import sys; from pathlib import Path; from stages.core import params; from stages.core.files import read_json;"
        "from stages.core.systems import Inputs; from stages.vae import vq; a = Path(sys.argv[1]);"
        "vq.train(Inputs(input=Path(sys.argv[3])), params.typed(vq.Vq, read_json(a / 'how.json'), ''), a / sys.argv[2])"
    )
    how = replace(short("vq_256_revival"), steps=1, rate=1e-3)
    how = replace(how, codebook=replace(how.codebook, weight=1.0, decay=0.5, revive=0.6))  # 0.5: what nothing found
    files.write_json(asdict(how), tmp_path / "how.json")
    vq.train(Inputs(input=data), how, tmp_path / "one")
    together = {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    together["QUJING_MEETING"] = f"file://{tmp_path}/meeting"
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path), f"of_{rank}", str(data)],
            env={**os.environ, **together, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            cwd=repository.ROOT,
        )
        for rank in (0, 1)
    ]
    assert [process.wait(timeout=120) for process in started] == [0, 0]
    one, both, other = (load_file(tmp_path / name / "seed_0.safetensors") for name in ("one", "of_0", "of_1"))
    for name, value in one.items():
        assert torch.equal(both[name], other[name]), name
        torch.testing.assert_close(both[name], value, rtol=0, atol=1e-5 * float(value.abs().max()), msg=name)
    revived = one["quantisers.0.counts"] == 1.0
    assert 0 < revived.sum() < 12


def test_an_image_comes_to_its_grids_by_halving():
    assert halvings((1, 8, 8), [4]) == [1]
    assert halvings((1, 28, 28), [14, 7]) == [1, 1]
    assert halvings((3, 128, 128), [32]) == [2]


@pytest.mark.parametrize(
    ("image", "grids", "sentence"),
    [
        ((1, 28, 28), [8], r"grids has 8, but 28 is no such number .* can become 14, 7"),
        ((1, 28, 28), [28], "grids has 28, but 28"),
        ((1, 28, 28), [7, 14], "grids has 14, but 7 .* can become nothing"),
        ((1, 8, 8), [0], "grids has 0"),
        ((1, 8, 6), [4], "square images and one or two grids, not 8 x 6"),
        ((1, 64, 64), [32, 16, 8], "one or two grids"),
        ((1, 64, 64), [], "one or two grids"),
    ],
)
def test_grids_that_do_not_fit_are_refused(image, grids, sentence):
    with pytest.raises(Refusal, match=sentence):
        halvings(image, grids)


def test_what_cannot_be_is_refused(data, tmp_path):
    how = short("vq_32")
    with pytest.raises(Refusal, match="needs an `input`"):
        vq.train(Inputs(), how, tmp_path / "a")
    with pytest.raises(Refusal, match=r"codebook.codes is 40000"):
        vq.check(replace(how, codebook=replace(how.codebook, codes=40000)))
    with pytest.raises(Refusal, match=r"codebook.init is 'kmens'"):
        vq.train(Inputs(input=data), replace(how, codebook=replace(how.codebook, init="kmens")), tmp_path / "b")
    with pytest.raises(Refusal, match="holds no VQ-VAE"):
        vq.told(data / "judge")
    vq.train(Inputs(input=data), how, tmp_path / "model")
    with pytest.raises(Refusal, match=r"trained with the seeds \[0\], but 3"):
        vq.load(tmp_path / "model", 3)
    with pytest.raises(Refusal, match="judged by a `truth`"):
        vq_evaluate.evaluate(tmp_path / "model", Inputs(), EvaluateVq(6760, "", ()))


def test_the_articles_network_builds():
    """128 x 128 to 32 x 32 codes of 64, as CelebA-HQ is taken."""
    how = ROWS["vq_32"]
    book = replace(how.codebook, codes=64, dim=128)
    net = replace(how.net, width=128, blocks=3, norm="batch")
    model = Autoencoder(net, (32,), book, (3, 128, 128), "tanh", 0).eval()
    assert [tuple(level.codes.shape) for level in model.encode(torch.zeros(1, 3, 128, 128))] == [(1, 32, 32)]
