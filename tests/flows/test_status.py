"""What would run, why and how long: in the words of the house, from what DVC says and what was measured."""

import json
import shutil
import sys

import pytest
from repository import dvc, run

from flows import status
from flows.graph import Stage
from flows.status import Line

PARAMS = {"params.yaml": {"systems.x.train": {"order": 4}}}
PLAN = [
    Stage("code", (), True, {}, "python -m stages.code", (), ("code",)),
    Stage("preprocess@x", ("code",), False, {}, "p", ("code/preprocess/x", "raw.txt"), ("data/x",)),
    Stage("train@x", ("code", "preprocess@x"), False, {}, "t", ("code/train/x", "data/x"), ("models/x",), PARAMS),
    Stage("evaluate@x", ("code", "train@x"), False, {}, "e", ("code/evaluate/x", "models/x"), ("metrics/x.json",)),
]


def entry(stage):
    """What dvc.lock says of a stage that was run."""
    deps, outs = ([{"path": path, "md5": f"md5 of {path}"} for path in paths] for paths in (stage.deps, stage.outs))
    return {"cmd": stage.cmd, "deps": deps, "params": stage.params, "outs": outs}


def found(changed=None, locked=None, last=None, remote=()):
    """The state and the reasons of each stage that is not up to date."""
    locked = {**{stage.name: entry(stage) for stage in PLAN}, **(locked or {})}
    lines = status.lines(PLAN, locked, changed or {}, last or {}, lambda md5s: md5s & set(remote))
    return {line.stage: (line.state, *line.why) for line in lines}


def test_what_stands_is_not_mentioned():
    assert found({"code": ["always changed"]}) == {}


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ([{"changed deps": {"code/train/x": "modified"}}], "code of train@x"),
        ([{"changed deps": {"data/x": "modified"}}], "data data/x"),
        ([{"changed outs": {"models/x": "modified"}}], "output models/x changed"),
        ([{"changed outs": {"models/x": "not in cache"}}], "output models/x missing"),
    ],
)
def test_a_change_is_named_and_what_comes_after_perhaps_runs(changed, reason):
    assert found({"train@x": changed}) == {
        "train@x": ("run", reason),
        "evaluate@x": ("perhaps", "after train@x"),
    }


def test_params_say_the_old_and_the_new_value():
    old = {**entry(PLAN[2]), "params": {"params.yaml": {"systems.x.train": {"order": 3}}}}
    said = {"train@x": [{"changed deps": {"params.yaml": {"systems.x.train": "modified"}}}]}
    assert found(said, {"train@x": old})["train@x"] == ("run", "params systems.x.train.order: 3 -> 4")


def test_a_stage_that_is_new_or_reads_something_else_says_so():
    assert found(locked={"train@x": None})["train@x"] == ("run", "new stage")
    old = entry(PLAN[2])
    old["deps"][1]["path"] = "data/y"
    said = {"train@x": [{"changed deps": {"data/x": "new"}}]}
    assert found(said, {"train@x": old})["train@x"] == ("run", "train@x reads data/x instead of data/y")


def test_an_input_that_nothing_makes_is_missing_and_one_that_a_stage_makes_is_not_a_reason():
    said = {
        "preprocess@x": [{"changed deps": {"raw.txt": "deleted"}}],
        "train@x": [{"changed deps": {"data/x": "deleted"}}],
    }
    assert found(said) == {
        "preprocess@x": ("run", "data raw.txt missing"),
        "train@x": ("perhaps", "after preprocess@x"),
        "evaluate@x": ("perhaps", "after train@x"),
    }


def test_what_is_only_not_here_does_not_run():
    said = {
        "preprocess@x": [{"changed outs": {"data/x": "deleted"}}],
        "train@x": [{"changed deps": {"data/x": "deleted"}}, {"changed outs": {"models/x": "not in cache"}}],
        "evaluate@x": [{"changed deps": {"models/x": "deleted"}}],
    }
    assert found(said, remote={"md5 of models/x"}) == {
        "preprocess@x": ("checkout", "not here, in the cache: dvc checkout"),
        "train@x": ("pull", "not here, on the remote: dvc pull"),
    }


def test_times_are_summed_surely_perhaps_and_along_the_longest_path():
    plan = [Stage("a", (), False, {}), Stage("b", ("a",), False, {}), Stage("c", ("a",), False, {})]
    plan += [Stage("d", ("b", "c"), False, {}), Stage("e", (), False, {})]
    lines = [Line("a", "run", (), 1.0), Line("b", "perhaps", (), 5.0), Line("d", "perhaps", (), 2.0)]
    lines += [Line("c", "perhaps", (), None), Line("e", "pull", (), 99.0)]
    took = status.seconds(plan, lines)
    assert took == {"run": 1.0, "perhaps": 7.0, "side_by_side": 8.0}
    said = status.totals(lines[:4], took)
    assert said == "1 to run, about 1 s; 3 more perhaps, about 7 s; about 8 s side by side; 1 never timed, not counted"
    assert status.totals(lines[3:4], took) == "1 more perhaps; 1 never timed, not counted"


def test_in_a_clone_nothing_runs_but_what_was_edited(small, tmp_path):
    """The real thing: a clone with a remote has nothing to do; an edit runs its stage and perhaps what follows."""
    dvc(small, "remote", "add", "-q", "-d", "store", str(tmp_path / "store"))
    dvc(small, "push", "-q")
    assert asked(small) == {"stages": [], "seconds": {"run": 0.0, "perhaps": 0.0, "side_by_side": 0.0}}
    for path in ("models", "metrics", ".dvc/cache"):
        shutil.rmtree(small / path)
    shutil.rmtree(small / "data/gold")
    params = small / "params.yaml"
    params.write_text(params.read_text().replace("order: 4", "order: 3"))
    (small / ".spool/measured").mkdir(exist_ok=True)
    (small / ".spool/measured/train@new_words.json").write_text('{"seconds": 7.0}')
    states = {line["stage"]: (line["state"], line["why"]) for line in asked(small)["stages"]}
    pull = ["not here, on the remote: dvc pull"]
    assert states["preprocess@gold"] == ("pull", pull)
    assert states["train@new_words"] == ("run", ["params systems.new_words.train.order: 4 -> 3"])
    assert states["evaluate@new_words"] == ("perhaps", ["after train@new_words"])
    printed = run(small, sys.executable, "-m", "flows.status", QUJING_TRACKING="off", COLUMNS="150")
    assert "2 to run, about 7 s; 1 more perhaps" in printed  # the report shows the params
    assert "their outputs not here but on the remote: dvc pull" in printed


def asked(folder):
    """What `qujing status --json` prints."""
    return json.loads(
        run(folder, sys.executable, "-m", "flows.status", "--json", QUJING_TRACKING="off").split("\n", 1)[1]
    )


def test_mlflow_is_asked_first_and_this_machine_where_it_knows_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert status.durations("") == {}
    (tmp_path / ".spool/measured").mkdir(parents=True)
    for stage, seconds in {"train@a": 1.0, "train@b": 2.0}.items():
        (tmp_path / f".spool/measured/{stage}.json").write_text(json.dumps({"seconds": seconds, "run": ""}))
    assert status.durations('{"train@a": {"seconds": 9.0, "gpu_gib": 3.0}}') == {"train@a": 9.0, "train@b": 2.0}
