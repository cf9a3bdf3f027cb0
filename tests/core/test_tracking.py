"""MLflow runs are found by the content they made; a cold database stands parallel first writers."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from stages.core import tracking
from stages.core.systems import Findings


@dataclass(frozen=True)
class Settings:
    order: int
    name: str


@pytest.fixture
def home(blank):
    (blank / "in").write_text("input")
    (blank / "artifacts").mkdir()
    (blank / "artifacts" / "a.txt").write_text("x")
    return blank


def record(stage, made, continues="", **findings):
    return tracking.record(
        stage,
        "words",
        Settings(4, "x"),
        {"input": Path("in")},
        made,
        Findings(**findings),
        [Path("artifacts")],
        continues,
    )


def runs():
    from mlflow import MlflowClient

    client = MlflowClient(tracking.where())
    ids = [experiment.experiment_id for experiment in client.search_experiments()]
    return client, client.search_runs(ids)


def test_training_and_evaluation_are_one_run_found_by_what_was_made(home):
    record("train@a", "m" * 36, facts={"seconds": 2.0}, history={"loss": [3.0, 2.0, 1.0]})
    record("evaluate@a", "m" * 36, continues="m" * 36, metrics={"f1": 0.75}, facts={"seconds": 0.5})
    client, (run,) = runs()
    assert run.data.metrics == {"train/seconds": 2.0, "evaluate/seconds": 0.5, "loss": 1.0, "f1": 0.75}
    assert run.data.params == {"train.order": "4", "train.name": "x", "evaluate.order": "4", "evaluate.name": "x"}
    assert run.data.tags["made"] == "m" * 36
    assert "restored_from" not in run.data.tags
    assert [point.value for point in client.get_metric_history(run.info.run_id, "loss")] == [3.0, 2.0, 1.0]
    assert {d.dataset.digest for d in run.inputs.dataset_inputs} == {"a43c1b0aa53a0c908810c06ab1ff3967"}
    assert {f.path for f in client.list_artifacts(run.info.run_id)} == {"train", "evaluate"}


def test_a_long_curve_is_told_by_the_means_of_its_stretches():
    points = tracking.curve([float(i) for i in range(1000)])
    assert len(points) == 250
    assert [*points[:2], points[-1]] == [(3, 1.5), (7, 5.5), (999, 997.5)]
    assert tracking.curve([1.0, 2.0]) == [(0, 1.0), (1, 2.0)]
    assert tracking.curve([]) == []
    assert tracking.curve([1.0] * 300 + [2.0])[-2:] == [(299, 1.0), (300, 2.0)]


def test_an_evaluation_may_be_repeated_with_other_settings(home):
    record("train@a", "m" * 36)
    record("evaluate@a", "m" * 36, continues="m" * 36, metrics={"f1": 0.5})
    record("evaluate@a", "m" * 36, continues="m" * 36, metrics={"f1": 0.6})
    _, (run,) = runs()
    assert run.data.metrics["f1"] == 0.6


def test_a_model_this_server_never_saw_made_gets_a_light_run_once(home):
    assert tracking.restored("words", "a", "m" * 36, {"f1": 0.75})
    assert not tracking.restored("words", "a", "m" * 36, {"f1": 0.75})
    _, (run,) = runs()
    assert run.data.tags["restored_from"] == "m" * 36
    assert run.data.metrics == {"f1": 0.75}


def test_a_run_nests_under_the_parent_and_carries_the_commit_that_the_environment_names(home, monkeypatch):
    monkeypatch.setenv("QUJING_PARENT_RUN", "p" * 32)
    monkeypatch.setenv("QUJING_COMMIT", "c" * 40)
    record("train@a", "m" * 36)
    record("evaluate@a", "m" * 36, continues="m" * 36)
    _, (run,) = runs()
    assert run.data.tags["mlflow.parentRunId"] == "p" * 32
    assert run.data.tags["mlflow.source.git.commit"] == "c" * 40


def test_the_commit_is_the_head_of_git_where_there_is_one(home):
    assert tracking.commit() == ""
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@x"]
    subprocess.run([*git, "init", "-q"], check=True)
    assert tracking.commit() == ""
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    assert len(tracking.commit()) == 40


def test_a_local_database_has_no_page_to_name(home):
    assert record("train@a", "m" * 36) == ""


def test_a_server_that_does_not_answer_costs_a_sentence_and_nothing_else(home, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    assert record("train@a", "m" * 36) == ""
    (line,) = capsys.readouterr().err.splitlines()[-1:]
    assert line.startswith("train@a is done, but MLflow at http://127.0.0.1:9 took no record of it: ")
    assert not tracking.answers()


@pytest.mark.slow
def test_parallel_writers_to_a_fresh_database_all_succeed(home):
    (home / "mlflow.db").unlink()
    code = (
        "import sys; from stages.core import tracking; "
        "tracking.restored('words', sys.argv[1], sys.argv[1] * 32, {'x': 1.0})"
    )
    started = [subprocess.Popen([sys.executable, "-c", code, name]) for name in "abcdef"]
    assert [process.wait() for process in started] == [0] * 6
    assert len(runs()[1]) == 6
