"""Stages on this machine: each a Prefect task that runs `dvc repro --single-item` in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture

from flows import graph, local
from flows.budget import Budget
from flows.graph import Stage
from flows.local import Local


class Unreachable(Exception):
    """A stage ended with exit code 75: what it needs of the network did not answer."""


_running: set[subprocess.Popen[str]] = set()
_lock = threading.Lock()


class Here(Local):
    """The place to run where there is one machine. DVC itself finds what stands, and writes dvc.lock."""

    def __init__(self, root: Path, plan: list[Stage]) -> None:
        self._budget = Budget()
        super().__init__(root, plan, lambda stage: reproduce.fn(stage, root, self._budget))
        self._futures: dict[str, PrefectFuture[str]] = {}

    def start(self, stage: Stage) -> None:
        """Run the stage as soon as cores and memory are free."""
        submit = reproduce.with_options(task_run_name=stage.name).submit
        self._futures[stage.name] = submit(stage, self.root, self._budget, return_state=False)

    def ended(self) -> Iterator[tuple[str, str, str]]:
        """The stages that ended since this was asked last, each with what became of it, and why it failed."""
        for name, future in list(self._futures.items()):
            if future.state.is_final():
                future.wait()  # which brings its result
                del self._futures[name]
                state = future.state
                if state.is_completed():
                    yield name, state.result(), ""
                else:
                    yield name, "failed", str(state.result(raise_on_failure=False))

    def close(self, interrupted: bool) -> None:
        """Stop what still runs, and bring dvc.lock into the order that `dvc repro` leaves."""
        if interrupted:
            with _lock:
                for process in _running:
                    os.killpg(process.pid, signal.SIGINT)
                for process in _running:
                    process.wait()
        self.order()


def _may_heal(task: Any, run: Any, state: Any) -> bool:
    """Whether a failed stage is worth another try: only where a host or the network did not answer."""
    return isinstance(state.result(raise_on_failure=False), Unreachable)


@task(
    name="stage",
    persist_result=False,
    cache_policy=NO_CACHE,
    retries=2,
    retry_delay_seconds=[10, 60],
    retry_condition_fn=_may_heal,
)
def reproduce(stage: Stage, root: Path, budget: Budget) -> str:
    """Reproduce one stage in a process group of its own; returns what DVC did, raises where the stage failed."""
    with budget.taken(*local.needs(stage)):
        process = subprocess.Popen(
            local.command(stage),
            cwd=root,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        with _lock:
            _running.add(process)
        printed, _ = process.communicate()
        with _lock:
            _running.discard(process)
    if process.returncode:
        print(printed, file=sys.stderr, flush=True)
        healing = f"exited with {os.EX_TEMPFAIL}" in printed
        raise (Unreachable if healing else RuntimeError)(graph.reason(printed))
    return local.outcome(printed)
