"""Heads: their equations, their KL against torch's and integrals, and the bound that batch norm keeps."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import distributions

from stages.core.errors import Refusal
from stages.nets.posteriors import POSTERIORS, Posterior, make
from stages.vae.theory import divergence_off

HOWS = {
    "gauss": Posterior("gauss", 5, {}),
    "bn": Posterior("bn", 5, {"gamma": 0.7}),
    "bn_tied": Posterior("bn_tied", 5, {"tau": 0.4}),
    "bn_full": Posterior("bn_full", 5, {"tau": 0.4}),
    "fixed": Posterior("fixed", 5, {"sigma": 0.3}),
    "vmf": Posterior("vmf", 5, {"kappa": 7, "learned": 0}),
}
LEAST = {"gauss": 0, "bn": 5 * 0.7**2 / 2, "bn_tied": 5 * 0.4 / 2, "bn_full": 5 * 0.4 / 2, "fixed": 0, "vmf": 0}


def features(head, n=64, seed=0):
    return 3 * torch.randn(n, head.size, generator=torch.Generator().manual_seed(seed)) + 1


def test_every_posterior_is_tested():
    assert set(HOWS) == set(POSTERIORS)


@pytest.mark.parametrize("kind", HOWS)
def test_shapes_and_that_draws_repeat(kind):
    head = make(HOWS[kind])
    code = head(features(head))
    z = code.draw(torch.Generator().manual_seed(1), 3)
    assert z.shape == (3, 64, 5)
    assert torch.equal(z, code.draw(torch.Generator().manual_seed(1), 3))
    assert code.mode().shape == code.mean().shape == (64, 5)
    assert code.log_prob(z).shape == (3, 64)
    assert code.kl().shape == (64,)
    assert code.log_prob(z[0][:, None]).shape == (64, 64)
    assert head.log_prior(z).shape == (3, 64)
    assert head.prior(7, torch.Generator().manual_seed(1)).shape == (7, 5)
    each = code.kl_each()
    assert each is None if kind == "vmf" else torch.equal(each.sum(1), code.kl())


@pytest.mark.parametrize("kind", HOWS)
def test_the_divergence_is_the_integral(kind):
    assert divergence_off(HOWS[kind], 0) < 1e-5


@pytest.mark.parametrize("kind", HOWS)
def test_the_divergence_is_the_mean_of_log_ratios_of_draws(kind):
    head = make(HOWS[kind])
    code = head(features(head, 4) / 3)
    z = code.draw(torch.Generator().manual_seed(1), 40000)
    ratio = (code.log_prob(z) - head.log_prior(z)).detach()
    error = ratio.std(0) / 200
    assert ((ratio.mean(0) - code.kl().detach()).abs() <= 5 * error + 1e-5).all()
    assert ((z.mean(0) - code.mean()).detach().abs() < 0.1 * (1 + z.std(0).detach())).all()


def test_a_gaussian_is_torchs():
    head = make(HOWS["gauss"])
    h = features(head)
    mu, log_var = h.chunk(2, 1)
    peer = distributions.Normal(mu, (log_var / 2).exp())
    code = head(h)
    z = code.draw(torch.Generator().manual_seed(0), 2)
    torch.testing.assert_close(code.log_prob(z), peer.log_prob(z).sum(-1))
    expected = distributions.kl_divergence(peer, distributions.Normal(torch.tensor(0.0), torch.tensor(1.0)))
    torch.testing.assert_close(code.kl_each(), expected)
    torch.testing.assert_close(head.log_prior(z), distributions.Normal(0.0, 1.0).log_prob(z).sum(-1))


def test_draws_carry_the_gradient_of_mu_and_sigma():
    """E z^2 = mu^2 + sigma^2, so its gradients are 2 mu and 2 sigma dsigma/dlogvar = sigma^2."""
    head = make(Posterior("gauss", 1, {}))
    h = torch.tensor([[0.7, -0.4]], requires_grad=True)
    z = head(h).draw(torch.Generator().manual_seed(0), 200000)
    (found,) = torch.autograd.grad(z.square().mean(), h)
    torch.testing.assert_close(found, torch.tensor([[1.4, math.exp(-0.4)]]), atol=0.02, rtol=0)


def test_variant_p_by_hand():
    head = make(HOWS["bn"])
    with torch.no_grad():
        head.b.copy_(torch.arange(5.0))
    h = features(head)
    mu = h[:, :5]
    expected = 0.7 * (mu - mu.mean(0)) / mu.std(0, correction=0) + torch.arange(5.0)
    code = head(h)
    torch.testing.assert_close(code.mu, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(code.log_var, h[:, 5:])
    assert head.bound().item() == pytest.approx((5 * 0.49 + 0 + 1 + 4 + 9 + 16) / 2)
    assert {name for name, _ in head.named_parameters()} == {"b"}  # gamma is not learned


@pytest.mark.parametrize("kind", ["bn_tied", "bn_full"])
def test_variant_s_by_hand(kind):
    head = make(HOWS[kind])
    with torch.no_grad():
        head.theta.copy_(torch.linspace(-3, 3, 5))
    h = features(head)
    code = head(h)
    gamma = 0.4 + 0.6 * torch.sigmoid(head.theta)
    torch.testing.assert_close(code.mu.square().mean(0), gamma, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(code.mu.mean(0), torch.zeros(5), atol=1e-6, rtol=0)
    if kind == "bn_full":  # moments add up to 1, and the 1e-4
        torch.testing.assert_close((code.mu.square() + code.sigma.square()).mean(0), torch.full((5,), 1.0001))
    else:
        torch.testing.assert_close(code.log_var, h[:, 5:])


@given(
    seed=st.integers(0, 10**6),
    n=st.integers(16, 200),  # of two data one number may be the same, and its variance 0
    scale=st.floats(0.1, 1e3),
    shift=st.floats(-10, 10),
    kind=st.sampled_from(sorted(HOWS)),
)
@settings(max_examples=150, deadline=None)
def test_no_batch_falls_below_the_bound(seed, n, scale, shift, kind):
    """Whatever the features, in training mode; and the bound is at least what the article promises."""
    head = make(HOWS[kind])
    source = torch.Generator().manual_seed(seed)
    h = scale * torch.randn(n, head.size, generator=source) + shift * scale
    if hasattr(head, "theta"):
        head.theta.data.normal_(generator=source)
    kl = head(h).kl().mean().item()
    assert kl >= head.bound().item() - 1e-3
    assert head.bound().item() >= LEAST[kind] * (1 - 1e-6)


def test_a_plain_gaussian_may_vanish():
    head = make(HOWS["gauss"])
    assert head(torch.zeros(8, 10)).kl().abs().max() == 0


def test_evaluation_uses_running_statistics():
    head = make(HOWS["bn"])
    h = features(head)
    for _ in range(200):
        head(h)
    trained = head(h).mu
    head.eval()
    torch.testing.assert_close(head(h).mu, trained, atol=0.02, rtol=0.02)
    torch.testing.assert_close(head(h[:1]).mu, head(h).mu[:1])  # a datum does not hang on its batch


def test_an_autoencoders_code_is_a_point():
    head = make(Posterior("fixed", 3, {"sigma": 0}))
    h = torch.randn(4, 3)
    assert torch.equal(head(h).draw(torch.Generator(), 2), h.expand(2, 4, 3))


def test_the_prior_of_the_sphere_is_uniform():
    head = make(HOWS["vmf"])
    z = head.prior(20000, torch.Generator().manual_seed(0))
    torch.testing.assert_close(z.norm(dim=1), torch.ones(20000))
    torch.testing.assert_close(z.T @ z / 20000, torch.eye(5) / 5, atol=0.01, rtol=0)
    assert torch.equal(head.bound(), head(features(head)).kl()[0])


@pytest.mark.parametrize(
    ("how", "named"),
    [
        (Posterior("gaus", 2, {}), r"posterior.kind is 'gaus'; did you mean 'gauss'"),
        (Posterior("bn", 2, {"gama": 1.0}), r"posterior.terms of bn is 'gamma'; did you mean 'gama'"),
        (Posterior("bn_tied", 2, {"tau": 1.0}), r"posterior.terms.tau is 1.0, but it must lie between 0 and 1"),
        (Posterior("vmf", 1, {"kappa": 1, "learned": 0}), "raise `latent`"),
        (Posterior("gauss", 0, {}), r"posterior.latent is 0"),
    ],
)
def test_wrong_params_are_refused_by_name(how, named):
    with pytest.raises(Refusal, match=named):
        make(how)
