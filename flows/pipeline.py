"""The whole graph as one Prefect flow: `python -m flows.pipeline`.

On one machine the stages are processes of it, side by side. With PREFECT_API_URL set they go to the work pools that
their `meta.queue` names, and this machine computes nothing (`--here` keeps them here). Either way a stage starts as
soon as its inputs stand, what stands already is not started, and dvc.lock ends as `dvc repro` would leave it.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from prefect import flow
from prefect.artifacts import create_progress_artifact, create_table_artifact, update_progress_artifact
from prefect.states import Completed, Failed, State

from flows import branches, graph
from flows.fleet import Fleet
from flows.graph import Stage
from flows.here import Here
from flows.pools import Pools, measured, where
from flows.saying import say

TICK = 0.25
"""Seconds between looks at what runs."""

SHOWN = 5.0
"""Seconds between updates of the progress that Prefect's pages show."""

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

    def state(self) -> State:
        """How it ended, for Prefect and for the person who started it."""
        open_ends = [stage.name for stage in self.plan if self.outcome[stage.name] in ("failed", "skipped")]
        message = f"{len(self.outcome)} stages, {len(open_ends)} of them not done"
        if not open_ends:
            return Completed(message=message)
        whys = "; ".join(f"{name} failed: {why}" for name, why in self.why.items())
        return Failed(message=f"{message}: {', '.join(open_ends)}. {whys}")

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


@flow(name="pipeline", persist_result=False)
def pipeline(
    branch: str = "",
    params: dict[str, Any] | None = None,
    experiment: str = "",
    push: bool = True,
    here: bool = False,
) -> State:
    """Bring the graph up to date; the state it returns says how many stages are not done, which, and why.

    Without `branch` that is the graph of this folder. With it, it is the tip of that branch in a tree of its own, with
    `params` (dotted keys) changed, and what comes of it is committed to the branch, or kept as a DVC experiment.
    """
    if not branch:
        return bring(Path("."), here).state()
    with branches.tip(branch) as root:
        branches.override(root, params or {})
        state = bring(root, here).state()
        if state.is_failed():
            return state
        if experiment:
            said = f"kept as experiment {experiment}, {branches.experiment(root, experiment)[:7]}"
        else:
            said = branches.save(root, f"Reproduce {branch}", branch, push)
        return Completed(message=f"{state.message}; {said}")


def bring(root: Path, here: bool = False) -> Progress:
    """Bring the graph at `root` up to date, over the pools where a server is configured; call it inside a flow."""
    root = root.resolve()
    plan = graph.stages(root)
    pools = bool(os.environ.get("PREFECT_API_URL")) and not here
    last = measured(root) if pools else {}
    run = Progress(plan, Pools(root, plan, Fleet(where(root), own_id()), last) if pools else Here(root, plan))
    drive([run], _shown(run, last))
    if not pools and os.environ.get("QUJING_TRACKING", "").lower() != "off":
        subprocess.run([sys.executable, "-m", "stages.restored"], cwd=root, check=False)
    create_table_artifact(key="stages", table=run.table(), description="What became of each stage.")
    return run


def own_id() -> Any:
    """The id of the flow run around this call, for what it starts to show below it."""
    from prefect.context import FlowRunContext

    context = FlowRunContext.get()
    return context.flow_run.id if context and context.flow_run else None


def _shown(run: Progress, last: Mapping[str, Mapping[str, float]]) -> Callable[[], None]:
    """A function that keeps a progress artifact up to date, if it is called often enough."""
    artifact: Any = create_progress_artifact(0.0, key="progress", description=run.said(last))
    shown = time.monotonic()

    def look() -> None:
        nonlocal shown
        if time.monotonic() - shown > SHOWN:
            shown = time.monotonic()
            update_progress_artifact(artifact, 100.0 * len(run.outcome) / len(run.plan), run.said(last))

    return look


def stop(_number: int, _frame: Any) -> None:
    """Stop at once where nothing holds the exception up, else with the next step."""
    STOPPED.set()
    raise KeyboardInterrupt


def main(arguments: list[str]) -> int:
    """Run the flow; exit code 0, 1 where a stage failed, 130 when stopped by hand."""
    signal.signal(signal.SIGINT, stop)
    parse = argparse.ArgumentParser(prog="python -m flows.pipeline", description=__doc__)
    parse.add_argument("--here", action="store_true", help="run the stages on this machine, whatever server there is")
    try:
        state = pipeline(here=parse.parse_args(arguments).here, return_state=True)
    except KeyboardInterrupt:
        print("stopped; run it again to go on", file=sys.stderr)
        return 130
    print(state.message)
    return 0 if state.is_completed() else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
