"""Bounds on a linear-Gaussian model, whose likelihood and posterior are known, and what codes hold."""

import math
from itertools import pairwise

import pytest
import torch

from stages.nets.posteriors import Posterior, make
from stages.vae import bounds
from stages.vae.linear import Linear, principal


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def model():
    """A linear model with weights of no small size, and points it makes itself."""
    source = seeded(3)
    made = Linear(6, 2, source)
    with torch.no_grad():
        for weight in made.decoder.parameters():
            weight.copy_(torch.randn(weight.shape, generator=source))
        made.likelihood.log_sigma.fill_(-0.5)  # no number that is its own square
    z = torch.randn(100, 2, generator=source)
    x = made.decoder(z) + made.likelihood.scale(z)[1] * torch.randn(100, 6, generator=source)
    return made.requires_grad_(False), x.detach()[..., None, None]


def taught(model):
    """The encoder set to the exact posterior: precision I + W'W / sigma^2, W's columns made orthogonal."""
    w, sigma = model.decoder.weight, model.likelihood.scale(torch.zeros(()))[1]
    u, s, _ = torch.linalg.svd(w, full_matrices=False)
    model.decoder.weight.copy_(u * s)
    variance = 1 / (1 + s.square() / sigma**2)
    gain = (variance * s / sigma**2)[:, None] * u.T
    model.encoder.weight.copy_(torch.cat([gain, torch.zeros_like(gain)]))
    model.encoder.bias.copy_(torch.cat([-gain @ model.decoder.bias, variance.log()]))


def test_with_the_exact_posterior_every_bound_is_the_likelihood(model):
    model, x = model
    taught(model)
    exact = model.exact(x)
    assert bounds.elbo(model, x, 2000, seeded()).mean().item() == pytest.approx(exact, abs=0.01)
    one, many = (bounds.iwae(model, x, k, seeded()) for k in (1, 50))
    assert one.mean().item() == pytest.approx(exact, abs=1e-3)  # the weight of any draw is q(x)
    torch.testing.assert_close(one, many, atol=1e-3, rtol=1e-4)


def test_with_a_wrong_posterior_importance_weights_mend_it(model):
    model, x = model
    taught(model)
    exact = model.exact(x)
    model.wrong[:2], model.wrong[2:] = 0.3, 0.7
    elbo = bounds.elbo(model, x, 2000, seeded()).mean().item()
    found = [bounds.iwae(model, x, k, seeded()).double().mean().item() for k in (1, 10, 100, 1000, 10000)]
    assert elbo < exact - 0.3
    assert found[0] == pytest.approx(elbo, abs=0.5)
    assert all(a < b + 0.01 for a, b in pairwise(found))
    assert found[-1] == pytest.approx(exact, abs=0.01)


def test_the_bounds_do_not_hang_on_how_they_are_cut(model, monkeypatch):
    """Few numbers in memory: the draws differ, the bound does not."""
    model, x = model
    taught(model)
    whole = bounds.iwae(model, x, 64, seeded())
    monkeypatch.setattr(bounds, "CELLS", 7 * 6)
    torch.testing.assert_close(bounds.iwae(model, x, 64, seeded()), whole, atol=1e-3, rtol=1e-4)
    assert bounds.elbo(model, x, 3, seeded()).shape == (100,)


def test_the_standard_error_is_that_of_the_mean():
    each = torch.randn(400, generator=seeded())
    found = bounds.nats(each, "nll")
    assert found["nll"] == pytest.approx(-each.double().mean().item())
    assert found["nll_error"] == pytest.approx(each.double().std().item() / 20)


class Coded:
    """A model whose encoder gives its input as features."""

    def __init__(self, posterior):
        self.head = make(posterior)

    def encode(self, x):
        return self.head(x)


def test_codes_that_are_all_alike_hold_nothing():
    found = bounds.codes(Coded(Posterior("gauss", 3, {})), torch.zeros(200, 6), seeded())
    assert found == pytest.approx(
        {"kl": 0, "active": 0, "information": 0, "prior_gap": 0, "informed": 0, "moment": 1, "moment_off": 0}, abs=1e-5
    )


@pytest.mark.parametrize(
    "how", [Posterior("fixed", 2, {"sigma": 1e-3}), Posterior("vmf", 3, {"kappa": 1e6, "learned": 0})]
)
def test_codes_far_apart_hold_which_datum_it_was(how):
    """log N nats, and the rest of the KL is how far all of them are from the prior."""
    model = Coded(how)
    found = bounds.codes(model, model.head.prior(300, seeded()), seeded(1))
    assert found["information"] == pytest.approx(math.log(300), abs=0.02)
    assert found["information"] + found["prior_gap"] == pytest.approx(found["kl"], abs=0.15)
    assert found["active"] == how.latent


def test_information_of_codes_in_pairs_is_that_of_the_pair():
    """Two clusters far apart, nothing known within: log 2. Dimension 1 holds it, dimension 2 nothing."""
    h = torch.zeros(200, 4)
    h[:100, 0], h[100:, 0] = 8.0, -8.0
    found = bounds.codes(Coded(Posterior("gauss", 2, {})), h, seeded())
    assert found["information"] == pytest.approx(math.log(2), abs=1e-3)
    assert (found["active"], found["informed"]) == (1, 1)
    assert found["kl"] == 32
    assert found["moment"] == pytest.approx((65 + 1) / 2)
    assert found["moment_off"] == pytest.approx(64)
    assert bounds.kl_by_dimension(Coded(Posterior("gauss", 2, {})), h) == [32, 0]


def test_the_aggregate_is_summed_alike_however_it_is_cut(monkeypatch):
    h = torch.randn(50, 4, generator=seeded())
    model = Coded(Posterior("gauss", 2, {}))
    whole = bounds.codes(model, h, seeded())
    monkeypatch.setattr(bounds, "CELLS", 200)
    assert bounds.codes(model, h, seeded()) == pytest.approx(whole)


def test_probabilistic_pca_is_sklearns():
    from sklearn.decomposition import PCA

    x = torch.randn(300, 5, generator=seeded(), dtype=torch.float64) @ torch.randn(5, 5, generator=seeded(1)).double()
    likelihood, axes = principal(x.numpy(), 2)
    ours = torch.from_numpy(axes.copy())
    theirs = torch.from_numpy(PCA(2).fit(x.numpy()).components_).T
    assert torch.linalg.svdvals(ours.T @ theirs).min().item() == pytest.approx(1, abs=1e-9)
    variances = torch.linalg.eigvalsh(torch.cov(x.T, correction=0)).flip(0)
    w = ours * (variances[:2] - variances[2:].mean()).sqrt()
    law = torch.distributions.MultivariateNormal(x.mean(0), w @ w.T + variances[2:].mean() * torch.eye(5))
    assert likelihood == pytest.approx(law.log_prob(x).mean().item(), abs=1e-9)
