"""The evaluation of a trained row: every metric there is, and what a perfect and an idle model get."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from stages.core.errors import Refusal
from stages.core.systems import Inputs
from stages.core.targets import Target
from stages.nets import features
from stages.nets.features import Features
from stages.nets.posteriors import Posterior
from stages.nets.training import Watch
from stages.vae import evaluate, figures, model, probes, train
from stages.vae.evaluate import EvaluateVae

HOW = EvaluateVae(5343, "two kinds", 64, 4, 8, "cpu", (Target("fd", "like the data", "at most", 1e6),))


@pytest.fixture(scope="module")
def data(pixels, tmp_path_factory):
    """A data set of two kinds of image, and a network that knows them."""
    folder = tmp_path_factory.mktemp("data")
    labels = torch.tensor([0] * 100 + [1] * 100)
    order = torch.randperm(200, generator=torch.Generator().manual_seed(0))
    x, y = pixels[order], labels[order]
    parts = {"train": x[:160], "train_labels": y[:160], "test": x[160:], "test_labels": y[160:]}
    save_file({name: part.contiguous() for name, part in parts.items()}, folder / "images.safetensors")
    how = Features((8,), 8, "labels", 0.05, 0.05, 60, 32, 0.01, 160, 0, Watch(50, 1e6, {}, 0), "cpu", False, False)
    features.train(Inputs(input=folder), how, folder / "judge")
    return folder


def trained(rows, data, key, **more):
    how = replace(rows[key], **more)
    out = data / f"{key}-{len(list(data.iterdir()))}"
    train.train(Inputs(input=data), how, out)
    return out


BOUNDS = {"minus_elbo", "nll", "nll_error", "kl", "active", "information", "bound", "auroc_noise"}


@pytest.mark.parametrize("key", ["vae", "vae_bn", "vae_vmf_4", "vae_logistic"])
def test_a_row_is_measured_for_each_seed(rows, data, key):
    out = trained(rows, data, key, seeds=(0, 1))
    found = evaluate.evaluate(out, Inputs(truth=data / "judge"), HOW)
    every = BOUNDS | {"fd", "reconstruction_fd", "recall", "probe", "nearest_code", "retrieval", "path_length"}
    assert every | {"slack_least", "pixel_mse", "fd_deviation"} <= set(found.metrics)
    assert ("moment" in found.metrics) == (key != "vae_vmf_4")
    assert [claim.passed for claim in found.claims] == [True]
    assert found.tables["seeds"]["seed"].to_pylist() == [0, 1]
    assert set(found.figures) == {"samples", "reconstructions", "interpolation", "traversal", "curves"}
    assert evaluate.evaluate(out, Inputs(truth=data / "judge"), HOW).metrics == found.metrics
    kls = found.tables["kl_by_dimension"]["kl"].to_pylist()
    assert kls == sorted(kls, reverse=True)
    assert len(kls) == (1 if key == "vae_vmf_4" else 8)


def test_an_autoencoder_has_no_bounds(rows, data):
    out = trained(rows, data, "vae", posterior=Posterior("fixed", 8, {"sigma": 0}), regulariser="none")
    found = evaluate.evaluate(out, Inputs(truth=data / "judge"), HOW).metrics
    assert not BOUNDS & set(found)
    assert {"fd", "pixel_mse", "probe"} <= set(found)


def test_what_is_loaded_is_what_was_trained(rows, data):
    how = replace(rows["vae_bn"], average=0.0)
    built = train.build(how, (1, 8, 8), 0, torch.device("cpu"))
    learnt, _ = train.learn(built, features.load(data / "judge").images.train, how, 0)
    out = trained(rows, data, "vae_bn", average=0.0)
    again = model.load(out, how, (1, 8, 8), 0)
    x = torch.rand(3, 1, 8, 8)
    assert torch.equal(again.images(again.encode(x).mode()), learnt.images(learnt.encode(x).mode()))


def test_samples_are_of_the_noise_that_all_share(rows, data):
    """The grid begins with the decodes of the first draws of seed 0: rows compare by eye."""
    how = rows["vae"]
    one = train.build(how, (1, 8, 8), 0, torch.device("cpu")).eval()
    shown = figures.all_of(one, torch.rand(40, 1, 8, 8))["samples"]
    z = torch.randn(64, 8, generator=torch.Generator().manual_seed(0))
    cell = shown.axes[0].images[0].get_array()[:8, :8]
    torch.testing.assert_close(torch.as_tensor(cell.copy()), one.images(z)[0, 0].detach().float())


def test_dynamic_pixels_are_drawn_once_for_all(rows, pixels):
    how = replace(rows["vae"], binary="dynamic")
    one, other = (train.build(how, (1, 8, 8), seed, torch.device("cpu")) for seed in (0, 1))
    assert torch.equal(evaluate.seen(pixels, one), evaluate.seen(pixels, other))


def test_no_judge_is_refused(rows, data):
    with pytest.raises(Refusal, match="judged by a `truth`"):
        evaluate.evaluate(data, Inputs(), HOW)


def test_a_target_of_no_metric_is_refused(rows, data):
    out = trained(rows, data, "vae")
    with pytest.raises(Refusal, match="target 'nil' is no metric"):
        evaluate.evaluate(out, Inputs(truth=data / "judge"), replace(HOW, targets=(Target("nil", "", "at most", 1),)))


def test_probes_know_codes_that_hold_the_class_and_those_that_do_not():
    source = torch.Generator().manual_seed(0)
    y, truth = torch.arange(400) % 2, torch.arange(100) % 2
    far = probes.classes(
        10 * y[:, None] + torch.randn(400, 3, generator=source),
        y,
        10 * truth[:, None] + torch.randn(100, 3, generator=source),
        truth,
    )
    assert far == {"probe": 1, "nearest_code": 1, "retrieval": 1}
    none = probes.classes(torch.randn(400, 3, generator=source), y, torch.randn(100, 3, generator=source), truth)
    assert all(0.3 < value < 0.7 for value in none.values())


def test_a_spherical_way_keeps_its_norm():
    a, b = torch.tensor([[3.0, 0.0], [1.0, 1.0]]), torch.tensor([[0.0, 3.0], [1.0, 1.0]])
    way = probes.slerp(a, b, 5)
    torch.testing.assert_close(way[:, 0].norm(dim=1), torch.full((5,), 3.0))
    torch.testing.assert_close(way[2, 0], torch.full((2,), 4.5**0.5))
    torch.testing.assert_close(way[:, 1], a[1].expand(5, 2), atol=1e-4, rtol=0)  # a way from a code to itself


def test_straight_ways_have_length_one(data):
    judge = features.load(data / "judge")
    a, b = judge.images.test[:5] / 255, judge.images.test[5:10] / 255
    straight = torch.stack([a + s * (b - a) for s in torch.linspace(0, 1, 6)])
    assert probes.paths(straight, judge)["path_length"] == pytest.approx(1, abs=1e-5)
    around = torch.stack([a, b, a, b])
    assert probes.paths(around, judge)["path_length"] == pytest.approx(3, abs=1e-5)
    assert probes.paths(a.expand(4, *a.shape), judge)["path_sure"] == pytest.approx(0, abs=1e-6)


def test_a_traversal_moves_one_number_at_a_time(rows):
    one = train.build(rows["vae"], (1, 8, 8), 0, torch.device("cpu")).eval()
    x = torch.rand(4, 1, 8, 8)
    z = figures.traversal(one, x)
    assert z.shape == (8, figures.FRAMES, 8)
    moved = (z != one.encode(x).mode()[0]).any(dim=1)
    assert (moved.sum(dim=1) == 1).all()
    assert (moved.sum(dim=0) == 1).all()
