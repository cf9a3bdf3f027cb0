"""What the two ways of running the graph on this machine share: as Prefect tasks (`here`) and without (`beside`)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flows import graph
from flows.graph import Stage

OUTCOMES = {"is cached": "restored", "didn't change": "up to date", "Running stage": "run"}
"""What DVC prints of a stage, and what that means; the first that is found counts."""


def command(stage: Stage) -> list[str]:
    """What reproduces one stage: DVC as flows.quicker has it, begun by flows.warm, as quick as in one `dvc repro`."""
    dvc = ["flows.quicker", "--wait-for-lock", "repro", "--single-item", stage.name]
    return [sys.executable, "-m", "flows.warm", *dvc]


def outcome(printed: str) -> str:
    """What became of a stage for which DVC printed this."""
    return next((meaning for sign, meaning in OUTCOMES.items() if sign in printed), "run")


def needs(stage: Stage) -> tuple[float, float]:
    """Cores and GiB of memory that a stage asks for."""
    return stage.meta.get("cores", 1), stage.meta.get("memory_gib", 1)


class Local:
    """The graph at `root` with what always runs run, by `run`: what stands, and its lock."""

    def __init__(self, root: Path, plan: list[Stage], run: Callable[[Stage], object]) -> None:
        self.root, self.plan = root, plan
        self._before = list(graph.entries(root / "dvc.lock"))
        for stage in plan:
            if stage.always:
                run(stage)
        self._stale = to_run(plan, graph.stale(root))

    def stands(self, stage: Stage) -> str | None:
        """`up to date` where nothing before the stage changed."""
        return None if stage.name in self._stale else "up to date"

    def order(self) -> None:
        """Bring dvc.lock into the order that `dvc repro` leaves."""
        lock = self.root / "dvc.lock"
        graph.write(lock, graph.entries(lock), self._before, [stage.name for stage in self.plan])


def to_run(plan: list[Stage], changed: dict[str, Any]) -> set[str]:
    """Stages that changed, and all that come after one of them: DVC skips those whose inputs turn out the same."""
    found: set[str] = set()
    for stage in plan:
        if not stage.always and (stage.name in changed or found.intersection(stage.needs)):
            found.add(stage.name)
    return found
