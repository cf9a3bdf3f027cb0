"""Designed games: the conditions of the recipe, its integrals, and the classical losses that come out of it."""

from dataclasses import replace

import pytest
import torch

from stages.core.errors import Refusal
from stages.gan import designs
from stages.gan.designs import DESIGNS, design
from stages.gan.losses import LOSSES, Pair

KNOWN = {  # what each row is, when it has a name of its own
    "dg_sgan": "sgan",
    "dg_sgan_sat": "sgan_sat",
    "dg_sgan_lin": "sgan_lin",
    "dg_sgan_free": "sgan_sat",
    "dg_exp": "f_hellinger",
    "dg_lsgan": "lsgan",
}


@pytest.mark.parametrize("key", DESIGNS)
def test_the_conditions_of_the_recipe_hold(key):
    found = designs.check(DESIGNS[key])
    assert found.argmax < 1e-4
    assert found.bend < 1e-8
    assert found.lowest < 1e-9
    assert found.generator < 1e-8
    assert found.closed < 1e-6


def test_the_table_and_the_losses_name_the_same_rows():
    assert {key for key in LOSSES if key.startswith("dg_")} == set(DESIGNS)


@pytest.mark.parametrize("key", KNOWN)
def test_it_is_the_classical_loss_but_for_a_constant(key):
    torch.manual_seed(0)
    here, there = (torch.randn(2, 9, dtype=torch.float64) * 3).requires_grad_(), torch.randn(2, 9, dtype=torch.float64)
    for part in ("critic", "generator"):
        ours, classical = (getattr(LOSSES[name], part) for name in (key, KNOWN[key]))
        gradients = [
            torch.autograd.grad(loss(Pair(here[0], here[1])), here, allow_unused=True)[0] for loss in (ours, classical)
        ]
        torch.testing.assert_close(*gradients, rtol=1e-6, atol=1e-6)
        risen = [(loss(Pair(here[0], here[1])) - loss(Pair(*there))).item() for loss in (ours, classical)]
        assert risen[0] == pytest.approx(risen[1], abs=1e-6)


@pytest.mark.parametrize("key", DESIGNS)
def test_integrals_are_as_good_as_closed_forms(key):
    """The same game from w and rho alone: losses and gradients, by quadrature."""
    row = DESIGNS[key]
    made = design(row.w, row.w_inv, row.rho, row.t)
    s = torch.linspace(-0.9, 0.9, 9, dtype=torch.float64, requires_grad=True)
    for ours, closed in ((made.phi, row.phi), (made.psi, row.psi)):
        slopes = [torch.autograd.grad(curve(row.t(s)).sum(), s)[0] for curve in (ours, closed)]
        torch.testing.assert_close(*slopes, rtol=1e-9, atol=1e-9)
    start = row.w(torch.ones(1, dtype=torch.float64))
    assert made.psi(start).abs().item() < 1e-12  # the condition psi(w(1)) = 0


def test_a_game_of_ones_own():
    """w = r / (1 + r) and rho = 1: nobody's row, from one line; by hand psi = t - 1/2, phi = t + log(1 - t) + c."""
    made = design(DESIGNS["dg_sgan_free"].w, DESIGNS["dg_sgan_free"].w_inv, torch.ones_like, t=designs.share)
    found = designs.check(made)
    assert found.argmax < 1e-4
    assert max(found.bend, found.lowest, found.generator) < 1e-6
    t = torch.linspace(0.05, 0.95, 7, dtype=torch.float64)
    torch.testing.assert_close(made.psi(t), t - 0.5, rtol=0, atol=1e-9)
    torch.testing.assert_close(made.phi(t), t - 0.5 + torch.log(2 * (1 - t)), rtol=0, atol=1e-9)


SGAN = DESIGNS["dg_sgan_sat"]


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        ((lambda r: -torch.log(r), lambda t: torch.exp(-t), SGAN.rho), "does not strictly increase"),
        ((SGAN.w, lambda t: torch.exp(-t), SGAN.rho), "not the inverse"),
        ((SGAN.w, SGAN.w_inv, lambda t: -SGAN.rho(t)), "rho.* is not positive"),
    ],
)
def test_what_breaks_a_condition_is_refused(parts, sentence):
    with pytest.raises(Refusal, match=sentence):
        design(*parts)


def test_wrong_closed_forms_are_noticed():
    """A sign, or a factor, in phi or psi moves the maximum; a generator that pulls the wrong way bends down."""
    wrong = designs.check(replace(SGAN, phi=lambda t: 2 * SGAN.phi(t)))
    assert wrong.closed > 0.1
    assert wrong.argmax > 0.1
    assert designs.check(replace(SGAN, beta=lambda t: -t)).generator > 1e-3
    assert designs.check(replace(SGAN, beta=SGAN.psi, alpha=lambda t: 3 * t)).generator > 1e-3


def test_a_game_that_cannot_be_integrated_well_is_refused():
    """w = r^2: t spans ten decades, too many for one rule."""
    with pytest.raises(Refusal, match="give phi and psi in closed form"):
        design(torch.square, torch.sqrt, lambda t: 1 / (1 + t), t=lambda s: torch.exp(-s))


@pytest.mark.parametrize("key", DESIGNS)
def test_the_ratio_of_the_best_critic_averages_1_over_reals(key):
    """E_p q/p = 1, for p = N(0, 1) and q = N(0.5, 1), whose best score is found here by maximising point by point."""
    row = DESIGNS[key]
    x = torch.linspace(-7, 7, 401, dtype=torch.float64)
    p, q = (torch.exp(-((x - m) ** 2) / 2) / (2 * torch.pi) ** 0.5 for m in (0.0, 0.5))
    s = torch.linspace(-5, 5, 20_001, dtype=torch.float64)
    if key == "dg_lsgan":
        s = s[s.abs() < 1]
    value = p[:, None] * row.phi(row.t(s)) + q[:, None] * row.psi(row.t(s))
    ratio = row.ratio(s[value.argmax(dim=1)])
    assert torch.trapezoid(p * ratio, x).item() == pytest.approx(1, abs=0.01)
