"""A graph on its way, wherever its stages run: each starts as soon as its inputs stand."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from flows.graph import Stage
from flows.saying import say

if TYPE_CHECKING:
    from prefect.states import State

TICK = 0.25
"""Seconds between looks at what runs."""

STOPPED = threading.Event()
"""Set by Ctrl-C, for the KeyboardInterrupt can be lost in a library's call that happens to run."""


class Place(Protocol):
    """Where stages run: `Here` or `Pools`."""

    def stands(self, stage: Stage) -> str | None: ...
    def start(self, stage: Stage) -> None: ...
    def ended(self) -> Iterator[tuple[str, str, str]]: ...
    def close(self, interrupted: bool) -> None: ...


class Progress:
    """One graph on its way: `step` starts what can start and takes note of what ended."""

    def __init__(self, plan: list[Stage], place: Place) -> None:
        self.plan, self.place = plan, place
        self.outcome = {stage.name: "run" for stage in plan if stage.always}
        self.running: dict[str, float] = {}  # stage -> when it was started
        self.seconds: dict[str, float] = {}
        self.why: dict[str, str] = {}  # stage -> why it failed

    def step(self) -> bool:
        """Move on; False once every stage is decided."""
        for stage in self.plan:
            if stage.name in self.outcome or stage.name in self.running:
                continue
            if any(self.outcome.get(need) in ("failed", "skipped") for need in stage.needs):
                self._decide(stage.name, "skipped")
            elif all(need in self.outcome for need in stage.needs):
                if how := self.place.stands(stage):
                    self._decide(stage.name, how)
                else:
                    self.place.start(stage)
                    self.running[stage.name] = time.monotonic()
        for name, how, why in self.place.ended():
            self.seconds[name] = time.monotonic() - self.running.pop(name)
            if why:
                self.why[name] = why
            self._decide(name, how)
        return len(self.outcome) < len(self.plan)

    def said(self, last: Mapping[str, Mapping[str, float]]) -> str:
        """The state in a sentence, with the estimated end by what each stage took `last`."""
        counts = Counter(self.outcome.values())
        done = ", ".join(f"{count} {how}" for how, count in sorted(counts.items()))
        running = ", ".join(sorted(self.running)) or "none"
        waiting = len(self.plan) - len(self.outcome) - len(self.running)
        left = self._left(last)
        end = f"about {left:.0f} s to go" if left is not None else "no estimate of the end: stages never timed"
        return f"{done}; running: {running}; {waiting} waiting; {end}"

    @property
    def open_ends(self) -> list[str]:
        """The stages that failed, and those that were skipped for it."""
        return [stage.name for stage in self.plan if self.outcome.get(stage.name) in ("failed", "skipped")]

    def message(self) -> str:
        """How it ended, in a sentence or two."""
        message = f"{len(self.outcome)} stages, {len(self.open_ends)} of them not done"
        if not self.open_ends:
            return message
        whys = "; ".join(f"{name} failed: {why}" for name, why in self.why.items())
        return f"{message}: {', '.join(self.open_ends)}. {whys}"

    def state(self) -> State:
        """The same for Prefect."""
        from prefect.states import Completed, Failed

        return Failed(message=self.message()) if self.open_ends else Completed(message=self.message())

    def table(self) -> list[dict[str, Any]]:
        """What became of each stage, a row a stage."""
        return [
            {
                "stage": stage.name,
                "outcome": self.outcome[stage.name],
                "seconds": round(self.seconds.get(stage.name, 0), 1),
                "why": self.why.get(stage.name, ""),
            }
            for stage in self.plan
        ]

    def _left(self, last: Mapping[str, Mapping[str, float]]) -> float | None:
        """Seconds to the end if every stage starts when its inputs stand: the longest path of what is left."""
        ends: dict[str, float] = {}
        for stage in self.plan:
            if stage.name in self.outcome:
                continue
            if stage.name not in last:
                return None
            gone = time.monotonic() - self.running[stage.name] if stage.name in self.running else 0.0
            start = max((ends.get(need, 0.0) for need in stage.needs), default=0.0)
            ends[stage.name] = start + max(last[stage.name]["seconds"] - gone, 0.0)
        return max(ends.values(), default=0.0)

    def _decide(self, name: str, how: str) -> None:
        self.outcome[name] = how
        if how != "up to date":
            say(f"{name}: {how}")


def drive(runs: list[Progress], look: Callable[[], None] = lambda: None) -> None:
    """Step the graphs until all are decided, and leave every dvc.lock whole, whatever happens."""
    interrupted = True
    try:
        while any([run.step() for run in runs]):  # noqa: C419 (every one is to step)
            look()
            if STOPPED.wait(TICK):
                raise KeyboardInterrupt
        interrupted = False
    finally:
        for run in runs:
            run.place.close(interrupted)


def stop(_number: int, _frame: Any) -> None:
    """Stop at once where nothing holds the exception up, else with the next step."""
    STOPPED.set()
    raise KeyboardInterrupt
