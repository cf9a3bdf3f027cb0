"""Counting more 64-bit keys than memory holds: partition, spill, sort, and count each partition alone.

    partition(key) = high bits of (key >> shift) * odd constant        (multiplicative hashing, Knuth 6.4)

Equal keys, and all keys that agree above bit `shift`, meet in one partition; no partition is much larger than
another, because the hash does not care which prefixes are frequent. Each chunk writes one file in which the
partitions are slices. The number: bytes on disk are 8 a key, memory is one partition a worker, at any corpus size.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stages.core.params import Choices

ODD = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio


@dataclass(frozen=True)
class Spilled:
    """Keys of one chunk on disk: partition p is `path`[offsets[p] : offsets[p + 1]]."""

    path: Path
    offsets: np.ndarray


def spill(keys: np.ndarray, shift: int, partitions: int, path: Path) -> Spilled:
    """Write `keys` (uint64) to `path`, grouped by partition; `partitions` is a power of two up to 65536."""
    bits = partitions.bit_length() - 1
    if bits == 0:
        keys.tofile(path)
        return Spilled(path, np.array([0, keys.size]))
    part = (((keys >> np.uint64(shift)) * ODD) >> np.uint64(64 - bits)).astype(np.uint8 if bits <= 8 else np.uint16)
    keys[np.argsort(part, kind="stable")].tofile(path)  # a radix sort, because `part` is narrow
    return Spilled(path, np.concatenate([[0], np.cumsum(np.bincount(part, minlength=partitions))]))


def gather(files: list[Spilled], partition: int) -> np.ndarray:
    """All keys of one partition, [n] uint64, unordered."""
    sizes = [int(file.offsets[partition + 1] - file.offsets[partition]) for file in files]
    keys, end = np.empty(sum(sizes), dtype=np.uint64), 0
    for file, size in zip(files, sizes, strict=True):
        begin, end = end, end + size
        offset = int(file.offsets[partition]) * keys.itemsize
        keys[begin:end] = np.fromfile(file.path, dtype=np.uint64, count=size, offset=offset)
    return keys


def numpy_distinct(keys: np.ndarray, device: str = "cpu") -> tuple[np.ndarray, np.ndarray]:
    """The distinct keys, ascending, and how often each occurs (int64); sorts `keys` in place."""
    keys.sort()
    first = np.empty(keys.size, dtype=bool)
    first[:1] = True
    np.not_equal(keys[1:], keys[:-1], out=first[1:])
    starts = np.flatnonzero(first)
    return keys[starts], np.diff(starts, append=keys.size)


def torch_distinct(keys: np.ndarray, device: str = "auto") -> tuple[np.ndarray, np.ndarray]:
    """As `numpy_distinct`, sorted by torch on `device` ("auto" takes CUDA where there is one)."""
    import torch

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    sign = np.uint64(1 << 63)  # torch sorts signed numbers: the flipped sign bit keeps the order
    signed = torch.from_numpy((keys ^ sign).view(np.int64)).to(device)
    distinct, counts = torch.unique_consecutive(torch.sort(signed).values, return_counts=True)
    return distinct.cpu().numpy().view(np.uint64) ^ sign, counts.cpu().numpy()


BACKENDS: Choices = {"numpy": numpy_distinct, "torch": torch_distinct}
