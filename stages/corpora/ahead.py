"""An iterator that works ahead of its reader in a thread: Arrow and zstd let Python's lock go while they compute."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def ahead(items: Iterable[T], most: int = 1) -> Iterator[T]:
    """The same items in the same order, at most `most` of them made before they are asked for.

    What `items` raises is raised here; a reader that stops early stops the thread at its next item.
    """
    waiting: queue.Queue[tuple[bool, object]] = queue.Queue(most)
    stopped = threading.Event()

    def put(one: tuple[bool, object]) -> bool:
        while not stopped.is_set():
            try:
                waiting.put(one, timeout=0.1)
                return True
            except queue.Full:
                pass
        return False

    def work() -> None:
        try:
            for item in items:
                if not put((True, item)):
                    return
            put((False, None))
        except BaseException as error:
            put((False, error))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            more, value = waiting.get()
            if more:
                yield value
            elif value is None:
                return
            else:
                raise value
    finally:
        stopped.set()
        thread.join()
