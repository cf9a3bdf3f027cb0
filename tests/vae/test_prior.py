"""Laws of codes: a planted field is learned to its entropy, trainings resume to the same bytes, samples are judged."""

from dataclasses import replace

import numpy as np
import pytest
import repository
import torch
from safetensors.torch import load_file, save_file
from scipy.stats import entropy as scipy_entropy

from stages.core import params
from stages.core.errors import Refusal
from stages.core.systems import Inputs
from stages.core.targets import Target
from stages.nets import features, training
from stages.nets.features import Features
from stages.nets.training import Watch
from stages.vae import prior, prior_evaluate, vq
from stages.vae.autoregressive import Grid
from stages.vae.prior import Law, Prior
from stages.vae.prior_evaluate import EvaluateLaw
from stages.vae.vq import Vq

SYSTEMS = params.load(repository.ROOT / "params.yaml")["systems"]
LAWS = {key: params.typed(Law, row["train"], key) for key, row in SYSTEMS.items() if row["kind"] == "vq_prior"}
KINDS = pytest.mark.parametrize("key", ["vq_prior", "vq_prior_pixelcnn"])


def source(seed=0):
    return torch.Generator().manual_seed(seed)


def short(key, **more):
    how = LAWS[key]
    return replace(how, net=replace(how.net, width=16), steps=6, batch=16, device="cpu", **more)


@pytest.fixture(scope="module")
def folder(pixels, tmp_path_factory):
    """Images of two kinds, a judge of them, and short VQ-VAEs of one level and of two."""
    made = tmp_path_factory.mktemp("prior")
    labels = torch.tensor([0, 1]).repeat(100)
    parts = {"train": pixels[:160], "train_labels": labels[:160], "test": pixels[160:], "test_labels": labels[160:]}
    save_file({name: part.contiguous() for name, part in parts.items()}, made / "images.safetensors")
    how = Features((8,), 8, "labels", 0.05, 0.05, 60, 32, 0.01, 160, 0, Watch(50, 1e6, {}, 0), "cpu", False, False)
    features.train(Inputs(input=made), how, made / "judge")
    for key in ("vq_32", "vq_two_levels"):
        row = params.typed(Vq, SYSTEMS[key]["train"], key)
        book = replace(row.codebook, codes=12, dim=4)
        row = replace(row, net=replace(row.net, width=8), codebook=book, steps=20, device="cpu", seeds=(0, 1))
        vq.train(Inputs(input=made), row, made / key)
    return made


@KINDS
@pytest.mark.parametrize("codes", ["vq_32", "vq_two_levels"])
def test_a_law_trains_and_goes_on_to_the_same_bytes(folder, tmp_path, monkeypatch, key, codes):
    how = short(key, watch=Watch(2, 1e6, {}, 0))
    assert how.net.dropout > 0
    one = prior.train(Inputs(input=folder / codes), how, tmp_path / "one")
    monkeypatch.setattr(training, "BETWEEN_CHECKPOINTS", 0.0)
    real, calls = Prior.forward, []

    def until(self, given):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return real(self, given)

    monkeypatch.setattr(Prior, "forward", until)
    with pytest.raises(KeyboardInterrupt):
        prior.train(Inputs(input=folder / codes, spool=tmp_path / "spool"), how, tmp_path / "no")
    monkeypatch.setattr(Prior, "forward", real)
    torch.rand(3)  # a process that goes on stands elsewhere in the global random numbers
    two = prior.train(Inputs(input=folder / codes, spool=tmp_path / "spool"), how, tmp_path / "two")
    assert one.history == two.history
    assert (tmp_path / "one/seed_0.safetensors").read_bytes() == (tmp_path / "two/seed_0.safetensors").read_bytes()


@KINDS
@pytest.mark.parametrize("codes", ["vq_32", "vq_two_levels"])
def test_a_law_is_measured_for_each_seed(folder, tmp_path, key, codes):
    prior.train(Inputs(input=folder / codes), short(key, seeds=(0, 1)), tmp_path / "model")
    judging = EvaluateLaw(6760, "two kinds", 40, (0.5,), (Target("nats", "law", "at most", 9.0),))
    found = prior_evaluate.evaluate(tmp_path / "model", Inputs(truth=folder / "judge"), judging)
    names = {"nats", "nats_train", "unigram", "gain", "fd", "kid", "reconstruction_fd", "uniform_fd", "unigram_fd"}
    assert names | ({"nats_top", "nats_bottom"} if codes == "vq_two_levels" else set()) <= set(found.metrics)
    assert [claim.passed for claim in found.claims] == [True]
    assert set(found.figures) == {"samples", "temperatures", "curves"}
    assert found.tables["temperatures"]["temperature"].to_pylist() == [0.5, 0.5]
    assert found.metrics == prior_evaluate.evaluate(tmp_path / "model", Inputs(truth=folder / "judge"), judging).metrics


@KINDS
def test_nats_are_those_of_the_logits_and_unigram_is_scipys(folder, tmp_path, key):
    prior.train(Inputs(input=folder / "vq_two_levels"), short(key), tmp_path)
    law, made = prior.load(tmp_path)[0]
    found = prior_evaluate.likelihoods(law, made)
    kept = load_file(folder / "vq_two_levels/codes_0.safetensors")
    bottom, top = kept["test_bottom"].long(), kept["test_top"].long()
    with torch.no_grad():
        parts = [
            (law.laws[0](bottom, top).log_softmax(-1), bottom),
            (law.laws[1](top, None).log_softmax(-1), top),
        ]
    nats = torch.cat([-log_p.gather(-1, k[..., None]).flatten() for log_p, k in parts])
    assert found["nats"] == pytest.approx(nats.mean().item(), rel=1e-5)
    alone = [scipy_entropy(np.bincount(k.flatten().numpy())) for k in (bottom, top)]
    assert found["unigram"] == pytest.approx((16 * alone[0] + 4 * alone[1]) / 20)
    assert found["gain"] == pytest.approx(found["unigram"] - found["nats"])


@KINDS
def test_a_planted_field_is_learned_to_its_entropy(key):
    """A Markov field on 5 x 5: a code is that above it on the right (beyond the edge: the left one) with chance 0.8.

    Its entropy a code with K = 4 is known, and only the stack above can see what is on the right.
    """
    k, side, keep = 4, 5, 0.8
    draw = source(1)
    codes = torch.randint(0, k, (3500, side, side), generator=draw)
    for row in range(1, side):
        for column in range(side):
            like = codes[:, row - 1, column + 1] if column + 1 < side else codes[:, row, column - 1]
            same = torch.rand(3500, generator=draw) < keep
            codes[:, row, column] = torch.where(same, like, codes[:, row, column])
    p = keep + (1 - keep) / k
    conditional = scipy_entropy([p] + [(1 - keep) / k] * (k - 1))
    known = (side * np.log(k) + side * (side - 1) * conditional) / side**2
    net = replace(LAWS[key].net, width=24, dropout=0.0)
    model = Prior(net, [Grid(k, side)], 0)
    how = replace(LAWS[key], net=net, steps=120, batch=64, rate=1e-2, device="cpu")
    prior.learn(model, [codes[:3000]], how, 0)
    with torch.no_grad():
        found = model([codes[3000:]])[0].mean().item()
    assert known - 0.02 < found < known + 0.04 < np.log(k) - 0.4
    drawn = model.eval().sample(400, 1.0, source())[0]
    agree = (drawn[:, 1:, :-1] == drawn[:, :-1, 1:]).double().mean().item()
    assert agree == pytest.approx(p, abs=0.04)


@KINDS
def test_a_training_is_that_of_torchs_own_adamw(key):
    """Its losses of six steps, by `backward`: gradients of another memory layout than their weights went astray."""
    codes = torch.randint(0, 5, (100, 4, 4), generator=source(1))
    net = replace(LAWS[key].net, width=16, dropout=0.0)
    how = replace(LAWS[key], net=net, steps=6, batch=16, rate=1e-2, device="cpu")
    model, by_hand = Prior(net, [Grid(5, 4)], 0), Prior(net, [Grid(5, 4)], 0)
    history = prior.learn(model, [codes], how, 0)
    adam, draw, losses = torch.optim.AdamW(by_hand.parameters(), weight_decay=how.decay), source(), []
    for i in range(6):
        loss = by_hand([codes[torch.randint(100, (16,), generator=draw)]])[0].mean()
        losses.append(loss.item())
        adam.param_groups[0]["lr"] = 1e-2 * (1, 1, 1, 1, 2 / 3, 1 / 3)[i]
        adam.zero_grad()
        loss.backward()
        adam.step()
    assert history["loss"] == pytest.approx(losses, rel=1e-4)


def test_the_bottom_is_drawn_given_the_top(folder, tmp_path):
    """Codes of the bottom that repeat the top's are learned from the top alone."""
    top = torch.randint(0, 4, (2000, 2, 2), generator=source(1))
    bottom = top.repeat_interleave(2, 1).repeat_interleave(2, 2)
    for key in LAWS:
        net = replace(LAWS[key].net, width=16, dropout=0.0)
        model = Prior(net, [Grid(4, 4), Grid(4, 2)], 0)
        how = replace(LAWS[key], net=net, steps=70, batch=64, rate=1e-2, device="cpu")
        prior.learn(model, [bottom, top], how, 0)
        drawn, above = model.eval().sample(200, 1.0, source())
        assert (drawn == above.repeat_interleave(2, 1).repeat_interleave(2, 2)).double().mean() > 0.97
        assert len(above.flatten(1).unique(dim=0)) > 90  # of 256: all alike


def test_what_cannot_be_is_refused(folder, tmp_path):
    how = short("vq_prior")
    with pytest.raises(Refusal, match="needs an `input`"):
        prior.train(Inputs(), how, tmp_path / "a")
    with pytest.raises(Refusal, match="holds no VQ-VAE"):
        prior.train(Inputs(input=folder / "judge"), how, tmp_path / "b")
    with pytest.raises(Refusal, match=r"with the seeds \[0, 1\], but 7"):
        prior.train(Inputs(input=folder / "vq_32"), replace(how, seeds=(7,)), tmp_path / "c")
    with pytest.raises(Refusal, match=r"net.kind is 'pixelcn'"):
        prior.train(Inputs(input=folder / "vq_32"), replace(how, net=replace(how.net, kind="pixelcn")), tmp_path / "d")
