"""Samplers against laws whose moments are known, and the two wrong proposal densities that the spec warns of."""

import pytest
import torch
from torch import nn

from stages.core.errors import Refusal
from stages.nets import langevin as samplers
from stages.nets.langevin import Descent, descend, gradient, langevin, log_proposal, mala
from stages.nets.latent import PRIORS, SAMPLERS, Latent, sample
from stages.nets.threads import one_thread

EPS = [0.2, 0.8, 1.5]
N, DIM, STEPS = 4000, 8, 120


@pytest.fixture(autouse=True)
def _one_thread():
    """Tensors this small are slower with more threads."""
    with one_thread():
        yield


def draw(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(z):
    return z.square().sum(1) / 2


def start():
    return torch.zeros(N, DIM)


@pytest.mark.parametrize(("eps", "acceptance"), [(0.2, 0.98), (0.8, 0.81), (1.5, 0.53)])
def test_mala_leaves_the_normal_law_as_it_is(eps, acceptance):
    settled, _ = mala(normal, start(), STEPS, eps, draw())
    z, accepted = mala(normal, settled, STEPS, eps, draw(1))
    assert z.var().item() == pytest.approx(1, abs=0.03)
    assert z.mean().item() == pytest.approx(0, abs=0.03)
    assert accepted.item() == pytest.approx(acceptance, abs=0.01)  # spec, section 5


@pytest.mark.parametrize("eps", EPS)
def test_unadjusted_langevin_is_too_wide_by_a_known_factor(eps):
    z = langevin(normal, start(), STEPS, eps, draw())
    assert z.var().item() == pytest.approx(1 / (1 - eps / 4), rel=0.03)


def printed(b, a, slope, eps):
    """The article's: eps/2 times the square, and a whole step of drift."""
    return -eps / 2 * (b - a + eps * slope).square().sum(1)


def unsquared(b, a, slope, eps):
    """The repository's: no square."""
    return -(b - a + eps / 2 * slope).norm(dim=1) / (2 * eps)


def no_correction(b, a, slope, eps):
    return b.new_zeros(len(b))


@pytest.mark.parametrize("eps", EPS)
@pytest.mark.parametrize(
    ("wrong", "variances"), [(unsquared, [0.64, 0.62, 0.66]), (no_correction, [0.52, 0.55, 0.61]), (printed, None)]
)
def test_wrong_proposal_densities_do_not(wrong, variances, eps, monkeypatch):
    """The printed one comes out right by chance near 0.8, where eps^2 (2 - eps) = 1 - eps/4."""
    monkeypatch.setattr(samplers, "log_proposal", wrong)
    z, _ = mala(normal, start(), STEPS, eps, draw())
    assert abs(z.var().item() - 1) > (0.0 if wrong is printed and eps == 0.8 else 0.2)
    if variances:
        assert z.var().item() == pytest.approx(variances[EPS.index(eps)], abs=0.03)  # spec, section 5


def test_mala_keeps_detailed_balance_where_the_gradient_is_not_linear():
    """V = x^4/4: E x^2 = 2 Gamma(3/4) / Gamma(1/4) = 0.6760; and E[x V'(x)] = E x^4 = 1."""
    z, _ = mala(lambda x: x.pow(4).sum(1) / 4, torch.zeros(20000, 1), 60, 0.5, draw())
    assert z.square().mean().item() == pytest.approx(0.6760, rel=0.03)
    assert z.pow(4).mean().item() == pytest.approx(1, rel=0.04)


def test_the_proposal_density_is_that_of_the_proposal():
    a, b, eps = torch.randn(5, 3, generator=draw(1)), torch.randn(5, 3, generator=draw(2)), 0.7
    law = torch.distributions.Normal(a - eps / 2 * a, eps**0.5)
    difference = law.log_prob(b).sum(1) - log_proposal(b, a, a, eps)
    torch.testing.assert_close(difference, difference[:1].expand(5))


def test_a_gradient_is_of_all_dimensions_and_leaves_no_graph():
    x = torch.randn(3, 2, 4, 4, generator=draw())
    value, slope = gradient(lambda x: x.flatten(1).pow(3).sum(1), x)
    torch.testing.assert_close(slope, 3 * x.square())
    assert not value.requires_grad
    assert not slope.requires_grad
    with torch.no_grad():
        torch.testing.assert_close(gradient(lambda x: x.flatten(1).sum(1), x)[1], torch.ones_like(x))


def test_descent_is_langevin_dynamics_in_other_letters():
    """Observed after the drift, not after the noise: variance (1 - eps/2)^2 / (1 - eps/4)."""
    eps = 0.4
    descent = Descent(STEPS, eps / 2, eps**0.5, 0.0, -100.0, 100.0)
    assert descent.temperature == pytest.approx(1)
    x = descend(normal, start(), descent, draw())
    assert x.var().item() == pytest.approx((1 - eps / 2) ** 2 / (1 - eps / 4), rel=0.03)


def test_descent_clips_gradients_and_stays_in_its_box():
    steep = Descent(1, 10.0, 0.0, 0.01, 0.0, 1.0)
    x = descend(lambda x: 50 * x.sum(1), torch.full((1, 3), 0.5), steep, draw())
    torch.testing.assert_close(x, torch.full((1, 3), 0.4))
    x = descend(lambda x: 50 * x.sum(1), x, Descent(9, 10.0, 0.0, 0.01, 0.0, 1.0), draw())
    assert not x.any()
    assert Descent(60, 10.0, 0.005, 0.01, 0.0, 1.0).temperature == pytest.approx(1.25e-6)  # CIFAR's: an optimiser


class Linear(nn.Module):
    """s(x) = <a, x>."""

    def __init__(self, a):
        super().__init__()
        self.a = a

    def forward(self, x):
        return x @ self.a


@pytest.mark.parametrize(("sampler", "width"), [("mala", 1.0), ("langevin", 1 / (1 - 0.3 / 4))])
def test_ddls_with_a_linear_logit_shifts_the_prior(sampler, width):
    """p_G exp(beta <a, x>) with p_G = N(0, I) is N(beta a, I)."""
    a = torch.tensor([1.0, -0.5])
    params = Latent("ddls", sampler, 0.8, 80, 0.3)
    z = torch.randn(20000, 2, generator=draw())
    moved, accepted = sample(nn.Identity().eval(), Linear(a).eval(), z, params, draw(1))
    torch.testing.assert_close(moved.mean(0), 0.8 * a, atol=0.03, rtol=0)
    torch.testing.assert_close(moved.var(0), torch.full((2,), width), atol=0.03, rtol=0)
    assert 0.9 < accepted <= 1


def test_the_plain_energy_knows_no_prior():
    """V = -beta s(G(z)) with s = -2 |x|^2: variance 1/(4 beta), whatever the prior."""
    critic = nn.Sequential(nn.Flatten(), Linear(torch.ones(2)))
    well = nn.Module()
    well.forward = lambda x: -2 * critic(x.square())
    moved, _ = sample(
        nn.Identity().eval(), well.eval(), torch.zeros(20000, 2), Latent("energy", "mala", 0.5, 60, 0.3), draw()
    )
    assert moved.var().item() == pytest.approx(0.5, rel=0.03)


def test_latent_sampling_refuses_what_it_must():
    good = Latent("ddls", "mala", 1.0, 1, 0.1)
    assert set(PRIORS) == {"ddls", "energy"}
    assert set(SAMPLERS) == {"mala", "langevin"}
    with pytest.raises(Refusal, match="evaluation mode"):
        sample(nn.Identity().train(), Linear(torch.ones(2)).eval(), torch.zeros(2, 2), good, draw())
    with pytest.raises(Refusal, match="choices: ddls"):
        sample(
            nn.Identity().eval(), Linear(torch.ones(2)).eval(), torch.zeros(2, 2), Latent("v", "mala", 1, 1, 1), draw()
        )
