"""Sentences as numbers, a character each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import torch

PAD, UNKNOWN = 0, 1
FIRST = 2  # number of the first character


def alphabet(texts: Iterable[str], most: int) -> list[str]:
    """The `most` most frequent characters of `texts`; equals by code."""
    counts = Counter(character for text in texts for character in text)
    return sorted(counts, key=lambda character: (-counts[character], character))[:most]


def numbered(texts: Sequence[str], characters: Sequence[str], length: int) -> torch.Tensor:
    """`texts` as int64 [n, length]: numbers from FIRST on, UNKNOWN for others, then PAD; what is longer is cut.

    An empty text is one UNKNOWN, so that every sentence has something to be read.
    """
    number = {character: i for i, character in enumerate(characters, FIRST)}
    rows = np.full((len(texts), length), PAD)
    for row, text in zip(rows, texts, strict=True):
        found = [number.get(character, UNKNOWN) for character in text[:length]] or [UNKNOWN]
        row[: len(found)] = found
    return torch.from_numpy(rows)
