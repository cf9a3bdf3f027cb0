"""Walks of steps +1 and -1, by four ways that cost less and less.

Articles: https://kexue.fm/archives/2573, https://kexue.fm/archives/2609.

    P(S_n = k) = C(n, (n + k) / 2) / 2^n    for k of the parity of n

`paths` keeps all places, `running` the present ones, `packed` counts the bits of random words (64 steps a word), and
`endpoints` draws the end at once. The number: a thousand million walker-steps a second and core, packed.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from stages.core.errors import Refusal

AT_ONCE = 2**17  # words that are counted at a time: they stay in the cache


def endpoints(n: int, walkers: int, generator: np.random.Generator) -> np.ndarray:
    """S_n of `walkers`, int64 [walkers], by one binomial draw each."""
    _checked(n, walkers)
    return 2 * generator.binomial(n, 0.5, walkers) - n


def packed(n: int, walkers: int, generator: np.random.Generator) -> np.ndarray:
    """S_n of `walkers`, int32 [walkers], every bit of a random word a step."""
    _checked(n, walkers)
    words, rest = divmod(n, 64)
    words += rest > 0
    last = np.uint64(2**rest - 1 if rest else 2**64 - 1)
    ups, some = np.empty(walkers, dtype=np.int32), max(1, AT_ONCE // max(words, 1))
    for start in range(0, walkers, some):
        part = ups[start : start + some]
        drawn = generator.bit_generator.random_raw(len(part) * words).reshape(len(part), words)
        if words:
            drawn[:, -1] &= last
        np.bitwise_count(drawn).sum(1, dtype=np.int32, out=part)
    return 2 * ups - n


def running(n: int, walkers: int, generator: np.random.Generator, dimension: int = 1) -> Iterator[np.ndarray]:
    """The places after 0, 1, ..., n steps, int [walkers] or [walkers, dimension]: one array that changes in place.

    In several dimensions a step goes along one axis at random, on the cubic lattice. A place takes two bytes as long as
    n fits them, else four.
    """
    _checked(n, walkers)
    place = np.zeros((walkers, dimension) if dimension > 1 else walkers, dtype=np.int16 if n < 2**15 else np.int32)
    rows = np.arange(walkers)
    yield place
    for _ in range(n):
        sign = _signs(walkers, generator)
        if dimension == 1:
            np.add(place, sign, out=place, casting="unsafe")
        else:
            place[rows, generator.integers(dimension, size=walkers)] += sign
        yield place


def paths(n: int, walkers: int, generator: np.random.Generator, dimension: int = 1) -> np.ndarray:
    """All places, int [n + 1, walkers] or [n + 1, walkers, dimension]."""
    return np.stack([place.copy() for place in running(n, walkers, generator, dimension)])


def highest(n: int, walkers: int, generator: np.random.Generator) -> np.ndarray:
    """max_{m <= n} S_m, [walkers]."""
    found = np.zeros(walkers, dtype=np.int32)
    for place in running(n, walkers, generator):
        np.maximum(found, place, out=found)
    return found


def positive_time(n: int, walkers: int, generator: np.random.Generator) -> np.ndarray:
    """How many of n steps lie on the positive side, int32 [walkers]: from or to a place above 0."""
    found, last = np.zeros(walkers, dtype=np.int32), None
    for place in running(n, walkers, generator):
        if last is not None:
            found += (place > 0) | (last > 0)
        last = place.copy()
    return found


def ruined(p: float, a: int, b: int, walkers: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Which walkers hit a before -b by steps up with probability p, [walkers], and after how many steps, [walkers]."""
    _checked(0, walkers)
    if not 0 < p < 1 or a < 1 or b < 1:
        raise Refusal(f"steps up with probability {p} between {-b} and {a}: take 0 < p < 1, and both ends off 0")
    won, after = np.zeros(walkers, dtype=bool), np.zeros(walkers, dtype=np.int64)
    left, place, n = np.arange(walkers), np.zeros(walkers, dtype=np.int32), 0
    while len(left):
        place += np.where(generator.random(len(left)) < p, 1, -1).astype(np.int32)
        n += 1
        over = (place == a) | (place == -b)
        won[left[over]], after[left[over]] = place[over] == a, n
        left, place = left[~over], place[~over]
    return won, after


def _signs(walkers: int, generator: np.random.Generator) -> np.ndarray:
    """+1 and -1, int8 [walkers], from the bits of random words."""
    bits = np.unpackbits(generator.bit_generator.random_raw(-(-walkers // 64)).view(np.uint8), count=walkers)
    return (bits << 1).view(np.int8) - np.int8(1)


def _checked(n: int, walkers: int) -> None:
    if n < 0 or walkers < 1:
        raise Refusal(f"{walkers} walkers of {n} steps: take one walker at least, and no negative steps")
    if n >= 2**31:
        raise Refusal(f"{n} steps do not fit into 32 bits: take fewer than {2**31}")
