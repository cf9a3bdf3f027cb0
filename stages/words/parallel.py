"""Where the work is done: processes of this machine, or a dask cluster; the same results in the same order.

Tasks are paths and numbers, never text: workers read their part of the corpus themselves. For dask the folder of the
output must therefore be one that its workers see (a shared disk).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from stages.core.errors import Refusal, one_line
from stages.core.params import Choices, choose


class Map(Protocol):
    """What `executor` yields: apply a module-level function to each task, results in the order of the tasks."""

    def __call__(self, function: Callable[[Any], Any], tasks: Sequence[Any]) -> Iterator[Any]: ...


@contextmanager
def executor(name: str, workers: int, address: str) -> Iterator[Map]:
    """A `Map` on `workers` local processes ("processes"; 1 stays in this one) or on the dask scheduler at `address`."""
    with choose(EXECUTORS, name, "executor")(workers, address) as apply:
        yield apply


@contextmanager
def _processes(workers: int, address: str) -> Iterator[Map]:
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    with contextlib.ExitStack() as stack:
        pool = None

        def apply(function: Callable[[Any], Any], tasks: Sequence[Any]) -> Iterator[Any]:
            nonlocal pool
            if workers <= 1 or len(tasks) <= 1:
                return map(function, tasks)
            if pool is None:  # started at the first need: a small corpus never pays for it
                spawn = multiprocessing.get_context("spawn")
                pool = stack.enter_context(ProcessPoolExecutor(workers, mp_context=spawn))
            return pool.map(function, tasks)

        yield apply


@contextmanager
def _dask(workers: int, address: str) -> Iterator[Map]:
    try:
        from distributed import Client
    except ImportError as error:
        raise Refusal("executor is 'dask', but dask.distributed is not installed: pip install distributed") from error
    try:
        client = Client(address, timeout="10s")
    except (OSError, ValueError) as error:
        raise Refusal(f"no dask scheduler answers at '{address}' ({one_line(error)}); mend `address`") from error
    with client:

        def apply(function: Callable[[Any], Any], tasks: Sequence[Any]) -> Iterator[Any]:
            return (future.result() for future in client.map(function, tasks, pure=False))

        yield apply


EXECUTORS: Choices = {"processes": _processes, "dask": _dask}
