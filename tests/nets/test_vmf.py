"""The von Mises-Fisher law against scipy's, Bessel functions, quadrature and finite differences."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import ive

from stages.core.errors import Refusal
from stages.nets.vmf import VonMisesFisher

LAWS = [(2, 5.0), (3, 1.0), (3, 20.0), (4, 20.0), (5, 2.0), (8, 20.0), (10, 50.0), (32, 80.0), (64, 100.0)]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def bessel(d, kappa):
    """E w and the KL to the uniform law, by scaled Bessel functions."""
    mean = ive(d / 2, kappa) / ive(d / 2 - 1, kappa)
    log_c = (d / 2 - 1) * math.log(kappa) - d / 2 * math.log(2 * math.pi) - math.log(ive(d / 2 - 1, kappa)) - kappa
    log_area = math.log(2) + d / 2 * math.log(math.pi) - math.lgamma(d / 2)
    return mean, kappa * mean + log_c + log_area


@pytest.mark.parametrize(("d", "kappa"), LAWS)
@pytest.mark.parametrize("learned", [False, True])
def test_mean_and_divergence_are_those_of_bessel_functions(d, kappa, learned):
    law = VonMisesFisher(d, kappa, learned)
    mean, kl = bessel(d, kappa)
    assert law.mean_w().item() == pytest.approx(mean, abs=1e-6)
    assert law.kl().item() == pytest.approx(kl, abs=1e-6)


def test_the_table_stands_where_bessel_functions_do_not():
    """In 512 dimensions kappa 1 is nearly uniform: KL = kappa^2 / (2 d); I_255(1) is 0 in float64."""
    assert ive(255, 1.0) == 0
    assert VonMisesFisher(512, 1.0).kl().item() == pytest.approx(1 / 1024, rel=0.01)
    assert VonMisesFisher(3, 1e4).kl().item() == pytest.approx(bessel(3, 1e4)[1], abs=1e-6)


@pytest.mark.parametrize(("d", "kappa"), LAWS)
def test_draws_have_the_law_of_scipys(d, kappa):
    law = VonMisesFisher(d, kappa)
    mu = torch.nn.functional.normalize(torch.randn(1, d, generator=seeded(1)), dim=1)
    ours = (law.draw(mu, 20000, seeded())[:, 0] @ mu[0]).numpy()
    peer = stats.vonmises_fisher(mu[0].double().numpy() / np.linalg.norm(mu[0].double()), kappa)
    theirs = peer.rvs(20000, random_state=np.random.default_rng(0)) @ mu[0].double().numpy()
    assert stats.ks_2samp(ours, theirs).pvalue > 0.01
    assert ours.mean() == pytest.approx(bessel(d, kappa)[0], abs=5 * ours.std() / math.sqrt(20000))


def test_draws_lie_on_the_sphere_and_round_about_their_axis():
    law = VonMisesFisher(3, 5.0)
    mu = torch.tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    z = law.draw(mu, 50000, seeded())  # [k, 2, 3]
    assert (z.norm(dim=-1) - 1).abs().max() < 1e-6
    around = torch.atan2(z[:, 0, 1], z[:, 0, 0]).numpy() / (2 * math.pi) + 0.5
    assert stats.kstest(around, "uniform").pvalue > 0.01
    torch.testing.assert_close(z.mean(0), bessel(3, 5.0)[0] * mu, atol=0.01, rtol=0)


@pytest.mark.parametrize("kappa", [1e-6, 1e6])
def test_extreme_concentrations_make_no_nan(kappa):
    z = VonMisesFisher(2, kappa).draw(torch.tensor([[0.6, 0.8]]), 1000, seeded())
    assert torch.isfinite(z).all()


@pytest.mark.parametrize(("d", "kappa"), [(2, 5.0), (3, 10.0), (3, 0.5)])
def test_the_density_integrates_to_one_and_is_scipys(d, kappa):
    law = VonMisesFisher(d, kappa)
    mu = torch.nn.functional.normalize(torch.arange(1.0, d + 1, dtype=torch.float64), dim=0)
    z = law.uniform(200000, seeded()).double()
    area = math.exp(law.log_area)
    assert area == pytest.approx({2: 2 * math.pi, 3: 4 * math.pi}[d])
    inside = law.log_prob(z, mu).exp() * area
    assert inside.mean().item() == pytest.approx(1, abs=4 * inside.std().item() / math.sqrt(len(z)))
    peer = torch.from_numpy(
        stats.vonmises_fisher(mu.numpy(), kappa).logpdf(z[:100].numpy() / z[:100].norm(dim=1, keepdim=True).numpy())
    )
    torch.testing.assert_close(law.log_prob(z[:100], mu), peer, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("d", "kappa"), LAWS)
def test_kappa_learns_by_the_implicit_gradient(d, kappa):
    """dt/dkappa at the same uniforms is that of finite differences of the inverse distribution function."""
    law, step = VonMisesFisher(d, kappa, learned=True), 1e-3 * kappa
    t = law.angles((2000,), seeded())
    found = torch.stack([torch.autograd.grad(one, law.log_kappa, retain_graph=True)[0] for one in t[:200]]) / kappa
    above, below = (VonMisesFisher(d, kappa + by).angles((2000,), seeded())[:200] for by in (step, -step))
    torch.testing.assert_close(found, (above - below) / (2 * step), atol=2e-5, rtol=2e-3)
    rise = torch.autograd.grad(t.cos().mean(), law.log_kappa)[0].item() / kappa
    mean = bessel(d, kappa)[0]
    assert rise == pytest.approx(1 - mean**2 - (d - 1) / kappa * mean, rel=0.1)  # dA/dkappa


def test_the_divergence_has_its_gradient():
    """dKL/dkappa = kappa dA/dkappa."""
    law = VonMisesFisher(5, 2.0, learned=True)
    (found,) = torch.autograd.grad(law.kl(), law.log_kappa)
    mean = bessel(5, 2.0)[0]
    assert found.item() == pytest.approx(4 * (1 - mean**2 - 2 * mean), rel=1e-6)


def test_mu_has_the_gradient_of_a_function_of_draws():
    """d/dmu E f(z) for f(z) = <a, z> along the sphere is A (a - <a, mu> mu)."""
    law = VonMisesFisher(4, 20.0)
    a, h = torch.tensor([1.0, 2.0, -1.0, 0.5]), torch.tensor([[0.5, 0.5, 0.5, 0.5]], requires_grad=True)
    mu = torch.nn.functional.normalize(h, dim=1)
    (found,) = torch.autograd.grad((law.draw(mu, 100000, seeded()) @ a).mean(), h)
    expected = bessel(4, 20.0)[0] * (a - (a @ mu[0]) * mu[0])
    torch.testing.assert_close(found[0], expected.detach(), atol=0.02, rtol=0)


def test_a_fixed_kappa_learns_nothing():
    law = VonMisesFisher(3, 5.0)
    assert not law.angles((3,), seeded()).requires_grad
    assert not law.log_kappa.requires_grad


@pytest.mark.parametrize("d", [2, 3, 16])
def test_kappa_0_is_the_uniform_law(d):
    law = VonMisesFisher(d, 0.0)
    assert law.kl().item() == pytest.approx(0, abs=1e-12)
    assert law.mean_w().item() == pytest.approx(0, abs=1e-12)
    z = law.draw(torch.nn.functional.one_hot(torch.zeros(1, dtype=torch.long), d).float(), 20000, seeded())[:, 0]
    assert z.mean(0).abs().max() < 5 / math.sqrt(20000 * d)
    assert (z.norm(dim=-1) - 1).abs().max() < 1e-6


@pytest.mark.parametrize("d", [2, 3, 16])
def test_a_large_kappa_overflows_nowhere(d):
    law = VonMisesFisher(d, 1e5)
    mu = torch.nn.functional.normalize(torch.ones(1, d), dim=1)
    z = law.draw(mu, 1000, seeded())[:, 0]
    assert law.kl().isfinite()
    assert 1 - (z @ mu[0]).mean().item() == pytest.approx((d - 1) / 2e5, rel=0.2)


@pytest.mark.parametrize(
    ("d", "kappa", "learned"), [(1, 2.0, False), (3, 0.0, True), (3, -1.0, False), (3, math.nan, False)]
)
def test_impossible_laws_are_refused(d, kappa, learned):
    with pytest.raises(Refusal, match=r"needs (2 dimensions|kappa 0 or more)"):
        VonMisesFisher(d, kappa, learned)
