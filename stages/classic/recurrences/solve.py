"""Which kind of formula a quadratic recurrence has, the formula, and whether it is right.

Article: https://kexue.fm/archives/3064. In the normal form y' = y^2 + c:

    c = 0     y_n = y_0^(2^n)                                                     power
    c = -2    y_n = u^(2^n) + u^(-2^n), y_0 = u + 1/u; 2 cos(2^n arccos(y_0 / 2)) for |y_0| <= 2    chebyshev

No other c has an elementary formula of this kind. What returns to an earlier term is `periodic`; an integer orbit that
escapes is a `rounded_power` (escape.py); `koenigs` and `poincare_series` are convergent series (series.py), no
elementary functions; the rest is `none`. The number: of c = -1.7, 0.1, 1/4 and -3/4 none is called power or chebyshev.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import mpmath

from stages.classic.recurrences import escape, series
from stages.classic.recurrences.escape import Rounded
from stages.classic.recurrences.quadratic import Recurrence, bits, real
from stages.classic.recurrences.series import Series

if TYPE_CHECKING:
    import sympy


@dataclass(frozen=True)
class Solution:
    """What is known of the n-th term."""

    kind: str
    formula: str  # in words that a person can read
    rounded: Rounded | None = None
    series: Series | None = None

    @property
    def first(self) -> int:
        """The term from which on the formula holds."""
        return max(self.rounded.first if self.rounded else 0, self.series.first if self.series else 0)


def solve(recurrence: Recurrence, digits: int = 30, terms: int = 60) -> Solution:
    """The best formula there is; constants to `digits` digits, series good for the first `terms` terms."""
    c = recurrence.c
    if recurrence.cycle is not None:
        return Solution("periodic", _cycle(recurrence))
    if recurrence.A == 0 or c in (0, -2):
        kind = "linear" if recurrence.A == 0 else "power" if c == 0 else "chebyshev"
        return Solution(kind, f"a(n) = {expression(recurrence)}")
    begin = escape.escapes(recurrence)
    if begin is not None and recurrence.integer and (found := escape.rounded(recurrence, digits)):
        power = _back(recurrence, "k^(2^n)")
        with mpmath.workdps(digits):
            return Solution(
                "rounded_power", f"a(n) = {found.rounding}({power}), k = {mpmath.nstr(+found.k, digits)}", found
            )
    if begin is None and (near := series.koenigs(recurrence, digits)):
        return Solution("koenigs", _series(recurrence, near, digits), series=near)
    if whole := series.poincare(recurrence, digits, terms):
        return Solution("poincare_series", _series(recurrence, whole, digits), series=whole)
    if begin is None:
        return Solution(
            "none", "no formula; y(n) = A a(n) + B / 2 tends to 1/2, as 1/2 - 1/n: the fixed point is parabolic"
        )
    k = mpmath.nstr(escape.constant(recurrence, begin, digits), digits)
    return Solution("none", f"no exact formula; a(n) is close to {_back(recurrence, 'k^(2^n)')}, k = {k}")


def expression(recurrence: Recurrence) -> sympy.Expr:
    """a(n) of a linear recurrence, and of c = 0 and c = -2, as sympy has it."""
    import sympy

    n = sympy.Symbol("n", integer=True, nonnegative=True)
    a, b, c, start = (
        sympy.Rational(x.numerator, x.denominator) for x in (recurrence.A, recurrence.B, recurrence.C, recurrence.start)
    )
    if a == 0:
        return start + n * c if b == 1 else b**n * (start - c / (1 - b)) + c / (1 - b)
    y = a * start + b / 2
    if recurrence.c == 0:
        return (y ** (2**n) - b / 2) / a
    if abs(y) <= 2:
        return (2 * sympy.cos(2**n * sympy.acos(y / 2)) - b / 2) / a
    u = (y + sympy.sign(y) * sympy.sqrt(y**2 - 4)) / 2
    return (u ** (2**n) + u ** (-(2**n)) - b / 2) / a


def value(recurrence: Recurrence, solution: Solution, n: int, digits: int) -> mpmath.mpf:
    """a_n by the formula of `solution`, to about `digits` digits after cancellation; exact where the kind is."""
    extra = int(n * mpmath.log10(4 * (2 + abs(recurrence.c)))) + 10
    if solution.kind in ("linear", "periodic"):
        return real(recurrence.term(n))
    if solution.series:
        return series.value(solution.series, recurrence, n)
    if solution.rounded:
        rounding = {"floor": mpmath.floor, "ceiling": mpmath.ceil, "nearest": mpmath.nint}[solution.rounded.rounding]
        k = solution.rounded.k
        with mpmath.workdps(solution.rounded.digits):
            return rounding((k ** (2**n) - real(recurrence.B) / 2) / real(recurrence.A))
    with mpmath.workdps(digits + extra):
        y = real(recurrence.normal(recurrence.start))
        if solution.kind == "power":
            found = y ** (2**n)
        elif abs(y) <= 2:
            found = 2 * mpmath.cos(2**n * mpmath.acos(y / 2))
        else:
            u = (y + mpmath.sign(y) * mpmath.sqrt(y * y - 4)) / 2
            found = u ** (2**n) + u ** (-(2**n))
        return (found - real(recurrence.B) / 2) / real(recurrence.A)


def off(recurrence: Recurrence, solution: Solution, terms: int, digits: int) -> float:
    """The largest distance of the formula from the terms first, ..., `terms` - 1, relative where they are above 1.

    The terms are exact where that is feasible, and else computed with as many more digits as the map may cost.
    """
    size = float(mpmath.log10(4 * (2 + abs(recurrence.c))))
    with mpmath.workdps(digits + 20 + int(terms * size)):
        worst, exact, a = mpmath.mpf(0), recurrence.start, None
        for n in range(terms):
            true = real(exact) if a is None else a
            if n >= solution.first:
                worst = max(worst, abs(value(recurrence, solution, n, digits) - true) / max(1, abs(true)))
            if a is None and bits(exact) > 10_000:
                a = true
            if a is None:
                exact = recurrence.step(exact)
            else:
                a = (real(recurrence.A) * a + real(recurrence.B)) * a + real(recurrence.C)
        return float(worst)


def _cycle(recurrence: Recurrence) -> str:
    first, length = recurrence.cycle
    terms = recurrence.terms()
    known = [str(next(terms)) for _ in range(first + length)]
    before = f"{', '.join(known[:first])}, then " if first else ""
    return f"a(n) = {before}{', '.join(known[first:])} over and over"


def _back(recurrence: Recurrence, y: str) -> str:
    """What a is where y is known."""
    shift = recurrence.B / 2
    moved = y if shift == 0 else f"{y} {'-' if shift > 0 else '+'} {abs(shift)}"
    return moved if recurrence.A == 1 else f"({moved}) / {recurrence.A}"


def _series(recurrence: Recurrence, found: Series, digits: int) -> str:
    p, r, z = (mpmath.nstr(x, digits) for x in (found.p, found.r, found.z))
    power = "n" if found.first == 0 else f"(n - {found.first})"
    return (
        f"a(n) = {_back(recurrence, f'p + F(r^{power} z)')} with F(r z) = r F(z) + F(z)^2, F(z) = z + ..., "
        f"p = {p}, r = {r}, z = {z}: no elementary function"
    )
