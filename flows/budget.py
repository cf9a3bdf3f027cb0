"""Cores and memory of one machine, shared out to stages that run side by side."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Budget:
    """What the machine has; `taken(cores, gib)` waits, first come first served, until that much is free.

    A stage that asks for more than the machine has gets the whole machine.
    """

    def __init__(self, cores: float | None = None, gib: float | None = None) -> None:
        self.cores = cores or os.cpu_count() or 1
        self.gib = gib or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
        self._free = [float(self.cores), float(self.gib)]
        self._waiting: list[object] = []
        self._changed = threading.Condition()

    @contextmanager
    def taken(self, cores: float, gib: float) -> Iterator[None]:
        """Hold `cores` and `gib` for the time of the block."""
        need, me = self._need(cores, gib), object()
        with self._changed:
            self._waiting.append(me)
            self._changed.wait_for(lambda: self._waiting[0] is me and self._fits(need))
            self._waiting.pop(0)
            self._hold(need)
        try:
            yield
        finally:
            self.give(cores, gib)

    def take(self, cores: float, gib: float) -> bool:
        """Hold so much until it is given back, if it is free and nobody waits for it."""
        with self._changed:
            fits = not self._waiting and self._fits(self._need(cores, gib))
            if fits:
                self._hold(self._need(cores, gib))
            return fits

    def give(self, cores: float, gib: float) -> None:
        """Give back what was taken."""
        with self._changed:
            self._hold([-want for want in self._need(cores, gib)])

    def _need(self, cores: float, gib: float) -> list[float]:
        return [min(cores, self.cores), min(gib, self.gib)]

    def _hold(self, need: list[float]) -> None:
        self._free = [free - want for free, want in zip(self._free, need, strict=True)]
        self._changed.notify_all()

    def _fits(self, need: list[float]) -> bool:
        return all(want <= free + 1e-9 for free, want in zip(self._free, need, strict=True))
