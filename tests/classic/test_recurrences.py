"""Closed forms of quadratic recurrences against exact terms, published constants and theory."""

import random
from fractions import Fraction
from itertools import islice

import mpmath
import pytest
from typer.testing import CliRunner

from stages.classic.recurrences import escape, series
from stages.classic.recurrences.quadratic import Recurrence, number
from stages.classic.recurrences.solve import off, solve, value
from stages.cli import app
from stages.core.errors import Refusal

CONSTANTS = {  # OEIS A003095, A003096, A100523, Finch's constants, and the golden ratio by hand
    (1, 0, 1, 1): "1.502836801049756499752936",
    (1, 0, 1, 0): "1.225902443528748538627947495913008521321",
    (1, 0, 1, 2): "2.258518450589465398837796",
    (1, 0, 2, 1): "1.824911160052365593712365",
    (1, 0, -1, 2): "1.678458965125429083209689",
    (1, 2, -1, 1): "1.678458965125429083209689",
}


def made(a, b, c, start):
    return Recurrence(*map(number, (a, b, c, start)))


def first_terms(recurrence, n):
    return list(islice(recurrence.terms(), n))


def random_escaping(count):
    chance = random.Random(0)
    while count:
        c, start = chance.randint(-20, 20), chance.randint(2, 20)
        if c not in (0, -2) and made(1, 0, c, start).cycle is None and escape.escapes(made(1, 0, c, start)) is not None:
            count -= 1
            yield made(1, 0, c, start)


def test_rounded_powers_are_the_terms_of_two_hundred_random_orbits():
    for recurrence in random_escaping(200):
        solution = solve(recurrence)
        assert solution.kind == "rounded_power"
        exact = first_terms(recurrence, 10)
        k = escape.constant(recurrence, escape.escapes(recurrence), 5000)
        with mpmath.workdps(4500):
            rounding = {"floor": mpmath.floor, "ceiling": mpmath.ceil, "nearest": mpmath.nint}[
                solution.rounded.rounding
            ]
            found = [int(rounding(k ** (2**n))) for n in range(10)]
        assert found[solution.first :] == exact[solution.first :]
        assert solution.first == 0 or found[solution.first - 1] != exact[solution.first - 1]  # not later than need be


@pytest.mark.parametrize(("orbit", "k"), CONSTANTS.items())
def test_constants_are_those_published(orbit, k):
    found = solve(made(*orbit), 60).rounded
    with mpmath.workdps(60):
        assert abs(found.k - mpmath.mpf(k)) < mpmath.mpf(10) ** (2 - len(k))


def test_the_rounding_of_known_orbits():
    found = {orbit: (each.rounded.rounding, each.first) for orbit in CONSTANTS if (each := solve(made(*orbit)))}
    assert found[1, 0, 1, 1] == found[1, 0, 1, 2] == found[1, 0, 2, 1] == ("floor", 0)
    assert found[1, 0, 1, 0] == ("floor", 1)
    assert found[1, 0, -1, 2] == ("ceiling", 0)
    for c in (3, 5):  # where the article's "floor" needs its condition
        assert (solve(made(1, 0, c, 1)).rounded.rounding, solve(made(1, 0, c, 1)).first) == ("floor", 1)


def test_sylvester_s_sequence_is_that_of_vardi_s_constant():
    sylvester = made(1, -1, 1, 2)
    solution = solve(sylvester, 25)
    vardi = mpmath.mpf("1.2640847353053011130795995841")
    assert abs(mpmath.sqrt(solution.rounded.k) - vardi) < 1e-14
    assert [int(value(sylvester, solution, n, 25)) for n in range(5)] == [2, 3, 7, 43, 1807]


def test_the_second_term_of_the_golden_orbit():
    orbit = made(1, 0, -2, 3)
    assert solve(orbit).kind == "chebyshev"
    golden = (1 + mpmath.sqrt(5)) / 2
    assert mpmath.almosteq(golden**8 + golden**-8, orbit.term(2))


@pytest.mark.parametrize(
    ("kind", "a", "b", "c"),
    [
        ("power", 1, 0, 0),
        ("chebyshev", 1, 0, -2),
        ("power", -2, 2, 0),
        ("chebyshev", -4, 4, 0),
        ("chebyshev", 2, -2, 0),
    ],
)
def test_elementary_formulas_hold_from_fifty_random_starts(kind, a, b, c):
    chance = random.Random(1)
    for _ in range(50):
        recurrence = made(a, b, c, Fraction(chance.randint(-3000, 3000), 1009))
        solution = solve(recurrence)
        assert solution.kind == kind
        assert off(recurrence, solution, 12, 40) < 1e-30


@pytest.mark.parametrize("alpha", ["0.1", "0.5", "1", "1.5", "2.5"])
def test_logistic_growth_has_a_series(alpha):
    recurrence = made(-1, str(1 + Fraction(alpha)), 0, "0.3")
    found = series.poincare(recurrence, 40, 60)
    with mpmath.workdps(120):
        a, beta = mpmath.mpf(3) / 10, 1 + mpmath.mpf(alpha)
        for n in range(61):
            assert abs(series.value(found, recurrence, n) - a) <= 1e-15 * abs(a)
            a = beta * a - a * a


def test_at_one_the_series_is_elementary():
    recurrence = made(-1, 2, 0, "0.3")
    found = series.poincare(recurrence, 40, 20)
    assert abs(series.value(found, recurrence, 5) - (1 - mpmath.mpf("0.7") ** 32)) < 1e-15
    assert solve(recurrence).kind == "power"


@pytest.mark.parametrize("c", ["0.1", "0.2475", "-0.3", "-0.7"])
def test_koenigs_formula_from_where_its_series_converges(c):
    recurrence = made(1, 0, c, "0.3")
    solution = solve(recurrence, 40)
    assert solution.kind == "koenigs"
    assert off(recurrence, solution, 60, 40) < 1e-35


def test_conjugate_recurrences_have_one_kind_and_mapped_terms():
    chance = random.Random(2)

    def some():
        return Fraction(chance.randint(-6, 6), chance.randint(1, 3))

    for _ in range(100):
        a, b, c, start = some() or Fraction(1), some(), some(), some()
        recurrence = Recurrence(a, b, c, start)
        normal = Recurrence(Fraction(1), Fraction(0), recurrence.c, recurrence.normal(start))
        assert [recurrence.normal(term) for term in first_terms(recurrence, 8)] == first_terms(normal, 8)
        kinds = {solve(recurrence).kind, solve(normal).kind}
        assert len(kinds) == 1 or kinds == {"rounded_power", "poincare_series"} or kinds == {"rounded_power", "none"}
        assert len(kinds) == 1 or recurrence.integer != normal.integer  # what is rounded is an integer


@pytest.mark.parametrize("c", ["-1.7", "0.1", "1/4", "-0.75"])
def test_no_elementary_formula_is_claimed_where_none_is(c):
    assert solve(made(1, 0, c, "0.3")).kind not in ("power", "chebyshev", "rounded_power", "periodic", "linear")


@pytest.mark.parametrize("rounding", ["floor", "nearest"])
def test_the_precision_law_is_tight(rounding):
    recurrence, n = made(1, 0, 1, 1), 9
    exact = recurrence.term(n)
    whole = escape.constant(recurrence, escape.escapes(recurrence), 2000)
    digits = escape.digits_needed(float(mpmath.log10(whole)), n, rounding)

    def rounded(digits):
        with mpmath.workdps(4000):
            scale = mpmath.mpf(10) ** (digits - 1)
            k = mpmath.floor(whole * scale) / scale
            return int({"floor": mpmath.floor, "nearest": mpmath.nint}[rounding](k ** (2**n)))

    assert rounded(digits) == exact
    assert rounded(int(0.6 * digits)) != exact


def test_cycles_are_found_exactly():
    assert made(1, 0, -1, 1).cycle == (1, 2)  # 1, 0, -1, 0, -1
    assert made(1, 0, "-29/16", "-1/4").cycle == (0, 3)  # the cycle of three with rational points
    assert made(1, 0, "-29/16", "1/4").cycle == (1, 3)
    assert made(1, 0, -2, 0).cycle == (2, 1)
    assert made(1, 0, "-29/16", "1/3").cycle is None
    assert made(0, -1, 5, 2).cycle == (0, 2)
    assert made(0, 2, 1, 3).cycle is None
    assert made(1, 0, -1, 1).term(1001) == 0


def test_linear_ones_are_solved_by_their_formula():
    assert made(0, 2, 1, 3).term(100) == 4 * 2**100 - 1
    assert made(0, 1, "1/2", 3).term(9) == Fraction(15, 2)
    assert solve(made(0, 2, 1, 3)).formula == "a(n) = 4*2**n - 1"


@pytest.mark.parametrize(
    ("numbers", "told"),
    [
        ((0, 0, 1, 2), "no recurrence"),
        ((1, 0, "x", 2), "real number"),
        ((1, 0, 1j, 2), "real number"),
        ((1, 0, float("nan"), 2), "real number"),
        ((1, 0, "1/0", 2), "real number"),
    ],
)
def test_what_is_no_recurrence_is_refused(numbers, told):
    with pytest.raises(Refusal, match=told):
        made(*numbers)


def test_terms_that_fill_a_memory_are_refused():
    with pytest.raises(Refusal, match="million digits"):
        made(1, 0, 1, 1).term(60)
    with pytest.raises(Refusal, match="0 on"):
        made(1, 0, 1, 1).term(-1)


def test_the_command_answers_and_is_honest():
    def asked(*numbers):
        return CliRunner().invoke(app, ["recurrence", *numbers])

    told = asked("1", "0", "1", "1").output
    assert "rounded_power" in told
    assert "floor(k^(2^n)), k = 1.50283680104975649975293642373" in told
    assert "44127887745906175987802" in told
    told = asked("-4", "4", "0", "1/3").output
    assert "1/2 - cos(2**n*acos(1/3))/2" in told
    assert "kind     none" in asked("1", "0", "1/4", "0").output
    assert asked("1", "0", "1", "1", "--terms", "16").exit_code == 0
    wrong = asked("1", "0", "one", "1")
    assert wrong.exit_code == 1
    assert "C is 'one'" in wrong.stderr
