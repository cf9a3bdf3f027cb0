"""Counting more 64-bit keys than memory holds: partition, spill, sort, and count each partition alone.

    partition(key) = high bits of (key >> shift) * odd constant        (multiplicative hashing, Knuth 6.4)

Equal keys, and all keys that agree above bit `shift`, meet in one partition; no partition is much larger than
another, because the hash does not care which prefixes are frequent. Each chunk writes one file in which the
partitions are slices. The number: bytes on disk are 8 a key, memory is one partition a worker, at any corpus size.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from stages.core.params import Choices

ODD = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio


def spill(keys: np.ndarray, shift: int, partitions: int, path: Path) -> Path:
    """Write `keys` (uint64) to `path`, grouped by partition; `partitions` is a power of two up to 65536.

    The file starts with the places [partitions + 1] int64 where the partitions begin among the keys.
    """
    bits = partitions.bit_length() - 1
    part = (((keys >> np.uint64(shift)) * ODD) >> np.uint64(64 - max(bits, 1))).astype(
        np.uint8 if bits <= 8 else np.uint16
    )
    if bits == 0:
        part[:] = 0
    places = np.zeros(partitions + 1, dtype=np.int64)
    np.cumsum(np.bincount(part, minlength=partitions), out=places[1:])
    with path.open("wb") as file:
        places.tofile(file)
        keys[np.argsort(part, kind="stable")].tofile(file)  # a radix sort, because `part` is narrow
    return path


def gather(files: Sequence[Path], partitions: int, partition: int) -> np.ndarray:
    """All keys of one partition, [n] uint64, unordered."""
    found = []
    for path in files:
        with path.open("rb") as file:
            begin, end = np.fromfile(file, np.int64, 2, offset=8 * partition).tolist()
            file.seek(8 * (partitions + 1 + begin))
            found.append(np.fromfile(file, np.uint64, end - begin))
    return np.concatenate([np.empty(0, np.uint64), *found])


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

    from stages.core import devices

    sign = np.uint64(1 << 63)  # torch sorts signed numbers: the flipped sign bit keeps the order
    signed = torch.from_numpy((keys ^ sign).view(np.int64)).to(devices.pick(device))
    distinct, counts = torch.unique_consecutive(torch.sort(signed).values, return_counts=True)
    return distinct.cpu().numpy().view(np.uint64) ^ sign, counts.cpu().numpy()


BACKENDS: Choices = {"numpy": numpy_distinct, "torch": torch_distinct}
