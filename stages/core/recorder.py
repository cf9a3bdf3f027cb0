"""MLflow told by a second process, so that its slow import costs nobody time."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from stages.core import tracking
from stages.core.errors import one_line
from stages.core.progress import say

if TYPE_CHECKING:
    from multiprocessing.connection import Connection


@contextmanager
def recorder() -> Iterator[Callable[..., str]]:
    """`tracking.record`, done by a process that imports MLflow (two seconds) while this one computes.

    It is forked here and now, so enter the block before threads start; it ends with the block.
    """
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=_serve, args=(there, here), daemon=True)
    process.start()
    there.close()

    def ask(stage: str, *arguments: Any) -> str:
        try:
            here.send((stage, *arguments))
            return here.recv()
        except (EOFError, OSError) as error:
            say(f"{stage} is done, but the process that tells MLflow is gone ({one_line(error)}): it took no record")
            return ""

    try:
        yield ask
    except BaseException:
        process.kill()  # nothing will be recorded
        raise
    finally:
        here.close()
        process.join()


def _serve(there: Connection, here: Connection) -> None:
    """Import what `tracking.record` needs, then do what is asked until the other side closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the caller is told too, and closes
    here.close()
    tracking.prepare()
    while True:
        try:
            arguments = there.recv()
        except EOFError:
            return
        there.send(tracking.record(*arguments))
