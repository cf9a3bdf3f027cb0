"""Progress that a person sees: a bar on a terminal, a plain line now and then in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import Protocol, TypeVar

T = TypeVar("T")

SECONDS_BETWEEN_LINES = 10.0


class Advance(Protocol):
    """What `counting` yields: call it with how much more is done, and perhaps a short note."""

    def __call__(self, amount: float = 1, note: str = "") -> None: ...


@contextmanager
def counting(what: str, total: float | None = None, unit: str = "") -> Iterator[Advance]:
    """A counter of work done, `total` in `unit` (None where it is not known): rich's bar, or a line each 10 s."""
    if sys.stderr.isatty():
        yield from _bar(what, total, unit)
    else:
        yield from _lines(what, total, unit)


def track(items: Iterable[T], what: str, total: float | None = None, unit: str = "") -> Iterator[T]:
    """`items` one by one, counted as they pass."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    with counting(what, total, unit) as advance:
        for item in items:
            yield item
            advance()


def say(sentence: str) -> None:
    """One line to the person watching, on standard error."""
    print(sentence, file=sys.stderr, flush=True)


def _bar(what: str, total: float | None, unit: str) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(what, total=total, note="")

        def advance(amount: float = 1, note: str = "") -> None:
            progress.update(task, advance=amount, note=note)

        yield advance


def _lines(what: str, total: float | None, unit: str) -> Iterator[Advance]:
    done, last = 0.0, time.monotonic()

    def advance(amount: float = 1, note: str = "") -> None:
        nonlocal done, last
        done += amount
        if time.monotonic() - last >= SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            of = f" of {total:g}" if total is not None else ""
            say(f"{what}: {done:g}{of} {unit} {note}".rstrip())

    yield advance
