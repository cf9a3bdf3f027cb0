"""Params of the training of the edge cost."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """Params of the network: pixels on each side of a cut that it sees, channels, and numbers to every two pixels."""

    columns: int
    channels: int
    codes: int


@dataclass(frozen=True)
class Training:
    """Params of the training: a page a step, the rate of AdamW up over `warm_up` steps and down to 0."""

    steps: int
    rate: float
    warm_up: int
    device: str
    bf16: bool
    compile: bool


@dataclass(frozen=True)
class Learning:
    """Params: how many made pages (halves of each script) to learn from, how many more for w, and their seed."""

    pages: int
    sheets: int
    seed: int
    network: Size
    training: Training
