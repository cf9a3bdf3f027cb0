"""The whole graph as one Prefect flow on this machine: `python -m flows.pipeline`.

Every stage is a task that runs `dvc repro --single-item` in a process of its own, as soon as its inputs stand and
cores and memory are free. No server is needed; with PREFECT_API_URL set the runs show in its UI. What stands already
is not dispatched, so an interrupted run goes on where it was, and dvc.lock ends as `dvc repro` would leave it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture

from flows import graph
from flows.budget import Budget
from flows.graph import Stage

OUTCOMES = {"is cached": "restored", "didn't change": "up to date", "Running stage": "run"}
"""What DVC prints of a stage, and what that means; the first that is found counts."""


class Unreachable(Exception):
    """A stage ended with exit code 75: what it needs of the network did not answer."""


_running: set[subprocess.Popen[str]] = set()
_lock = threading.Lock()


@flow(name="pipeline", validate_parameters=False, persist_result=False)
def pipeline(root: Path = Path(".")) -> dict[str, str]:
    """Bring the graph at `root` up to date; returns stage -> run, restored, up to date, failed or skipped."""
    root = root.resolve()
    plan = graph.stages(root)
    before = graph.entries(root / "dvc.lock")
    budget = Budget()
    outcome = {stage.name: reproduce.fn(stage, root, budget) for stage in plan if stage.always}
    stale = _to_run(plan, graph.stale(root))
    futures: dict[str, PrefectFuture] = {}
    try:
        for stage in plan:
            if stage.name not in stale:
                outcome.setdefault(stage.name, "up to date")
                continue
            submit = reproduce.with_options(task_run_name=stage.name).submit
            needed = [futures[name] for name in stage.needs if name in futures]
            futures[stage.name] = submit(stage, root, budget, return_state=False, wait_for=needed)
        for name, future in futures.items():
            future.wait()
            state = future.state
            outcome[name] = state.result() if state.is_completed() else "failed" if state.is_failed() else "skipped"
    except BaseException:
        _stop()
        raise
    finally:
        graph.reorder(root / "dvc.lock", before, [stage.name for stage in plan])
    if os.environ.get("QUJING_TRACKING", "").lower() != "off":
        subprocess.run([sys.executable, "-m", "stages.restored"], cwd=root, check=False)
    rows = [{"stage": stage.name, "outcome": outcome[stage.name], **stage.meta} for stage in plan]
    create_table_artifact(key="stages", table=rows, description="What became of each stage.")
    return outcome


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
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", "--single-item", stage.name]
    with budget.taken(stage.meta.get("cores", 1), stage.meta.get("memory_gib", 1)):
        process = subprocess.Popen(
            command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )
        with _lock:
            _running.add(process)
        printed, _ = process.communicate()
        with _lock:
            _running.discard(process)
    if process.returncode:
        print(printed, file=sys.stderr, flush=True)
        healing = f"exited with {os.EX_TEMPFAIL}" in printed
        raise (Unreachable if healing else RuntimeError)(f"{stage.name} failed: {_reason(printed)}")
    found = next((meaning for sign, meaning in OUTCOMES.items() if sign in printed), "run")
    print(f"{stage.name}: {found}", file=sys.stderr, flush=True)
    return found


def _to_run(plan: list[Stage], changed: dict[str, Any]) -> set[str]:
    """Stages that changed, and all that come after one of them: DVC skips those whose inputs turn out the same."""
    found: set[str] = set()
    for stage in plan:
        if not stage.always and (stage.name in changed or found.intersection(stage.needs)):
            found.add(stage.name)
    return found


def _reason(printed: str) -> str:
    """The last line of a failed stage's output that is not DVC's own."""
    lines = [line for line in printed.splitlines() if line.strip() and not line.startswith(("ERROR", "Use `dvc"))]
    return lines[-1] if lines else "it printed nothing"


def _stop() -> None:
    """End the stages that still run, with all their processes."""
    with _lock:
        for process in _running:
            os.killpg(process.pid, signal.SIGINT)
        for process in _running:
            process.wait()


def main() -> int:
    """Run the flow; exit code 0, 1 where a stage failed, 130 when stopped by hand."""
    try:
        outcome = pipeline()
    except KeyboardInterrupt:
        print("stopped; run it again to go on", file=sys.stderr)
        return 130
    failed = [name for name, what in outcome.items() if what in ("failed", "skipped")]
    print(f"{len(outcome)} stages, {len(failed)} of them not done{': ' + ', '.join(failed) if failed else ''}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
