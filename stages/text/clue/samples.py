"""What an encoder reads: token ids in tensors, rows cut to fit, batches of texts of like length.

    [n, c, t]     n samples of c candidates (1 where a sample is one text) of t tokens, 0 after the end

A batch is as long as its longest text. The order of an epoch depends on seed and epoch alone, so that a training that
was killed goes on in the middle of one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

POOL = 32  # batches whose texts are sorted by length together

NOTHING = -1  # a target that is not known, or a cell that is none


@dataclass(frozen=True)
class Samples:
    """Samples on a device; `of` and `slices` are for reading answers back."""

    ids: torch.Tensor  # int32 [n, c, t]
    window: torch.Tensor  # int64 [n, 2]: the places a pointer may point at, from and to, beside place 0
    targets: torch.Tensor  # int64 [n], or cells (head, start, end) [n, most, 3]; NOTHING where there is none
    lengths: torch.Tensor  # int64 [n] on the CPU, of the longest candidate
    of: list[int]  # which example each is of
    slices: list[tuple[list[int], list[int]]] = field(default_factory=list)  # begins and ends of tokens from window[0]

    def __len__(self) -> int:
        return len(self.of)

    def to(self, device: torch.device) -> Samples:
        """The same on another device."""
        moved = {name: getattr(self, name).to(device) for name in ("ids", "window", "targets")}
        return replace(self, **moved)


@dataclass(frozen=True)
class Batch:
    """Some samples, cut to the longest."""

    ids: torch.Tensor  # int64 [n, c, t]
    window: torch.Tensor  # [n, 2]
    targets: torch.Tensor


def packed(
    rows: Sequence[Sequence[Sequence[int]]],
    targets: Sequence[int] | Sequence[Sequence[tuple[int, int, int]]],
    of: Sequence[int],
    windows: Sequence[tuple[int, int]] | None = None,
    slices: Sequence[tuple[list[int], list[int]]] = (),
) -> Samples:
    """Samples of token ids, a row a candidate; targets are classes, or cells of a pointer where `windows` are given."""
    most = max((len(sample) for sample in rows), default=1)
    lengths = torch.tensor([max(map(len, sample)) for sample in rows], dtype=torch.long)
    ids = np.zeros((len(rows), most, int(lengths.max()) if len(rows) else 1), dtype=np.int32)
    for held, sample in zip(ids, rows, strict=True):
        for line, row in zip(held, sample, strict=False):
            line[: len(row)] = row
    if windows is None:
        held = torch.tensor(targets, dtype=torch.long)
    else:
        cells = np.full((len(rows), max((len(each) for each in targets), default=1) or 1, 3), NOTHING)
        for line, each in zip(cells, targets, strict=True):
            line[: len(each)] = each or line[:0]
        held = torch.from_numpy(cells)
    window = torch.tensor(windows if windows else [(0, 0)] * len(rows), dtype=torch.long).view(-1, 2)
    return Samples(torch.from_numpy(ids), window, held, lengths, list(of), list(slices))


def fitted(parts: Sequence[Sequence[int]], room: int) -> list[list[int]]:
    """The parts cut at their ends until they have `room` tokens together, always the longest one first.

    >>> [len(part) for part in fitted([[1] * 9, [2] * 5, [3] * 2], 10)]
    [4, 4, 2]
    """
    sizes = [len(part) for part in parts]
    while sum(sizes) > room:
        longest = max(range(len(sizes)), key=sizes.__getitem__)
        second = max((size for i, size in enumerate(sizes) if i != longest), default=0)
        sizes[longest] -= max(1, min(sum(sizes) - room, sizes[longest] - second))
    return [list(part[:size]) for part, size in zip(parts, sizes, strict=True)]


@dataclass(frozen=True)
class Order:
    """The batches of an epoch: rows[first:last], `longest` tokens."""

    rows: torch.Tensor
    cuts: list[tuple[int, int, int]]


def order(samples: Samples, batch: int, seed: int | None, epoch: int = 0) -> Order:
    """Batches of like length in an order that seed and epoch decide; with seed None all by length, for prediction."""
    n, lengths = len(samples), samples.lengths
    if seed is None:
        rows = torch.argsort(lengths, stable=True)
        firsts = list(range(0, n, batch))
    else:
        generator = torch.Generator().manual_seed(1_000_003 * seed + epoch)
        pools = torch.randperm(n, generator=generator).split(POOL * batch)
        rows = torch.cat([pool[torch.argsort(lengths[pool], stable=True)] for pool in pools])
        firsts = [batch * i for i in torch.randperm(-(-n // batch), generator=generator).tolist()]
    longest = [int(part.max()) for part in lengths[rows].split(batch)]
    cuts = [(first, min(first + batch, n), longest[first // batch]) for first in firsts]
    return Order(rows.to(samples.ids.device), cuts)


def drawn(samples: Samples, found: Order, i: int) -> Batch:
    """Batch `i` of an order."""
    first, last, longest = found.cuts[i]
    rows = found.rows[first:last]
    return Batch(samples.ids[rows, :, :longest].long(), samples.window[rows], samples.targets[rows])
