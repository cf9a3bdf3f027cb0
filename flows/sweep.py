"""A grid over params, every point a DVC experiment, all over the pools at once: the flow `sweep`.

What points share is computed once. In MLflow the runs of a sweep lie below one parent run.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from hashlib import md5
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.states import Completed, Failed, State

from flows import branches, graph
from flows.fleet import Fleet
from flows.pipeline import own_id
from flows.pools import Pools, measured, where
from flows.progress import Progress, drive
from flows.refresh import metrics


@flow(name="sweep", persist_result=False)
def sweep(grid: dict[str, list[Any]], branch: str = "main", name: str = "sweep") -> State:
    """Bring the graph of the branch up to date at every point of `grid`: dotted key of params.yaml -> its values.

    Each point becomes the experiment NAME-DIGEST on `origin`; a point that fails leaves the others alone.
    """
    points = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    with ExitStack() as stack:
        trees = [stack.enter_context(branches.tip(branch)) for _ in points]
        for tree, point in zip(trees, points, strict=True):
            branches.override(tree, point)
        parent = _mlflow(trees[0], "parent", "sweeps", name)
        records, last = where(trees[0]), measured(trees[0])
        fleet = Fleet(records, own_id())
        environment = {"QUJING_PARENT_RUN": parent} if parent else {}
        runs = []
        for tree in trees:
            plan = graph.stages(tree)
            runs.append(Progress(plan, Pools(tree, plan, fleet, last, environment)))
        drive(runs)
        rows = []
        for tree, point, run in zip(trees, points, runs, strict=True):
            row: dict[str, Any] = {"experiment": f"{name}-{_digest(point)}", **point}
            if run.state().is_completed():
                branches.experiment(tree, row["experiment"])
                row |= metrics(graph.entries(tree / "dvc.lock"), records)
            rows.append({**row, "state": run.state().message})
        if parent:
            _mlflow(trees[0], "finish", parent)
        create_table_artifact(key="sweep", table=rows, description=f"The points of {name}.")
        failed = [row["experiment"] for row, run in zip(rows, runs, strict=True) if run.state().is_failed()]
        message = f"{len(points)} points, {len(failed)} of them not done{': ' if failed else ''}{', '.join(failed)}"
        return Failed(message=message) if failed else Completed(message=message)


def _digest(point: Mapping[str, Any]) -> str:
    return md5(json.dumps(point, sort_keys=True).encode()).hexdigest()[:8]


def _mlflow(root: Path, *words: str) -> str:
    """What `python -m stages.tracked` answers; nothing where tracking is off."""
    if os.environ.get("QUJING_TRACKING", "").lower() == "off":
        return ""
    command = [sys.executable, "-m", "stages.tracked", *words]
    return subprocess.run(command, cwd=root, stdout=subprocess.PIPE, text=True, check=False).stdout.strip()
