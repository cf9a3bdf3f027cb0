"""Packed walks by torch, on a GPU or any device: the same law as `lattice.packed` of other draws."""

from __future__ import annotations

import torch

from stages.core.errors import Refusal

AT_ONCE = 2**24  # words in memory at a time


def packed(n: int, walkers: int, generator: torch.Generator) -> torch.Tensor:
    """S_n of `walkers`, int32 [walkers] on the device of `generator`, every bit of a random word of 32 a step."""
    if n < 1 or walkers < 1:
        raise Refusal(f"{walkers} walkers of {n} steps: take one of each at least")
    words, rest = divmod(n, 32)
    words += rest > 0
    some = max(1, AT_ONCE // words)
    parts = []
    for start in range(0, walkers, some):
        shape = (min(some, walkers - start), words)
        drawn = torch.randint(-(2**31), 2**31, shape, generator=generator, device=generator.device, dtype=torch.int32)
        if rest:
            drawn[:, -1] &= 2**rest - 1
        parts.append(bits(drawn).sum(1, dtype=torch.int32))
    return 2 * torch.cat(parts) - n


def bits(x: torch.Tensor) -> torch.Tensor:
    """How many bits of each int32 are set: pairs, fours and bytes are added side by side (Warren, Hacker's Delight)."""
    x = x - ((x >> 1) & 0x55555555)
    x = (x & 0x33333333) + ((x >> 2) & 0x33333333)
    x = (x + (x >> 4)) & 0x0F0F0F0F
    return (x * 0x01010101 >> 24) & 0x3F
