"""Data sets of sequences in memory, as stages/corpora/sequences writes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from stages.core import files
from stages.core.errors import Refusal, one_line


@dataclass(frozen=True)
class Sequences:
    """A data set of sequences on a device."""

    train: torch.Tensor  # int16 [n, length], 0 from the end on
    test: torch.Tensor
    train_labels: torch.Tensor  # int64 [n], -1 where unknown
    test_labels: torch.Tensor
    symbols: Sequence[str]  # of the numbers, "" first
    entropies: dict[str, float]  # that are known, nats


def load(folder: Path, device: torch.device | str = "cpu") -> Sequences:
    """The data set in `folder`; raises `Refusal` where it is missing or broken."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    told = files.read_json(folder / "dataset.json")
    try:
        held = {name: value.to(device) for name, value in load_file(folder / "sequences.safetensors").items()}
        return Sequences(**held, symbols=told["symbols"], entropies=told["entropies"])
    except (OSError, KeyError, TypeError, SafetensorError) as error:
        raise Refusal(f"{folder} is no data set of sequences: {one_line(error)}; make it again") from error
