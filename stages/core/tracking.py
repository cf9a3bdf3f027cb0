"""MLflow, by content: a run carries the md5 of what it made, and is found again by it.

The only module that imports mlflow. Set QUJING_TRACKING=off to run without it, MLFLOW_TRACKING_URI to use a server;
without one the runs go to mlflow.db in the repository.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.core import files
from stages.core.errors import one_line
from stages.core.progress import say
from stages.core.systems import Findings

if TYPE_CHECKING:
    from mlflow import MlflowClient

BATCH = 1000
"""Metrics that MLflow takes in one request."""


PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}
"""How long a server is waited for; the environment may say otherwise."""


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
) -> None:
    """Write one execution of `stage` into MLflow.

    `made` is the digest of what it made, `inputs` what it read (each becomes a data set whose digest is DVC's id).
    With `continues`, the digest of a model, the run that made that model is gone on with; where this server never saw
    it being made, a light run tagged `restored_from` stands in. The name of the run is the row's. Where MLflow does not
    answer, a sentence says so and the stage is no worse for it: `python -m stages.restored` fills the hole later.
    """
    from mlflow.entities import Metric, Param, RunTag

    with _forgiving(f"{stage} is done, but MLflow at {where()} took no record of it"):
        client = _client()
        home = _experiment(client, experiment)
        name = stage.partition("@")[2]
        run = _find(client, home, continues) if continues else None
        if run is None:
            tags = {"mlflow.runName": name, "made": made or continues}
            if continues:
                tags["restored_from"] = continues
            run = client.create_run(home, tags=tags).info.run_id
        now = int(time.time() * 1000)
        metrics = [Metric(key, value, now, 0) for key, value in {**findings.metrics, **findings.facts}.items()]
        metrics += [Metric(k, v, now, step) for k, column in findings.history.items() for step, v in enumerate(column)]
        for start in range(0, len(metrics), BATCH):
            client.log_batch(run, metrics=metrics[start : start + BATCH])
        flat = [Param(key, str(value)[:500]) for key, value in _flat(settings, stage.partition("@")[0])]
        for start in range(0, len(flat), 100):
            client.log_batch(run, params=_new(client, run, flat[start : start + 100]))
        client.log_batch(run, tags=[RunTag("stage", stage)])
        client.log_inputs(run, datasets=[_dataset(name, path) for name, path in inputs.items()])
        for folder in artifacts:
            if any(folder.iterdir()):
                client.log_artifacts(run, str(folder), artifact_path=stage.partition("@")[0])
        client.set_terminated(run)


def restored(experiment: str, name: str, made: str, metrics: Mapping[str, float]) -> bool:
    """Give a model that came from a cache a light run tagged `restored_from`, unless a run with it stands already."""
    from mlflow.entities import Metric

    client = _client()
    home = _experiment(client, experiment)
    if _find(client, home, made):
        return False
    run = client.create_run(home, tags={"mlflow.runName": name, "made": made, "restored_from": made}).info.run_id
    now = int(time.time() * 1000)
    client.log_batch(run, metrics=[Metric(key, value, now, 0) for key, value in metrics.items()])
    client.set_terminated(run)
    return True


def answers() -> bool:
    """Whether MLflow can be written to; says so in a sentence where not."""
    fine = False
    with _forgiving(f"MLflow at {where()} does not answer"):
        _client().search_experiments(max_results=1)
        fine = True
    return fine


def where() -> str:
    """The tracking address in use: MLFLOW_TRACKING_URI, or mlflow.db in the current folder."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path.cwd() / 'mlflow.db'}"


@contextmanager
def _forgiving(sentence: str) -> Iterator[None]:
    """Turn MLflow's failure in the block into a sentence: what was computed is worth more than its record."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, OSError) as error:
        say(f"{sentence}: {one_line(error)[:200]}")


def _client() -> MlflowClient:
    """A client; a local database is brought up to date under a lock first, as parallel first writers destroy it."""
    for name, value in PATIENCE.items():
        os.environ.setdefault(name, value)
    from filelock import FileLock
    from mlflow import MlflowClient

    if not where().startswith("sqlite:"):
        return MlflowClient(where())
    lock = Path(".spool/mlflow.lock")
    lock.parent.mkdir(exist_ok=True)
    with FileLock(lock):
        client = MlflowClient(where())
        client.search_experiments(max_results=1)
    return client


def _experiment(client: MlflowClient, name: str) -> str:
    """The id of the experiment of that name, made if it is new (by another process meanwhile, perhaps)."""
    from mlflow.exceptions import MlflowException

    if found := client.get_experiment_by_name(name):
        return found.experiment_id
    place = f"file://{Path.cwd() / 'mlartifacts' / name}" if where().startswith("sqlite:") else None
    try:
        return client.create_experiment(name, artifact_location=place)
    except MlflowException:
        found = client.get_experiment_by_name(name)
        if found is None:
            raise
        return found.experiment_id


def _find(client: MlflowClient, experiment: str, made: str) -> str | None:
    """The newest run that carries `made`."""
    found = client.search_runs([experiment], f"tags.made = '{made}'", max_results=1)
    return found[0].info.run_id if found else None


def _dataset(name: str, path: Path) -> Any:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    dataset = Dataset(name=str(path), digest=files.digest(path), source_type="local", source=str(path))
    return DatasetInput(dataset, tags=[InputTag("mlflow.data.context", name)])


def _new(client: MlflowClient, run: str, wanted: list[Any]) -> list[Any]:
    """The params that the run does not hold yet: MLflow refuses to change one, and an evaluation may be repeated."""
    have = client.get_run(run).data.params
    return [param for param in wanted if param.key not in have]


def _flat(value: Any, prefix: str) -> list[tuple[str, Any]]:
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if not isinstance(value, dict):
        return [(prefix, value)]
    return [pair for key, inner in value.items() for pair in _flat(inner, f"{prefix}.{key}")]
