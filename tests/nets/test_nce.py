"""Noise-contrastive estimation against closed forms: a quartic whose Z is integrated, a normal, classes."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml

from stages.core import params
from stages.core.errors import Refusal
from stages.core.systems import Inputs
from stages.nets import nce, quartic
from stages.nets.threads import one_thread

ROW = yaml.safe_load((Path(__file__).parents[2] / "params.yaml").read_text(encoding="utf-8"))["systems"]["nce"]
TRUTH = (1.0, 0.3)
LOG_Z = 0.444742  # integrated, text.md of the specification


def column(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


@pytest.fixture(autouse=True)
def calm():
    """Tensors this small are slower with more threads."""
    with one_thread():
        yield


BOX = nce.Uniform(column(-3.0), column(3.0))
NORMAL = nce.Normal(column(0.0), column(1.0))


def test_the_normaliser_of_the_quartic_is_integrated():
    assert quartic.log_normaliser(column(*TRUTH)).item() == pytest.approx(LOG_Z, abs=1e-6)
    assert quartic.log_normaliser(column(0.5, 0.0)).item() == pytest.approx(math.log(math.sqrt(2 * math.pi)), abs=1e-8)


@pytest.mark.parametrize("law", [BOX, NORMAL, nce.Categorical(torch.tensor([1.0, 0.0, 2.0, 5.0, 0.0]))])
def test_noise_draws_what_its_log_prob_says(law):
    drawn = law.sample(200_000, torch.Generator().manual_seed(0))
    if drawn.ndim == 1:
        shares = torch.bincount(drawn, minlength=5) / len(drawn)
        torch.testing.assert_close(shares.double(), law.log_prob(torch.arange(5)).exp(), atol=0.005, rtol=0)
        return
    edges = torch.linspace(-2.5, 2.5, 11, dtype=torch.float64)
    shares = torch.histogram(drawn[:, 0], edges)[0] / len(drawn)
    points = torch.linspace(-2.5, 2.5, 10_001, dtype=torch.float64)
    density = law.log_prob(points[:, None]).exp()[:-1].reshape(10, -1).mean(1) * 0.5
    torch.testing.assert_close(shares, density, atol=0.005, rtol=0)


def test_a_class_without_weight_is_never_drawn_not_even_at_the_ends(monkeypatch):
    law = nce.Categorical(torch.tensor([0.0, 0.1, 0.2, 0.0]))
    law.cumulative = law.cumulative * (1 - 1e-12)  # as rounding may leave it
    ends = torch.tensor([0.0, 1 - 2**-53], dtype=torch.float64)
    monkeypatch.setattr(torch, "rand", lambda *_, **__: ends)
    assert law.sample(2, torch.Generator()).tolist() == [1, 2]


def test_all_checks_of_the_section_hold(tmp_path):
    """The claims of the default graph from half its data: checks 1, 2 and 3 of section 1, and maximum likelihood."""
    settings = replace(params.typed(quartic.Quartic, ROW["train"], "tests"), data=100_000, few=5_000, seeds=24)
    quartic.train(Inputs(), settings, tmp_path)
    found = quartic.evaluate(tmp_path, Inputs(), params.typed(quartic.EvaluateQuartic, ROW["evaluate"], "tests"))
    assert [claim.claim for claim in found.claims if not claim.passed] == []
    assert found.metrics["log_z_true"] == pytest.approx(LOG_Z, abs=1e-6)
    assert abs(found.metrics["nce_a"] - found.metrics["likelihood_a"]) < 0.01
    assert set(found.figures) == {"density"}


def test_the_plain_form_finds_the_ratio_to_the_noise():
    """p / N(0, 1) ~ exp(-(a - 1/2) x^2 - b x^4), and its c is log Z of p minus that of the normal."""
    data = quartic.draw(100_000, TRUTH, 3)
    ratio = quartic.by_nce(data, NORMAL, 1, 0, "plain")
    assert ratio["a"] == pytest.approx(0.5, abs=0.06)
    assert ratio["b"] == pytest.approx(0.3, abs=0.04)
    assert ratio["log_z"] == pytest.approx(LOG_Z - 0.5 * math.log(2 * math.pi), abs=0.02)


def test_the_plain_form_with_uniform_noise_needs_only_the_density_of_the_noise():
    """log Z = c - log u, with k = 1."""
    data = quartic.draw(30_000, TRUTH, 4)
    proper, plain = (quartic.by_nce(data, BOX, 1, 0, form) for form in ("proper", "plain"))
    assert plain["a"] == pytest.approx(proper["a"], abs=1e-3)
    assert plain["log_z"] - math.log(1 / 6) == pytest.approx(proper["log_z"], abs=1e-3)


def test_any_module_will_do_and_noise_like_the_data_leaves_only_the_constant():
    """With the data's own law as noise l is -log k everywhere: both overlaps are 1 / (1 + k),"""

    class Square(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.a = torch.nn.Parameter(column(1.0))

        def forward(self, x):
            return -self.a[0] * x[:, 0].square()

    g, k = Square(), 4
    data = NORMAL.sample(100_000, torch.Generator().manual_seed(5))
    found = nce.estimate(g, list(g.parameters()), data, NORMAL, k, seed=6)
    assert g.a.item() == pytest.approx(0.5, abs=0.02)
    assert found.log_z == pytest.approx(0.5 * math.log(2 * math.pi), abs=0.02)
    assert found.on_data == pytest.approx(1 / (1 + k), abs=0.002)
    assert found.on_noise == pytest.approx(1 / (1 + k), abs=0.002)
    assert found.losses[-1] < found.losses[0]


def test_classes_are_normalised():
    """Scores of 5 classes from a table: softmax(G) is the data's law, and c = logsumexp G."""
    law = torch.tensor([0.4, 0.3, 0.2, 0.05, 0.05])
    data = nce.Categorical(law).sample(50_000, torch.Generator().manual_seed(7))
    scores = torch.zeros(5, dtype=torch.float64, requires_grad=True)
    noise = nce.Categorical(torch.ones(5))
    found = nce.estimate(lambda x: scores[x], [scores], data, noise, 5, seed=8)
    learned = scores.detach()
    assert found.log_z == pytest.approx(torch.logsumexp(learned, 0).item(), abs=0.02)
    torch.testing.assert_close(torch.softmax(learned, 0), law.double(), atol=0.01, rtol=0)


@pytest.mark.parametrize(
    ("data", "noise", "k", "sentence"),
    [
        (column(0.0)[:, None], BOX, 0, "k is 0"),
        (torch.zeros(0, 1, dtype=torch.float64), BOX, 1, "no data"),
        (column(0.0, 3.5)[:, None], BOX, 1, "cannot produce 1 of 2 data"),
        (column(*[50.0 + i / 100 for i in range(100)])[:, None], NORMAL, 1, "ran away"),
    ],
)
def test_what_cannot_be_estimated_is_refused(data, noise, k, sentence):
    theta = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    with pytest.raises(Refusal, match=sentence):
        nce.estimate(lambda x: quartic.energy(x / 10, theta), [theta], data, noise, k, seed=0)
