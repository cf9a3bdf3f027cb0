"""Quadratic recurrences, exactly: terms, the normal form, cycles.

Article: https://kexue.fm/archives/3064.

    a_{n+1} = A a_n^2 + B a_n + C        y = A a + B / 2        y_{n+1} = y_n^2 + c,  c = A C + B / 2 - B^2 / 4

The number: of 100 random (A, B, C, a_0) the terms and those of the normal form are each other's images, exactly.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import mpmath

from stages.core.errors import Refusal
from stages.core.progress import say

MOST_BITS = 4_000_000
"""Of a term that is computed: a million digits."""


@dataclass(frozen=True)
class Recurrence:
    """a_{n+1} = A a_n^2 + B a_n + C from a_0, rational numbers."""

    A: Fraction
    B: Fraction
    C: Fraction
    start: Fraction

    def __post_init__(self) -> None:
        if self.A == 0 and self.B == 0:
            raise Refusal("A and B are both 0: every term but the first is C, which is no recurrence")

    def step(self, a: Fraction) -> Fraction:
        """The term after `a`."""
        return (self.A * a + self.B) * a + self.C

    def terms(self) -> Iterator[Fraction]:
        """a_0, a_1, ...; raises `Refusal` where one would have more than a million digits."""
        a = self.start
        while True:
            yield a
            a = self.step(a)
            if bits(a) > MOST_BITS:
                raise Refusal("the next term has more than a million digits: ask for fewer terms")

    def term(self, n: int) -> Fraction:
        """a_n; raises `Refusal` for n < 0, and where it has more than a million digits."""
        if n < 0:
            raise Refusal(f"terms are numbered from 0 on, and {n} is less")
        if self.A == 0:
            return self._linear(n)
        seen: dict[Fraction, int] = {}
        for i, a in enumerate(self.terms()):
            if i == n:
                return a
            if a in seen:  # round and round
                first = seen[a]
                return list(seen)[first + (n - first) % (i - first)]
            if bits(a) <= self.repeating:
                seen[a] = i
        raise AssertionError("terms do not end")

    def _linear(self, n: int) -> Fraction:
        if self.B == 1:
            return self.start + n * self.C
        if n * max(bits(self.B), 1) > MOST_BITS and abs(self.B) != 1:
            raise Refusal(f"term {n} may have more than a million digits: ask for an earlier one")
        rest = self.C / (1 - self.B)
        return self.B**n * (self.start - rest) + rest

    @cached_property
    def c(self) -> Fraction:
        """c of the normal form."""
        return self.A * self.C + self.B / 2 - self.B**2 / 4

    def normal(self, a: Fraction) -> Fraction:
        """y of a."""
        return self.A * a + self.B / 2

    @cached_property
    def integer(self) -> bool:
        """Whether all terms are integers, told by the numbers that are given."""
        return all(each.denominator == 1 for each in (self.A, self.B, self.C, self.start))

    @cached_property
    def repeating(self) -> int:
        """Bits beyond which a term cannot come back: from there each has about twice as many as the last."""
        return 64 + 8 * sum(bits(each) for each in (self.A, self.B, self.C, self.start))

    @cached_property
    def cycle(self) -> tuple[int, int] | None:
        """(first term that comes back, after how many steps); None where none does. Exact for rational numbers."""
        if self.A == 0:
            if self.B == -1 or self.start == self.step(self.start):
                return (0, 1 if self.start == self.step(self.start) else 2)
            return None
        seen: dict[Fraction, int] = {}
        for i, a in enumerate(self.terms()):
            if a in seen:
                return seen[a], i - seen[a]
            if bits(a) > self.repeating:
                return None
            seen[a] = i
        return None


def bits(x: Fraction) -> int:
    """The length of the longer of numerator and denominator."""
    return max(abs(x.numerator).bit_length(), x.denominator.bit_length())


def real(x: Fraction) -> mpmath.mpf:
    """`x` to the working precision."""
    return mpmath.mpf(x.numerator) / x.denominator


def number(text: str | float | Fraction, name: str = "a number") -> Fraction:
    """A rational number from "3", "-1/4", "0.1" (one tenth, exactly), an int, a Fraction or, said aloud, a float.

    Raises `Refusal` for what is none, such as a complex number.
    """
    if isinstance(text, float):
        say(f"{name} is the float {text!r}: it is taken for the decimal number that it prints as")
    try:
        return Fraction(repr(text)) if isinstance(text, float) else Fraction(text)
    except (ValueError, TypeError, ZeroDivisionError) as error:
        raise Refusal(f"{name} is {text!r}, but it must be a real number such as 3, -1/4 or 0.1") from error
