"""Formulas by a convergent series, about a fixed point that repels or attracts.

Article: https://kexue.fm/archives/3064, which leaves logistic growth open; Poincare 1890 and Koenigs 1884.

    y = p + a at a fixed point p, with multiplier r = 2 p:        a_{n+1} = r a_n + a_n^2
    F(z) = sum_k f_k z^k,  f_1 = 1,  f_k = sum_{0 < j < k} f_j f_{k-j} / (r^k - r)        F(r z) = r F(z) + F(z)^2

    a_n = F(r^n z_0)        |r| > 1: z_0 = lim r^m g^m(a_0),  g(a) = 2 a / (r + sqrt(r^2 + 4 a)) the way back to p
                        0 < |r| < 1: z_0 = lim a_m / r^m

F is entire where p repels: z is brought near 0 by powers of r, and the map is applied as often. The number: logistic
growth a + α a - a^2 for α = 0.1 to 2.5 is within 1e-15 of the terms after 60 steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import mpmath

from stages.classic.recurrences.quadratic import Recurrence, real

NEAR = 0.05  # |z| over |r (1 - |r|)|, the size of f_1 / f_2, for which the series is summed
GUARD = 15  # digits beyond those that are asked for


@dataclass(frozen=True)
class Series:
    """a_n = (p + F(r^(n - first) z) - B / 2) / A for n >= `first`."""

    kind: str  # poincare_series or koenigs
    p: mpmath.mpf
    r: mpmath.mpf
    z: mpmath.mpf
    first: int
    digits: int


def fixed_points(c: Fraction) -> tuple[mpmath.mpf, mpmath.mpf]:
    """The larger and the smaller of the real p = p^2 + c; c is at most 1/4."""
    root = mpmath.sqrt(1 - 4 * real(c))
    return (1 + root) / 2, (1 - root) / 2


def poincare(recurrence: Recurrence, digits: int, terms: int) -> Series | None:
    """The formula about the larger fixed point, which repels; None for c >= 1/4, which has none.

    It holds from the first y >= c on, the way back being real there: from n = 1 at the latest. The terms up to
    n = `terms` come out to `digits` digits, near p's error growing by r a step.
    """
    if recurrence.c >= Fraction(1, 4):
        return None
    y, first = recurrence.normal(recurrence.start), 0
    if y < recurrence.c:
        y, first = y * y + recurrence.c, 1
    size = mpmath.log10(4 * max(1, abs(real(recurrence.c)) + 1))
    whole = digits + GUARD + int(terms * size)
    with mpmath.workdps(whole):
        p = fixed_points(recurrence.c)[0]
        r = 2 * p
        a, z = real(y) - p, mpmath.mpf(0)
        steps = int(whole / mpmath.log10(r)) + 2
        for _ in range(steps):
            a = 2 * a / (r + mpmath.sqrt(r * r + 4 * a))
        z = a * r**steps
        return Series("poincare_series", p, r, z, first, whole)


def koenigs(recurrence: Recurrence, digits: int) -> Series | None:
    """The formula about the smaller fixed point where it attracts, -3/4 < c < 1/4 and c != 0, and the orbit comes."""
    c = recurrence.c
    if not Fraction(-3, 4) < c < Fraction(1, 4) or c == 0:
        return None
    whole = digits + 2 * GUARD
    with mpmath.workdps(whole):
        p = fixed_points(c)[1]
        r, a = 2 * p, real(recurrence.normal(recurrence.start)) - p
        first = 0
        while abs(a) > _near(r):  # into the disc of the series
            a, first = r * a + a * a, first + 1
            if first > 100_000 or abs(a) > 10:
                return None
        start, z = first, a
        factor = mpmath.mpf(1)
        while abs(a) > mpmath.mpf(10) ** -whole:
            a, factor = r * a + a * a, factor / r
            z = a * factor
        return Series("koenigs", p, r, z, start, whole)


def value(series: Series, recurrence: Recurrence, n: int) -> mpmath.mpf:
    """a_n by the formula."""
    with mpmath.workdps(series.digits):
        z, back = series.z * series.r ** (n - series.first), 0
        if series.kind == "poincare_series":
            while abs(z) > _near(series.r):
                z, back = z / series.r, back + 1
        a = total(series.r, z)
        for _ in range(back):
            a = series.r * a + a * a
        return (series.p + a - real(recurrence.B) / 2) / real(recurrence.A)


def total(r: mpmath.mpf, z: mpmath.mpf) -> mpmath.mpf:
    """F(z), to the working precision."""
    f, found, power = [mpmath.mpf(0), mpmath.mpf(1)], +z, +z
    least = mpmath.mpf(10) ** (-mpmath.mp.dps)
    while True:
        k = len(f)
        f.append(mpmath.fdot(f[1:k], f[k - 1 : 0 : -1]) / (r**k - r))
        power *= z
        found += f[k] * power
        if k > 2 and abs(f[k] * power) <= least * max(abs(found), least):
            return found


def _near(r: mpmath.mpf) -> mpmath.mpf:
    return NEAR * abs(r * (1 - abs(r)))
