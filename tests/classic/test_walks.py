"""Walks and path integrals against laws on paper, quadrature and one another; every estimate by its standard error."""

import math
import time

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from stages.classic.walks import convergence, diffusion, exact, grid, lattice, on_device, system
from stages.classic.walks.estimate import Estimate, estimate
from stages.core.errors import Refusal
from stages.core.systems import Inputs


def draws(seed=0):
    return np.random.Generator(np.random.SFC64(seed))


def p_of_ends(ends, n):
    expected = exact.law(n)[1] * len(ends)
    counts = np.bincount((np.asarray(ends) + n) // 2, minlength=n + 1)
    cells = np.cumsum(expected >= 5).clip(1, (expected >= 5).sum())  # rare ends join their neighbours
    return stats.chisquare(np.bincount(cells, counts)[1:], np.bincount(cells, expected)[1:]).pvalue


def on_torch(n, walkers, generator):
    seed = int(generator.integers(2**31))
    return on_device.packed(n, walkers, torch.Generator().manual_seed(seed)).numpy()


def last_of(n, walkers, generator):
    for place in lattice.running(n, walkers, generator):
        last = place
    return last


WAYS = {
    "endpoints": lattice.endpoints,
    "packed": lattice.packed,
    "running": last_of,
    "paths": lambda n, walkers, generator: lattice.paths(n, walkers, generator)[-1],
    "torch": on_torch,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("n", [1, 31, 64, 100])
def test_every_way_of_walking_ends_by_the_binomial_law(way, n):
    assert p_of_ends(WAYS[way](n, 200_000, draws(n)), n) > 1e-3


def test_bits_are_counted():
    words = torch.tensor([0, -1, 1, -(2**31), 0x55555555, 12345], dtype=torch.int32)
    assert on_device.bits(words).tolist() == [0, 32, 1, 1, 16, bin(12345).count("1")]


def test_walks_in_space_take_one_step_along_one_axis_and_spread_alike():
    paths = lattice.paths(60, 4000, draws(), dimension=3).astype(int)
    assert paths.shape == (61, 4000, 3)
    assert (np.abs(np.diff(paths, axis=0)).sum(2) == 1).all()
    for axis in range(3):
        assert abs(estimate(paths[-1, :, axis] ** 2).z(20)) < 4


def test_laws_on_paper_are_those_of_all_walks_of_ten_steps():
    steps = np.array([[1 if word >> i & 1 else -1 for i in range(10)] for word in range(1024)])
    places = np.cumsum(steps, 1)
    for a in range(11):
        assert exact.reached(10, a) == pytest.approx((np.maximum(places.max(1), 0) >= a).mean())
    assert exact.returned(10) == pytest.approx((places[:, -1] == 0).mean())
    assert exact.returned(9) == 0
    before = np.concatenate([np.zeros((1024, 1), int), places[:, :-1]], 1)
    above = ((places > 0) | (before > 0)).sum(1)
    np.testing.assert_allclose(exact.arcsine(5), np.bincount(above, minlength=11)[::2] / 1024)


def test_ruin_is_the_solution_of_its_equations():
    """P(x) = p P(x + 1) + q P(x - 1), and the mean time T(x) = 1 + (T(x + 1) + T(x - 1)) / 2, solved by matrices."""
    for p, a, b in ((0.55, 7, 5), (0.3, 2, 9), (0.5, 4, 4)):
        n = a + b - 1
        moves = np.eye(n) - p * np.eye(n, k=1) - (1 - p) * np.eye(n, k=-1)
        ends = np.zeros(n)
        ends[-1] = p
        assert exact.ruin(p, a, b) == pytest.approx(np.linalg.solve(moves, ends)[b - 1], rel=1e-12)
    moves = np.eye(11) - 0.5 * np.eye(11, k=1) - 0.5 * np.eye(11, k=-1)
    assert exact.ruin_time(7, 5) == pytest.approx(np.linalg.solve(moves, np.ones(11))[4], rel=1e-12)
    assert exact.ruin(0.55, 7, 5) == pytest.approx(0.695984, abs=1e-6)


def test_the_cubic_lattice_is_come_back_to_as_watson_s_integral_says():
    def inner(a, b):  # the integral over the third angle of 1 / (3 - cos a - cos b - cos c), in closed form
        rest = 3 - math.cos(a) - math.cos(b)
        return 1 / math.sqrt(rest * rest - 1)

    whole = integrate.dblquad(inner, 0, math.pi, 0, math.pi, epsabs=1e-7)[0]
    u = 3 * whole / math.pi**2
    assert exact.cubic_return() == pytest.approx(1 - 1 / u, abs=1e-6)
    assert exact.cubic_return() == pytest.approx(0.340537, abs=1e-6)


def test_the_weights_on_paper_solve_the_equation_of_feynman_and_kac():
    """u_t = u_xx α / 2 - v u by differences of the closed forms."""
    e = 1e-3
    cases = [
        (lambda x, t: exact.harmonic(x, t, 1.5, 0.7), lambda x: 1.125 * x * x, 0.7),
        (lambda x, t: exact.linear(x, t, 0.8, 0.7), lambda x: 0.8 * x, 0.7),
        (lambda x, t: float(exact.mehler(x, 0.3, t, 1.2)), lambda x: 0.72 * x * x, 1.0),
    ]
    for u, v, alpha in cases:
        x, t = 0.4, 0.9
        slope = (u(x, t + e) - u(x, t - e)) / (2 * e)
        bend = (u(x + e, t) - 2 * u(x, t) + u(x - e, t)) / e**2
        assert slope == pytest.approx(alpha / 2 * bend - v(x) * u(x, t), abs=1e-5)


def test_time_above_zero_has_the_law_of_the_arcsine():
    """E exp(-l A t) with A of density 1 / (π sqrt(a (1 - a))), by quadrature in the angle."""
    value = integrate.quad(lambda angle: math.exp(-2.0 * 1.5 * math.sin(angle) ** 2), 0, math.pi / 2)[0] * 2 / math.pi
    assert exact.occupation(1.5, 2.0) == pytest.approx(value, rel=1e-10)


def test_all_estimates_of_the_stage_are_right_within_four_errors(tmp_path):
    system.train(Inputs(), system.Walks(walkers=15_000, steps=100, slices=20, seed=1), tmp_path)
    found = system.evaluate(tmp_path, Inputs(), system.EvaluateWalks(4.0, "test"))
    assert [claim.claim for claim in found.claims if not claim.passed and claim.check != "L1"] == []
    assert len(found.claims) > 25


def test_an_error_is_seen():
    """The wrong closed form is many errors off: the check can fail."""
    won, _ = lattice.ruined(0.55, 7, 5, 50_000, draws())
    assert abs(estimate(won).z(exact.ruin(0.55, 7, 5))) < 4 < abs(estimate(won).z(exact.ruin(0.5, 7, 5)))


def test_the_trapezoid_is_below_its_error_where_left_ends_are_not():
    def found(rule):
        return diffusion.feynman_kac(0.7, 1.0, 20, 200_000, 1.0, lambda x: 1.125 * x * x, draws(), rule=rule)

    true = exact.harmonic(0.7, 1.0, 1.5, 1.0)
    assert abs(found("trapezoid").mean - true) < 2 * found("trapezoid").error
    assert abs(found("left").z(true)) > 4


def test_pairs_of_opposite_noise_have_smaller_errors():
    found = diffusion.feynman_kac(0.3, 1.0, 20, 40_000, 1.0, lambda x: 0.8 * x, draws())
    apart = (math.exp(0.64 / 3) - 1) ** 0.5 * exact.linear(0.3, 1.0, 0.8, 1.0) / 200  # of single draws: lognormal
    assert found.error < 0.5 * apart
    assert found.samples <= 40_000


def test_slices_of_both_kinds_converge_to_mehler_s_kernel():
    x = np.linspace(-6, 6, 601)
    truth = exact.mehler(x[:, None], x, 1.0, 1.0)
    near = np.abs(grid.slices(x, x**2 / 2, 1.0, 64, 1.0) - truth).max()
    assert near < 3e-5 < 1e-3 < np.abs(grid.slices(x, x**2 / 2, 1.0, 64, 1.0, "lie") - truth).max()


def test_differences_solve_diffusion_and_the_oscillator():
    x = np.linspace(-8, 8, 3201)
    start = exact.gaussian(x, 0.2, 1.0)
    free = grid.crank_nicolson(x, 0 * x, start, 1.0, 200, 1.0)
    np.testing.assert_allclose(free, exact.gaussian(x, 1.2, 1.0), atol=1e-5)
    weighted = grid.crank_nicolson(x, 1.125 * x**2, np.ones_like(x), 1.0, 400, 1.0)
    assert weighted[1740] == pytest.approx(exact.harmonic(x[1740], 1.0, 1.5, 1.0), abs=1e-5)


def test_the_two_equations_of_a_drifted_walk_have_one_density():
    """P of the equation with drift is φ ξ of the one with a potential, to 1e-6 on the grid."""
    alpha, x = 0.5, np.linspace(-3, 3, 6001)
    start = exact.gaussian(x, 0.18, alpha)
    by_drift = grid.fokker_planck(x, convergence.well(0.5 * (x[1:] + x[:-1])), start, 1.0, 2000, alpha)
    factor = np.exp((x**2 / 2 - x**4 / 4) / alpha)
    v = grid.drift_potential(convergence.well(x), 1 - 3 * x**2, alpha)
    by_potential = grid.crank_nicolson(x, v, start / factor, 1.0, 2000, alpha) * factor
    inside = np.abs(x) < 2.5
    assert np.abs(by_drift - by_potential)[inside].max() < 1e-6
    assert by_drift.sum() * (x[1] - x[0]) == pytest.approx(1, abs=1e-9)


def test_five_moments_of_a_double_well_are_those_of_the_differences():
    ends, _ = diffusion.euler(0.3 * draws().standard_normal(200_000), 1.0, 200, 0.5, convergence.well, draws(1))
    x = np.linspace(-3, 3, 2001)
    density = grid.fokker_planck(
        x, convergence.well(0.5 * (x[1:] + x[:-1])), stats.norm.pdf(x, scale=0.3), 1.0, 400, 0.5
    )
    for power in range(1, 6):
        truth = float((x**power * density).sum() * (x[1] - x[0]))
        assert abs(estimate(ends**power).z(truth)) < 4


def test_walls_stop_or_turn_walkers_back():
    """Absorbed from 0.5 until 1: 2 Φ(0.5) - 1, also by few steps; reflected: |x| of a free walk."""
    _, alive = diffusion.euler(np.full(100_000, 0.5), 1.0, 3, 1.0, diffusion.nowhere, draws(), diffusion.Ends(low=0.0))
    assert abs(estimate(alive).z(2 * stats.norm.cdf(0.5) - 1)) < 4
    ends, alive = diffusion.euler(
        np.full(100_000, 0.5), 1.0, 50, 1.0, diffusion.nowhere, draws(), diffusion.Ends(low=0.0, absorbing=False)
    )
    assert alive.all()
    assert ends.min() >= 0
    mean = integrate.quad(lambda y: y * (stats.norm.pdf(y - 0.5) + stats.norm.pdf(y + 0.5)), 0, 12)[0]
    assert abs(estimate(ends).z(mean)) < 4


def test_packed_walks_are_fast_and_running_ones_small():
    walkers, n = 4000, 64 * 256
    lattice.packed(64, walkers, draws())
    begin = time.thread_time()
    lattice.packed(n, walkers, draws())
    assert walkers * n / (time.thread_time() - begin) > 1e9
    place = next(iter(lattice.running(5, 1_000_000, draws())))
    assert place.nbytes == 2_000_000


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: lattice.packed(10, 0, draws()), "one walker"),
        (lambda: lattice.endpoints(-1, 5, draws()), "negative"),
        (lambda: lattice.ruined(1.0, 2, 2, 5, draws()), "0 < p < 1"),
        (lambda: exact.ruin(0.0, 2, 2), "between 0 and 1"),
        (lambda: diffusion.walk(np.zeros(3), 1.0, 0.5, 0.5, lambda x: 3 + x, draws()), "ds of at most 0.167"),
        (lambda: diffusion.walk(np.zeros(3), 1.0, 0.1, 0.0, lambda x: x, draws()), "above 0"),
        (lambda: diffusion.feynman_kac(0, -1.0, 5, 10, 1.0, lambda x: x, draws()), "above 0"),
        (lambda: diffusion.feynman_kac(0, 1.0, 5, 10, 1.0, lambda x: x * np.nan, draws()), "no number"),
        (lambda: diffusion.feynman_kac(0, 1.0, 5, 1, 1.0, lambda x: x, draws()), "pairs"),
        (lambda: grid.kernel(np.linspace(-1, 1, 5), np.zeros(5), 0.01, 1.0), "points"),
        (lambda: estimate(np.zeros(0)), "no walkers"),
        (lambda: on_device.packed(0, 5, torch.Generator()), "one of each"),
    ],
)
def test_what_makes_no_sense_is_refused(call, told):
    with pytest.raises(Refusal, match=told):
        call()


def test_an_estimate_knows_its_error():
    values = draws().standard_normal(10_000)
    found = estimate(values)
    assert found.error == pytest.approx(values.std(ddof=1) / 100)
    assert Estimate(1.0, 0.5, 1.0).z(2.0) == -2
