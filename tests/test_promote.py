"""The alias `champion` goes to the better model, and says why where it does not; held against a real registry."""

from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from stages import promote
from stages.core import files, params, tracking
from stages.core.systems import Findings

ROOT = Path(__file__).parents[1]
RULE = promote.Rule("f1", "higher", 0.01, {"recall": 0.5})


def make(*rows, truth="truth one", **changes):
    """Rows (name, f1, recall) as trained, evaluated and tracked on `truth`."""
    Path("data").mkdir(exist_ok=True)
    Path("data/truth").write_text(truth)
    row = {"family": "words", "truth": "data/truth"}
    values = {"systems": {name: row for name, *_ in rows}, "promotion": {"words": {**asdict(RULE), **changes}}}
    Path("params.yaml").write_text(yaml.safe_dump(values))
    for name, f1, recall in rows:
        model = Path("models") / name
        model.mkdir(parents=True, exist_ok=True)
        (model / "words").write_text(f"{name} {f1}")
        metrics = {"f1": f1, "recall": recall}
        files.write_json(metrics, Path("metrics") / f"{name}.json")
        results = Path("results") / name
        files.write_json(metrics, results / "metrics.json")
        made, inputs = files.digest(model), {"truth": Path("data/truth")}
        tracking.record(f"train@{name}", "words", {}, {}, made, Findings(), [results])
        tracking.record(f"evaluate@{name}", "words", {}, inputs, made, Findings(metrics=metrics), [results], made)


def promoted(capsys, *arguments):
    assert promote.main(list(arguments)) == 0
    return capsys.readouterr().out


def champion():
    version = promote.current(tracking.client(), "qujing-words")
    return version and version.tags["row"]


def test_the_best_row_is_the_first_champion_and_says_how_it_is_got(blank, capsys):
    make(("a", 0.60, 0.6), ("b", 0.70, 0.6))
    assert promoted(capsys) == "words: b with f1 0.7000 is the first champion\n"
    version = promote.current(tracking.client(), "qujing-words")
    made = files.digest(Path("models/b"))
    assert version.tags["made"] == made
    assert version.tags["get"] == f"dvc pull models/b in a checkout whose dvc.lock has {made} for it"
    assert version.tags["metric.f1"] == "0.7"
    assert version.source == f"runs:/{version.run_id}/train"
    assert [file.path for file in tracking.client().list_artifacts(version.run_id, "train")] == ["train/metrics.json"]


@pytest.mark.parametrize("f1", [0.70, 0.705, 0.6])
def test_a_tie_and_a_gain_below_the_margin_leave_the_alias(blank, capsys, f1):
    make(("a", 0.70, 0.6))
    promoted(capsys)
    Path("metrics/a.json").unlink()
    make(("b", f1, 0.6))
    said = promoted(capsys)
    assert said == (
        f"words: b with f1 {f1:.4f} does not beat the champion a with 0.7000 by the margin of 0.01: the alias stays\n"
    )
    assert champion() == "a"


@pytest.mark.parametrize(("better", "f1"), [("higher", 0.71), ("lower", 0.69)])
def test_a_gain_of_the_margin_moves_the_alias_and_back_again_no_version_is_made_twice(blank, capsys, better, f1):
    make(("a", 0.70, 0.6), better=better)
    promoted(capsys)
    make(("b", f1, 0.6), better=better)
    assert promoted(capsys, "words") == f"words: b with f1 {f1:.4f} becomes champion: a had 0.7000\n"
    assert champion() == "b"
    assert promoted(capsys) == f"words: b with f1 {f1:.4f} stays champion\n"
    assert len(tracking.client().search_model_versions("name = 'qujing-words'")) == 2


def test_a_guarded_metric_below_its_floor_refuses_the_best(blank, capsys):
    make(("a", 0.70, 0.6), ("b", 0.90, 0.49))
    said = promoted(capsys)
    assert said.splitlines() == [
        "b is refused: its recall 0.4900 is below 0.5",
        "words: a with f1 0.7000 is the first champion",
    ]
    make(("b", 0.90, 0.49))
    assert promoted(capsys).endswith("words: there is nothing to promote, the alias stays as it is\n")
    assert champion() == "a"


def test_a_number_on_another_truth_is_not_compared(blank, capsys):
    make(("a", 0.90, 0.6))
    promoted(capsys)
    make(("b", 0.70, 0.6), ("c", 0.65, 0.6), truth="truth two, which is harder")
    assert promoted(capsys) == (
        "words: b with f1 0.7000 becomes champion as today's best; a was measured on another truth: not comparable\n"
    )
    assert champion() == "b"


def test_a_row_still_measured_on_another_truth_than_the_rest_is_left_out(blank, capsys):
    make(("a", 0.90, 0.6))
    old = files.digest(Path("data/truth"))
    make(("b", 0.70, 0.6), ("c", 0.65, 0.6), truth="truth two")
    values = params.load()
    values["systems"]["a"] = values["systems"]["b"]
    Path("params.yaml").write_text(yaml.safe_dump(values))
    said = promoted(capsys).splitlines()
    assert said[0] == f"a is left out: its truth was another, {old}"
    assert champion() == "b"


def test_a_model_that_mlflow_never_saw_is_named_and_left_out(blank, capsys):
    make(("a", 0.70, 0.6))
    Path("models/a/words").write_text("another")
    assert "a is left out: MLflow has no run that made " in promoted(capsys)
    assert tracking.restored("words", "a", files.digest(Path("models/a")), {"f1": 0.7})
    assert "is the first champion" in promoted(capsys)


def test_what_cannot_be_decided_ends_with_a_sentence(blank, capsys, monkeypatch):
    make(("a", 0.70, 0.6), margn=1)
    assert promote.main([]) == 1
    assert "promotion.words has an unknown key 'margn'; did you mean 'margin'?" in capsys.readouterr().err
    make(("a", 0.70, 0.6))
    assert promote.main(["word"]) == 1
    assert "promotion has no key 'word'; did you mean 'words'?" in capsys.readouterr().err
    monkeypatch.setenv("QUJING_TRACKING", "off")
    assert promote.main([]) == 1
    assert "tracking is off" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["params.yaml", "params/web.yaml", "params/gpu.yaml"])
def test_every_scale_states_a_rule_for_the_same_families(name):
    rules = yaml.safe_load((ROOT / name).read_text())["promotion"]
    assert set(rules) == set(yaml.safe_load((ROOT / "params.yaml").read_text())["promotion"])
    for family, rule in rules.items():
        params.typed(promote.Rule, rule, f"promotion.{family}")
