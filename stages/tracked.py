"""What flows ask of MLflow, which they must not import: `python -m stages.tracked durations | parent | finish`.

    durations                what each stage last cost, as JSON: {"train@x": {"seconds": 12.5, "gpu_gib": 3.1}, ...}
    parent EXPERIMENT NAME   starts a run for others to nest under (QUJING_PARENT_RUN) and prints its id
    finish RUN               ends such a run

Where tracking is off or MLflow does not answer, a sentence says so, `durations` prints {}, `parent` an empty line, and
the exit code is 0: nothing that waits for these answers is worse for lacking them.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from stages.code import SECTIONS, family
from stages.core import params, tracking
from stages.core.errors import Refusal
from stages.core.progress import say

NEWEST = 500
"""Runs of one experiment that are looked at, newest first."""

USAGE = "usage: python -m stages.tracked durations | parent EXPERIMENT NAME | finish RUN"


def durations() -> dict[str, dict[str, float]]:
    """The newest `seconds`, and `gpu_gib` where it was measured, of each stage that MLflow saw; one search a family."""
    values = params.load()
    homes = {family(phase, row): 0 for phase, section in SECTIONS.items() for row in values[section].values()}
    database = tracking.where().removeprefix("sqlite:///")
    if tracking.where().startswith("sqlite:") and not Path(database).exists():
        return {}
    mlflow = tracking.client()
    found: dict[str, dict[str, float]] = {}
    for name in homes:
        experiment = mlflow.get_experiment_by_name(name)
        if experiment is None:
            continue
        for run in mlflow.search_runs([experiment.experiment_id], max_results=NEWEST):
            costs: dict[str, dict[str, float]] = {}
            for key, value in run.data.metrics.items():
                phase, _, what = key.partition("/")
                if phase in SECTIONS and what in ("seconds", "gpu_gib"):
                    costs.setdefault(f"{phase}@{run.info.run_name}", {})[what] = value
            found |= {stage: cost for stage, cost in costs.items() if stage not in found and "seconds" in cost}
    return found


def parent(experiment: str, name: str) -> str:
    """Start a run in `experiment` that others nest under; its id."""
    mlflow = tracking.client()
    return mlflow.create_run(tracking.home_of(mlflow, experiment), run_name=name).info.run_id


def main(arguments: list[str]) -> int:
    """The command line; returns the exit code: 0, or 2 for wrong usage."""
    known = {"durations": 1, "parent": 3, "finish": 2}
    if not arguments or known.get(arguments[0]) != len(arguments):
        say(USAGE)
        return 2
    verb, *rest = arguments
    # Whoever asks waits for the answer and can do without it.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")
    answer = {"durations": "{}", "parent": "", "finish": None}[verb]
    if tracking.off():
        say("tracking is off (QUJING_TRACKING): MLflow is not asked")
    else:
        try:
            with tracking.forgiving(f"MLflow at {tracking.where()} does not answer"):
                if verb == "durations":
                    answer = json.dumps(durations(), sort_keys=True)
                elif verb == "parent":
                    answer = parent(*rest)
                else:
                    tracking.client().set_terminated(*rest)
        except Refusal as refusal:
            say(f"tracked: {refusal}")
    if answer is not None:
        print(answer)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
