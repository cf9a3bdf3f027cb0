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
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.artifacts import create_progress_artifact, create_table_artifact, update_progress_artifact
from prefect.states import Completed, State

from flows import branches, graph
from flows.fleet import Fleet
from flows.here import Here
from flows.pools import Pools, measured, where
from flows.progress import Progress, drive, stop

SHOWN = 5.0
"""Seconds between updates of the progress that Prefect's pages show."""


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
