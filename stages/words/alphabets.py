"""Alphabets: which characters words are made of; every other character ends a piece of text.

Articles: https://kexue.fm/archives/6920 and https://kexue.fm/archives/4256, which cut the text at every run of
characters outside U+4E00-U+9FA5, ASCII digits and ASCII letters ("cjk" below).

The number: with "cjk_all" a term written with characters beyond the BMP is counted like any other (a 𠮷野家 survives).
"""

from __future__ import annotations

import numpy as np

from stages.core.params import Choices, choose

Ranges = tuple[tuple[int, int], ...]
"""Inclusive ranges of code points."""

DIGITS: Ranges = ((0x30, 0x39),)
LETTERS: Ranges = ((0x41, 0x5A), (0x61, 0x7A))
HAN: Ranges = ((0x4E00, 0x9FA5),)
FULL_WIDTH: Ranges = ((0xFF10, 0xFF19), (0xFF21, 0xFF3A), (0xFF41, 0xFF5A))
# Unified ideographs with extensions A to I, compatibility ideographs, 〇 and the iteration mark 々.
HAN_ALL: Ranges = (
    (0x3005, 0x3007),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2EE5D),
    (0x2F800, 0x2FA1F),
    (0x30000, 0x323AF),
)

ALPHABETS: Choices = {
    "han": HAN,
    "cjk": HAN + DIGITS + LETTERS,
    "cjk_full_width": HAN + DIGITS + LETTERS + FULL_WIDTH,
    "cjk_all": HAN_ALL + DIGITS + LETTERS + FULL_WIDTH,
}


def members(name: str) -> np.ndarray:
    """Truth of each code point, [0x110000] bool: is it in the alphabet `name`?  Raises `Refusal` for other names."""
    inside = np.zeros(0x110000, dtype=bool)
    for first, last in choose(ALPHABETS, name, "alphabet"):
        inside[first : last + 1] = True
    return inside
