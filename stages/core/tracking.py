"""MLflow, by content: a run carries the md5 of what it made, and is found again by it.

The only module that imports mlflow. Set QUJING_TRACKING=off to run without it, MLFLOW_TRACKING_URI to use a server;
without one the runs go to mlflow.db in the repository. QUJING_PARENT_RUN names the run under which new runs nest,
QUJING_COMMIT the commit that they carry where the HEAD of git would not be it.
"""

from __future__ import annotations

import math
import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, is_dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from stages.core import files
from stages.core.errors import one_line
from stages.core.progress import say
from stages.core.systems import Findings

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

BATCH = 1000
"""Metrics that MLflow takes in one request."""

POINTS = 300
"""Most points of a curve: a longer one is shown by the means of stretches of steps."""

MANNERS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
"""How long a server is waited for, and that its client prints nothing; the environment may say otherwise."""


def off() -> bool:
    """True where the environment says QUJING_TRACKING=off."""
    return os.environ.get("QUJING_TRACKING", "").lower() == "off"


def record(
    stage: str,
    experiment: str,
    settings: Any,
    inputs: Mapping[str, Path],
    made: str,
    findings: Findings,
    artifacts: Sequence[Path],
    continues: str = "",
) -> str:
    """Write one execution of `stage` into MLflow; returns where its run is read in a browser, "" where it is nowhere.

    `made` is the digest of what it made, `inputs` what it read (each becomes a data set whose digest is DVC's id).
    With `continues`, the digest of a model, the run that made that model is gone on with; where this server never saw
    it being made, a light run tagged `restored_from` stands in. The name of the run is the row's. Metrics keep their
    names, facts become PHASE/NAME ("train/seconds"), so that an evaluation overwrites none of its training's. Where
    MLflow does not answer, a sentence says so and the stage is no worse for it: `python -m stages.restored` fills the
    hole later.
    """
    from mlflow.entities import Metric, Param, RunTag

    phase, _, name = stage.partition("@")
    address = ""
    with forgiving(f"{stage} is done, but MLflow at {where()} took no record of it"):
        mlflow = client()
        home = home_of(mlflow, experiment)
        found = find(mlflow, home, continues) if continues else None
        run = found.info.run_id if found else _start(mlflow, home, name, made or continues, bool(continues))
        now = int(time.time() * 1000)
        values = {**findings.metrics, **{f"{phase}/{key}": value for key, value in findings.facts.items()}}
        metrics = [Metric(key, value, now, 0) for key, value in values.items()]
        metrics += [Metric(k, v, now, step) for k, column in findings.history.items() for step, v in curve(column)]
        for start in range(0, len(metrics), BATCH):
            mlflow.log_batch(run, metrics=metrics[start : start + BATCH])
        flat = [Param(key, str(value)[:500]) for key, value in _flat(settings, phase)]
        for start in range(0, len(flat), 100):
            mlflow.log_batch(run, params=_new(mlflow, run, flat[start : start + 100]))
        mlflow.log_batch(run, tags=[RunTag("stage", stage)])
        mlflow.log_inputs(run, datasets=[_dataset(name, path) for name, path in inputs.items()])
        for folder in artifacts:
            if any(folder.iterdir()):
                mlflow.log_artifacts(run, str(folder), artifact_path=phase)
        mlflow.set_terminated(run)
        if where().startswith("http"):
            address = f"{where().rstrip('/')}/#/experiments/{home}/runs/{run}"
    return address


def curve(column: Sequence[float]) -> list[tuple[int, float]]:
    """A column of one number a step as at most POINTS of (step, number), each the mean of the steps up to it."""
    stretch = math.ceil(len(column) / POINTS)
    ends = [min(start + stretch, len(column)) for start in range(0, len(column), stretch or 1)]
    return [(end - 1, fmean(column[start:end])) for start, end in pairwise([0, *ends])]


def restored(experiment: str, name: str, made: str, metrics: Mapping[str, float]) -> bool:
    """Give a model that came from a cache a light run tagged `restored_from`, unless a run with it stands already."""
    from mlflow.entities import Metric

    mlflow = client()
    home = home_of(mlflow, experiment)
    if find(mlflow, home, made):
        return False
    run = _start(mlflow, home, name, made, restored=True)
    now = int(time.time() * 1000)
    mlflow.log_batch(run, metrics=[Metric(key, value, now, 0) for key, value in metrics.items()])
    mlflow.set_terminated(run)
    return True


def pack(folder: Path, loader: str, column: str, out: Path) -> None:
    """Make `out`, which `mlflow models serve` serves, of a model: `loader` reads it, and is given `column` of texts."""
    import pandas as pd
    from mlflow import models, pyfunc

    asked = models.infer_signature(pd.DataFrame({column: ["text"]}), params={"best": 1})
    pyfunc.save_model(out, loader_module=loader, data_path=str(folder), signature=asked, pip_requirements=["qujing"])


def load() -> None:
    """Import what MLflow needs to open a database, which is most of the time that it takes."""
    import mlflow.artifacts
    import mlflow.store.tracking.sqlalchemy_store
    import mlflow.tracking


def prepare() -> None:
    """Import MLflow and open its database: three seconds that whoever records later does not wait for."""
    from mlflow.exceptions import MlflowException

    with suppress(MlflowException, OSError):  # whoever records says so
        client()


def answers() -> bool:
    """Whether MLflow can be written to; says so in a sentence where not."""
    fine = False
    with forgiving(f"MLflow at {where()} does not answer"):
        client().search_experiments(max_results=1)
        fine = True
    return fine


def where() -> str:
    """The tracking address in use: MLFLOW_TRACKING_URI, or mlflow.db in the current folder."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path.cwd() / 'mlflow.db'}"


def commit() -> str:
    """The commit that runs carry: QUJING_COMMIT, else the HEAD of git in the current folder, "" where there is none."""
    if named := os.environ.get("QUJING_COMMIT"):
        return named
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return head.stdout.strip() if head.returncode == 0 else ""


@contextmanager
def forgiving(sentence: str) -> Iterator[None]:
    """Turn MLflow's failure in the block into a sentence: what was computed is worth more than its record."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, OSError) as error:
        say(f"{sentence}: {one_line(error)[:200]}")


def client() -> MlflowClient:
    """A client of `where()`.

    A local database is brought up to date under a lock first: parallel first writers destroy it.
    """
    for name, value in MANNERS.items():
        os.environ.setdefault(name, value)
    from filelock import FileLock
    from mlflow import MlflowClient

    if not where().startswith("sqlite:"):
        return MlflowClient(where())
    lock = Path(".spool/mlflow.lock")
    lock.parent.mkdir(exist_ok=True)
    with FileLock(lock):
        mlflow = MlflowClient(where())
        mlflow.search_experiments(max_results=1)
    return mlflow


def home_of(mlflow: MlflowClient, name: str) -> str:
    """The id of the experiment of that name, made if it is new (by another process meanwhile, perhaps)."""
    from mlflow.exceptions import MlflowException

    if found := mlflow.get_experiment_by_name(name):
        return found.experiment_id
    place = f"file://{Path.cwd() / 'mlartifacts' / name}" if where().startswith("sqlite:") else None
    try:
        return mlflow.create_experiment(name, artifact_location=place)
    except MlflowException:
        found = mlflow.get_experiment_by_name(name)
        if found is None:
            raise
        return found.experiment_id


def find(mlflow: MlflowClient, experiment: str, made: str) -> Run | None:
    """The newest run of an experiment (its id) that carries `made`."""
    found = mlflow.search_runs([experiment], f"tags.made = '{made}'", max_results=1)
    return found[0] if found else None


def _start(mlflow: MlflowClient, experiment: str, name: str, made: str, restored: bool) -> str:
    """A new run, named and tagged, under the parent that the environment names; its id."""
    tags = {"mlflow.runName": name, "made": made}
    tags |= {"restored_from": made} if restored else {}
    tags |= {"mlflow.parentRunId": parent} if (parent := os.environ.get("QUJING_PARENT_RUN")) else {}
    tags |= {"mlflow.source.git.commit": known} if (known := commit()) else {}
    return mlflow.create_run(experiment, tags=tags).info.run_id


def _dataset(name: str, path: Path) -> Any:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    dataset = Dataset(name=str(path), digest=files.digest(path), source_type="local", source=str(path))
    return DatasetInput(dataset, tags=[InputTag("mlflow.data.context", name)])


def _new(mlflow: MlflowClient, run: str, wanted: list[Any]) -> list[Any]:
    """The params that the run does not hold yet: MLflow refuses to change one, and an evaluation may be repeated."""
    have = mlflow.get_run(run).data.params
    return [param for param in wanted if param.key not in have]


def _flat(value: Any, prefix: str) -> list[tuple[str, Any]]:
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if not isinstance(value, dict):
        return [(prefix, value)]
    return [pair for key, inner in value.items() for pair in _flat(inner, f"{prefix}.{key}")]
