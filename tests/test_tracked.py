"""What flows ask of MLflow through `python -m stages.tracked`."""

import json

import pytest
import yaml

from stages import tracked
from stages.core import tracking
from stages.core.systems import Findings


@pytest.fixture
def home(blank):
    rows = {"rounds": {"r": {}}, "corpora": {}, "systems": {"a": {"family": "words"}, "b": {"family": "vae"}}}
    (blank / "params.yaml").write_text(yaml.safe_dump(rows))
    return blank


def record(stage, experiment, **facts):
    return tracking.record(stage, experiment, {}, {}, "m" * 32, Findings(facts=facts), [])


def test_durations_are_the_newest_measurements_of_each_stage_over_all_families(home, capsys):
    record("train@a", "words", seconds=9.0, gpu_gib=2.0)
    record("train@a", "words", seconds=4.0)
    record("train@b", "vae", seconds=3.0, gpu_gib=1.5, peak_gib=0.1)
    record("crawl@r", "corpora", seconds=2.0)
    record("evaluate@unmeasured", "words")
    assert tracked.main(["durations"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "crawl@r": {"seconds": 2.0},
        "train@a": {"seconds": 4.0},
        "train@b": {"seconds": 3.0, "gpu_gib": 1.5},
    }


def test_a_sweep_has_a_parent_that_ends(home, capsys, monkeypatch):
    assert tracked.main(["parent", "words", "sweep of a"]) == 0
    parent = capsys.readouterr().out.strip()
    assert len(parent) == 32
    monkeypatch.setenv("QUJING_PARENT_RUN", parent)
    record("train@a", "words", seconds=1.0)
    mlflow = tracking.client()
    experiment = tracking.home_of(mlflow, "words")
    assert len(mlflow.search_runs([experiment], f"tags.mlflow.parentRunId = '{parent}'")) == 1
    assert mlflow.get_run(parent).info.status == "RUNNING"
    assert mlflow.get_run(parent).info.run_name == "sweep of a"
    assert tracked.main(["finish", parent]) == 0
    assert mlflow.get_run(parent).info.status == "FINISHED"


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [("QUJING_TRACKING", "off", "tracking is off"), ("MLFLOW_TRACKING_URI", "http://127.0.0.1:9", "does not answer: ")],
)
def test_without_mlflow_there_is_a_sentence_and_nothing_fails(home, capsys, monkeypatch, name, value, sentence):
    monkeypatch.setenv(name, value)
    for arguments, out in ((["durations"], "{}\n"), (["parent", "words", "x"], "\n"), (["finish", "r" * 32], "")):
        assert tracked.main(arguments) == 0
        printed = capsys.readouterr()
        assert printed.out == out
        assert sentence in printed.err


def test_it_says_how_it_is_used(capsys):
    for arguments in ([], ["parent", "words"], ["fly"]):
        assert tracked.main(arguments) == 2
    assert "usage: python -m stages.tracked durations |" in capsys.readouterr().err
