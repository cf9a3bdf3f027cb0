"""How many threads torch works with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

TINY = 16
"""Pixels a side of images that one thread is fastest with."""


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread for small tensors: two that wait for each other cost five times on cores that others use too."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def suited(image: tuple[int, int, int]) -> Iterator[None]:
    """One thread for images (channels, height, width) that are tiny; otherwise all that there are."""
    if max(image[1:]) <= TINY:
        with one_thread():
            yield
    else:
        yield
