"""Grey images stacked by threes as the channels of one: ten classes become a thousand, for counting lost modes.

Source: Kumar et al. 2019 (https://arxiv.org/abs/1901.08508), after https://arxiv.org/abs/1611.02163; evaluated in
stages/gan/stacks.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from stages.core.errors import Refusal
from stages.core.systems import Findings
from stages.corpora.images.dataset import Part, load, save


@dataclass(frozen=True)
class Stacked:
    """Params of the stacks."""

    train: int  # stacks of training images
    test: int  # of test images
    seed: int


def stacked(source: Path | None, params: Stacked, out: Path) -> Findings:
    """Write stacks of images of the data set `source` to `out`; the class (a, b, c) of k is (a k + b) k + c.

    Raises `Refusal` without a data set of grey images whose classes are all known, and for counts below 1.
    """
    if source is None:
        raise Refusal("params.yaml: stacks need an `input`, a data set of grey images")
    if params.train < 1 or params.test < 1:
        raise Refusal(f"params.yaml: train is {params.train} and test is {params.test}: both must be at least 1")
    data = load(source)
    if data.train.images.shape[1] != 1 or min(data.train.labels.min(), data.test.labels.min()) < 0:
        raise Refusal(f"{source} has images with colours or without labels: only grey ones of known class are stacked")
    draw = np.random.default_rng(params.seed)
    train, test = (
        _stack(part, draw.integers(len(part.labels), size=(size, 3)), len(data.names))
        for part, size in ((data.train, params.train), (data.test, params.test))
    )
    return save(train, test, [" ".join(three) for three in product(data.names, repeat=3)], f"threes of {source}", out)


def _stack(part: Part, rows: np.ndarray, classes: int) -> Part:
    """The images at `rows` [n, 3] as channels."""
    first, second, third = part.labels[rows].T
    return Part(part.images[rows, 0], (first * classes + second) * classes + third)
