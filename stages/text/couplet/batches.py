"""Couplets in batches of one length, so that nothing is padded and no network needs to know what is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from stages.text.couplet.vocabulary import Vocabulary


class Buckets:
    """Pairs of lines by their length, whatever lengths there are, as int64 [n, t] on a device."""

    def __init__(self, first: Sequence[str], second: Sequence[str], known: Vocabulary, device: torch.device) -> None:
        self.rows = by_length(first)  # which pairs lie where
        lines = (first, second)
        self.pairs = [
            torch.tensor([[known.encode(line[i]) for i in rows] for line in lines]).to(device)  # [2, n, t]
            for rows in self.rows
        ]
        self.counts = torch.tensor([float(len(rows)) for rows in self.rows])

    def draw(self, size: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """`size` pairs of a length drawn in proportion to how many pairs have it; `generator` is of the CPU."""
        bucket = self.pairs[int(torch.multinomial(self.counts, 1, generator=generator))]
        drawn = torch.randint(bucket.shape[1], (size,), generator=generator).to(bucket.device)
        first, second = bucket[:, drawn]
        return first, second


def by_length(lines: Sequence[str]) -> list[np.ndarray]:
    """The numbers of the lines of each length that occurs, short ones first."""
    lengths = np.fromiter((len(line) for line in lines), int, len(lines))
    return [np.flatnonzero(lengths == length) for length in np.unique(lengths)]


def chunks(lines: Sequence[str], most: int) -> Iterator[np.ndarray]:
    """The same in parts of about `most` characters."""
    for rows in by_length(lines):
        size = max(1, most // max(1, len(lines[rows[0]])))
        yield from (rows[start : start + size] for start in range(0, len(rows), size))
