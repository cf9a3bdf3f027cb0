"""Orbits that escape are powers of one constant, rounded.

Article: https://kexue.fm/archives/3064; paper: Aho & Sloane 1973 (Fibonacci Quarterly 11, 429-437).

    k = y_0 prod_{i >= 0} (1 + c / y_i^2)^(2^-(i + 1))        y_n = k^(2^n) exp(-r_n)
    r_n = sum_{j >= 0} 2^-(j + 1) log(1 + c / y_{n + j}^2)        k^(2^n) - y_n = c / (2 y_n) + O(y_n^-3)

k begins at the first y above (1 + sqrt(1 + 4 |c|)) / 2, and is the 2^n-th root of what begins there. To round right,
k needs 2^n log10 k + n log10 2 digits and some more; to round down or up twice the first, since the gap is c / (2 y_n).
The number: for a_0 = c = 1, k = 1.502836801049756499752936..., and floor(k^(2^n)) is a_n for every n.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import log10

import mpmath

from stages.classic.recurrences.quadratic import Recurrence, real

STEPS = 2000  # that an orbit is followed to see whether it escapes
SURE = Fraction(1, 4)  # a gap from which on all later ones are smaller, and of the same sign


@dataclass(frozen=True)
class Rounded:
    """a_n = `rounding`((k^(2^n) - B / 2) / A) from n = `first` on."""

    k: mpmath.mpf
    rounding: str  # floor, ceiling or nearest
    first: int
    digits: int  # of k that are right


def escapes(recurrence: Recurrence) -> int | None:
    """The first n with y_n > (1 + sqrt(1 + 4 |c|)) / 2; None where the orbit stays, or did for STEPS steps.

    By theorem for -2 <= c <= 1/4, where [-b, b], b = (1 + sqrt(1 - 4 c)) / 2, is mapped into itself.
    """
    c, y = recurrence.c, recurrence.normal(recurrence.start)
    if -2 <= c <= Fraction(1, 4) and (2 * abs(y) - 1 <= 0 or (2 * abs(y) - 1) ** 2 <= 1 - 4 * c):
        return None
    far = (1 + (1 + 4 * abs(float(c))) ** 0.5) / 2
    with mpmath.workdps(60 + int(STEPS * log10(2 * far))):  # an error grows by 2 |y| a step
        point, number = real(y), real(c)
        far = (1 + mpmath.sqrt(1 + 4 * abs(number))) / 2
        for n in range(STEPS):
            if point > far:
                return n
            point = point * point + number
    return None


def constant(recurrence: Recurrence, begin: int, digits: int) -> mpmath.mpf:
    """k to `digits` significant digits, as the limit of y_n^(2^-n), for an orbit that has escaped at `begin`."""
    with mpmath.workdps(digits + 15):
        c, n = real(recurrence.c), begin
        exact = begin < 8  # beyond, the numbers of the exact orbit grow too long
        y = real(recurrence.normal(recurrence.term(begin))) if exact else _later(recurrence, begin, digits)
        while abs(c) > mpmath.mpf(10) ** (-digits - 10) * y * y:
            y, n = y * y + c, n + 1
        for _ in range(n):  # roots are cheap, logarithms of thousands of digits are not
            y = mpmath.sqrt(y)
        return y


def _later(recurrence: Recurrence, begin: int, digits: int) -> mpmath.mpf:
    """y at `begin` by floating point: an error doubles at most (4 |y|)-fold a step before the orbit leaves."""
    c, y = recurrence.c, recurrence.normal(recurrence.start)
    far = 4 * (1 + abs(c) + abs(y))
    with mpmath.workdps(digits + 30 + int(begin * log10(far))):
        point, number = real(y), real(c)
        for _ in range(begin):
            point = point * point + number
        return point


def digits_needed(log10_k: float, n: int, rounding: str) -> int:
    """Digits of k by which its power rounds to a_n: an error of k grows to 2^n k^(2^n) times its size relative to k."""
    power = 2**n * log10_k
    return int((power if rounding == "nearest" else 2 * power) + n * log10(2)) + 3


def gaps(recurrence: Recurrence, k: mpmath.mpf, terms: int, digits: int) -> list[mpmath.mpf]:
    """(k^(2^n) - B / 2) / A - a_n for n = 0, ..., `terms` - 1, k having `digits` digits."""
    found, all_terms = [], recurrence.terms()
    with mpmath.workdps(digits):
        for n in range(terms):
            found.append((k ** (2**n) - real(recurrence.B) / 2) / real(recurrence.A) - real(next(all_terms)))
    return found


def rounded(recurrence: Recurrence, digits: int) -> Rounded | None:
    """How the terms of an integer orbit are rounded powers, and k to `digits`; None where it stays bounded.

    The rounding is the one that holds from the earliest term on. From the last gap looked at, which is below SURE,
    gaps only shrink: then rounding down or up holds for ever by their sign, and rounding to the nearest anyway.
    """
    begin = escapes(recurrence)
    if begin is None:
        return None
    terms = begin + 2
    rough = constant(recurrence, begin, 30)
    with mpmath.workdps(30):
        while real(abs(recurrence.c)) / (2 * rough ** (2 ** (terms - 1)) * abs(real(recurrence.A))) > real(SURE) / 2:
            terms += 1
        size = float(mpmath.log10(max(rough, 2)))
    enough = max(digits, digits_needed(size, terms, "floor") + 10)
    k = constant(recurrence, begin, enough)
    each = gaps(recurrence, k, terms, enough)
    holds = {
        "floor": [0 <= gap < 1 for gap in each],
        "ceiling": [-1 < gap <= 0 for gap in each],
        "nearest": [abs(gap) < mpmath.mpf(1) / 2 for gap in each],
    }
    first = {name: _from(right) for name, right in holds.items()}
    rounding = min(first, key=lambda name: (first[name], list(first).index(name)))
    return Rounded(k, rounding, first[rounding], enough)


def _from(right: list[bool]) -> int:
    """The first place from which all are."""
    return next((n + 1 for n in reversed(range(len(right))) if not right[n]), 0)
