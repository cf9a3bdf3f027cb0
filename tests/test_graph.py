"""What DVC does with the graph: nothing twice, nothing for a comment, the same bytes, and no hidden inputs."""

import shutil
import sys
from pathlib import Path

import pytest
import repository
import yaml
from repository import dvc, reproduced, run

from stages.core.files import digest

QUIET = {"QUJING_TRACKING": "off"}


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_second_run_does_nothing_but_the_digests(small):
    assert reproduced(small, **QUIET) == []
    assert dvc(small, "status").split() == ["code:", "always", "changed"]


def test_a_comment_in_core_runs_nothing(small):
    edit(small / "stages/core/files.py", "def digest(", "# what DVC says\ndef digest(")
    assert reproduced(small, **QUIET) == []


def test_a_changed_constant_in_the_discovery_runs_its_train_evaluation_and_the_report(small):
    edit(small / "stages/words/solidity.py", "np.log(", "1.1 * np.log(")
    assert reproduced(small, **QUIET) == ["train@new_words", "evaluate@new_words", "report"]


def test_a_changed_parameter_runs_its_own_rows(small):
    values = yaml.safe_load((small / "params.yaml").read_text())
    values["systems"]["new_words"]["evaluate"]["tops"] = [10]
    (small / "params.yaml").write_text(yaml.safe_dump(values, allow_unicode=True, sort_keys=False))
    assert reproduced(small, **QUIET) == ["evaluate@new_words", "report"]


def test_two_clean_runs_give_the_same_lock(finished, tmp_path):
    again = tmp_path / "again"
    again.mkdir()
    repository.build(again)
    shutil.rmtree(again / "mirror")
    shutil.copytree(finished / "mirror", again / "mirror")
    reproduced(again, **QUIET)
    assert (again / "dvc.lock").read_bytes() == (finished / "dvc.lock").read_bytes()


def test_every_stage_reads_and_writes_only_what_it_declares(finished, tmp_path):
    """Each stage runs in a folder that holds its declared inputs and the code, and makes the same bytes there."""
    lock = yaml.safe_load((finished / "dvc.lock").read_text())["stages"]
    for name, entry in lock.items():
        alone = tmp_path / name.replace("@", "-")
        alone.mkdir()
        for given in ("stages", "params.yaml", *(dep["path"] for dep in entry.get("deps", []))):
            target = alone / given
            target.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if (finished / given).is_dir() else shutil.copy)(finished / given, target)
        before = {path for path in alone.rglob("*") if path.is_file()}
        mirror = str(finished / "mirror")
        command = entry["cmd"].replace("python", sys.executable, 1).split()
        run(alone, *command, QUJING_TRACKING="off", QUJING_MIRROR=mirror)
        outs = [out["path"] for out in entry["outs"]]
        for path in {path for path in alone.rglob("*") if path.is_file()} - before:
            place = path.relative_to(alone).as_posix()
            allowed = place.startswith(".spool/") or "__pycache__" in place
            assert allowed or any(place == out or place.startswith(out + "/") for out in outs), f"{name} wrote {place}"
        for out in entry["outs"]:
            assert digest(alone / out["path"]) == out["md5"], f"{name} makes other bytes of {out['path']}"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda v: v["systems"]["new_words"]["train"].update(min_cont=3),
            "unknown key 'min_cont'; did you mean 'min_count'",
        ),
        (lambda v: v["systems"]["new_words"]["train"].pop("order"), "systems.new_words.train has no key 'order'"),
        (lambda v: v["systems"]["new_words"].update(kind="new_word"), "choices: "),
        (lambda v: v["systems"]["new_words"].update(family="word"), "family is 'word'; choices: corpora, words"),
        (lambda v: v.pop("run"), "the file has no key 'run'"),
        (
            lambda v: v["systems"]["new_words"].update(input="data/none"),
            "data/none, read by train@new_words, is missing",
        ),
    ],
)
def test_a_mistake_in_params_is_one_sentence_and_leaves_the_outputs(small, change, sentence):
    values = yaml.safe_load((small / "params.yaml").read_text())
    change(values)
    (small / "params.yaml").write_text(yaml.safe_dump(values))
    before = (small / "models/new_words/words.parquet").read_bytes()
    with pytest.raises(AssertionError) as failure:
        run(small, sys.executable, "-m", "stages.run", "train", "new_words", **QUIET)
    printed = str(failure.value).splitlines()[0]
    assert printed.startswith("train@new_words: ")
    assert sentence in printed
    assert "Traceback" not in str(failure.value)
    assert (small / "models/new_words/words.parquet").read_bytes() == before


def test_the_runner_says_how_it_is_used(small):
    for arguments in ([], ["fly", "x"], ["train"]):
        with pytest.raises(AssertionError, match=r"usage: python -m stages.run \{crawl\|preprocess\|train\|evaluate\}"):
            run(small, sys.executable, "-m", "stages.run", *arguments)


def test_training_and_evaluation_are_one_run_in_mlflow(finished):
    code = """
from mlflow import MlflowClient
from stages.core import files, tracking
client = MlflowClient(tracking.where())
home = client.get_experiment_by_name("words").experiment_id
(run,) = client.search_runs([home])
assert run.data.tags["made"] == files.digest(__import__("pathlib").Path("models/new_words"))
assert {"f1", "train/seconds", "evaluate/seconds"} <= set(run.data.metrics), run.data.metrics
assert {d.dataset.name for d in run.inputs.dataset_inputs} == {"data/texts", "data/gold"}
"""
    run(finished, sys.executable, "-c", code)
