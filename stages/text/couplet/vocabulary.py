"""Lines of couplets as numbers, a character each; what is no Chinese character stands in both lines as it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

UNKNOWN = 0
FIRST = 1  # number of the first character

IDEOGRAPHS = 20_992
"""Characters of Unicode's first block of them, U+4E00 to U+9FFF: among so many an unknown one is guessed."""


def han(character: str) -> bool:
    """Whether it is a Chinese character, those of the rarer blocks included."""
    return (
        "㐀" <= character <= "䶿" or "一" <= character <= "鿿" or "豈" <= character <= "﫿" or character >= "\U00020000"
    )


class Vocabulary:
    """The characters that a network knows; the numbers of others are UNKNOWN."""

    def __init__(self, characters: Sequence[str]) -> None:
        self.characters = list(characters)
        self.number = {character: i for i, character in enumerate(self.characters, FIRST)}

    @staticmethod
    def of(lines: Iterable[str], least: int) -> Vocabulary:
        """Characters that occur `least` times and more in `lines`, frequent ones first, equals by code."""
        counts = Counter(character for line in lines for character in line)
        kept = [character for character, count in counts.items() if count >= least]
        return Vocabulary(sorted(kept, key=lambda character: (-counts[character], character)))

    def __len__(self) -> int:
        """Classes: the characters and the unknown one."""
        return len(self.characters) + FIRST

    def encode(self, line: str) -> list[int]:
        """The numbers of its characters."""
        return [self.number.get(character, UNKNOWN) for character in line]

    def decode(self, numbers: Iterable[int]) -> str:
        """The characters of numbers from FIRST on."""
        return "".join(self.characters[i - FIRST] for i in numbers)

    @property
    def barred(self) -> np.ndarray:
        """Which classes no second line is written with, bool [classes]: the unknown one and what is no Chinese."""
        return np.array([True, *(not han(character) for character in self.characters)])
