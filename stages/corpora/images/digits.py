"""The 1,797 written digits of 8x8 pixels that scikit-learn carries: the data set that needs no download.

Source: https://archive.ics.uci.edu/dataset/80 (the test part of Alpaydin and Kaynak's optical digits).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stages.core.errors import Refusal
from stages.core.systems import Findings
from stages.corpora.images.dataset import Part, save

WHITE = 16
"""The greatest value of a pixel there: each counts the ink in 4x4 finer ones."""


@dataclass(frozen=True)
class Digits:
    """Params of the digits."""

    test: int  # images, every class in proportion
    seed: int


def digits(source: Path | None, params: Digits, out: Path) -> Findings:
    """Write the digits, 0..16 scaled to 0..255, to `out`; `source` is not used.

    Raises `Refusal` for a test part out of range.
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    found = load_digits()
    n, classes = len(found.target), len(found.target_names)
    if not classes <= params.test <= n - classes:
        raise Refusal(f"params.yaml: test is {params.test}, but {classes} to {n - classes} of the {n} digits can be it")
    pixels = np.rint(found.images[:, None] * (255 / WHITE)).astype(np.uint8)  # [n, 1, 8, 8]
    rows = np.arange(n)
    rows = train_test_split(rows, test_size=params.test, stratify=found.target, random_state=params.seed)
    whole = Part(pixels, found.target.astype(np.int64))
    train, test = (whole.at(np.sort(part)) for part in rows)
    return save(train, test, [str(name) for name in found.target_names], "scikit-learn's digits", out)
