"""Likelihoods: sums over all levels are 1, densities integrate to 1, and they are torch's and the formula's."""

import math

import pytest
import torch
from torch import distributions

from stages.core.errors import Refusal
from stages.vae.likelihoods import LEVELS, LIKELIHOODS, Likelihood, make

SHAPE = (3, 2, 2)  # c, h, w


def drawn(kind, k=(), scale=3.0, seed=0):
    likelihood = make(Likelihood(kind, 0.2))
    source = torch.Generator().manual_seed(seed)
    shape = (*k, 5, likelihood.channels(SHAPE[0]), *SHAPE[1:])
    return likelihood, scale * torch.randn(shape, generator=source, dtype=torch.float64)


@pytest.mark.parametrize("kind", LIKELIHOODS)
def test_many_draws_at_once_are_each_alone(kind):
    likelihood, out = drawn(kind, (4,))
    x = (torch.rand(5, *SHAPE, generator=torch.Generator().manual_seed(1)).double() * 255).round() / 255
    found = likelihood.log_prob(out, x)
    assert found.shape == (4, 5)
    torch.testing.assert_close(found, torch.stack([likelihood.log_prob(one, x) for one in out]))
    assert likelihood.mean(out).shape == (4, 5, *SHAPE)
    assert 0 <= likelihood.mean(out).min() <= likelihood.mean(out).max() <= 1 + 1e-6


@pytest.mark.parametrize(("kind", "levels"), [("bernoulli", 2), ("logistic", LEVELS), ("categorical", LEVELS)])
def test_all_levels_of_a_pixel_have_probability_one(kind, levels):
    likelihood = make(Likelihood(kind, 0.2))
    out = 5 * torch.randn(50, likelihood.channels(1), 1, 1, generator=torch.Generator().manual_seed(0))
    every = torch.linspace(0, 1, levels).view(-1, 1, 1, 1, 1).expand(levels, 50, 1, 1, 1)
    found = torch.stack([likelihood.log_prob(out, x) for x in every])
    assert torch.isfinite(found).all()
    torch.testing.assert_close(found.exp().sum(0), torch.ones(50), atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", ["gaussian", "gaussian_learned", "gaussian_pixel"])
def test_a_density_integrates_to_one(kind):
    likelihood = make(Likelihood(kind, 0.2))
    out = torch.rand(20, likelihood.channels(1), 1, 1, generator=torch.Generator().manual_seed(0)).double()
    line = torch.linspace(-9, 10, 20001, dtype=torch.float64)
    found = likelihood.log_prob(out[None].expand(len(line), *out.shape), line.view(-1, 1, 1, 1, 1)).exp()
    torch.testing.assert_close(torch.trapezoid(found, line, dim=0).detach(), torch.ones(20).double(), atol=1e-6, rtol=0)


def test_they_are_torchs():
    x = torch.rand(5, *SHAPE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    likelihood, out = drawn("bernoulli")
    peer = distributions.Bernoulli(logits=out).log_prob(x.round()).sum((1, 2, 3))
    torch.testing.assert_close(likelihood.log_prob(out, x.round()), peer)
    for kind, sigma in (("gaussian", 0.2), ("gaussian_learned", 0.2)):
        likelihood, out = drawn(kind)
        expected = distributions.Normal(out, torch.tensor(sigma, dtype=torch.float64)).log_prob(x).sum((1, 2, 3))
        torch.testing.assert_close(likelihood.log_prob(out, x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("level", "low", "high"), [(0, -math.inf, 0.5), (7, 6.5, 7.5), (255, 254.5, math.inf)])
def test_a_level_of_the_logistic_is_the_mass_around_it(level, low, high):
    likelihood = make(Likelihood("logistic", 0.2))
    out = torch.tensor([0.3, -0.5], dtype=torch.float64).view(1, 2, 1, 1)
    r = 1 / 256 + 0.2 * math.exp(-0.5)
    below, above = (
        1 / (1 + math.exp(-(edge / 255 - 0.3) / r)) if math.isfinite(edge) else float(edge > 0) for edge in (low, high)
    )
    found = likelihood.log_prob(out, torch.full((1, 1, 1, 1), level / 255, dtype=torch.float64)).exp().item()
    assert found == pytest.approx(above - below, rel=1e-9)


def test_far_from_its_place_the_logistic_is_finite_and_has_a_gradient():
    likelihood = make(Likelihood("logistic", 0.2))
    out = torch.tensor([50.0, -30.0]).view(1, 2, 1, 1).requires_grad_()
    found = likelihood.log_prob(out, torch.tensor(0.4).view(1, 1, 1, 1)).sum()
    assert found < -1000
    assert torch.isfinite(torch.autograd.grad(found, out)[0]).all()


def test_the_mean_of_a_categorical_is_its_expectation():
    likelihood, out = drawn("categorical")
    p = out.view(5, LEVELS, *SHAPE).softmax(1)
    expected = (p * torch.linspace(0, 1, LEVELS).view(1, -1, 1, 1, 1)).sum(1)
    torch.testing.assert_close(likelihood.mean(out.float()), expected.float())


def test_a_learned_sigma_goes_to_the_deviation_of_the_data():
    likelihood = make(Likelihood("gaussian_learned", 1.0))
    noise = 0.1 * torch.randn(2000, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    optimiser = torch.optim.Adam(likelihood.parameters(), 0.05)
    for _ in range(200):
        optimiser.zero_grad()
        (-likelihood.log_prob(torch.zeros_like(noise), noise).mean()).backward()
        optimiser.step()
    assert likelihood.scale(noise)[1].item() == pytest.approx(noise.square().mean().sqrt().item(), rel=1e-3)


@pytest.mark.parametrize(
    ("how", "named"),
    [
        (Likelihood("bernouli", 0.1), "likelihood.kind is 'bernouli'; did you mean 'bernoulli'"),
        (Likelihood("gaussian", 0.0), "likelihood.sigma is 0.0"),
        (Likelihood("logistic", -1.0), "likelihood.sigma is -1.0"),
    ],
)
def test_wrong_params_are_refused_by_name(how, named):
    with pytest.raises(Refusal, match=named):
        make(how)
