"""The lock file is DVC's own, byte for byte."""

import os
import shutil
import subprocess
import sys

import repository
from dvc.utils.serialize import dump_yaml, dumps_yaml, load_yaml

from flows.quicker import Lock

QUIET = {"QUJING_TRACKING": "off", "DVC_NO_ANALYTICS": "1"}


def dvc(folder, *command):
    paths = os.pathsep.join([str(folder), str(repository.ROOT)])
    told = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env={
            **os.environ,
            **QUIET,
            "PYTHONPATH": paths,
            "PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}",
        },
        capture_output=True,
        text=True,
    )
    assert told.returncode == 0, told.stderr
    return told.stdout


def test_it_writes_what_dvc_writes(small):
    lock = small / "dvc.lock"
    whole = lock.read_bytes()
    for command in (("flows.quicker", "repro"), ("dvc", "repro")):
        lock.unlink()
        assert "Updating lock file" in dvc(small, *command)
        assert lock.read_bytes() == whole


def test_a_stage_that_changes_is_written_in_its_place(small, tmp_path):
    other = shutil.copytree(small, tmp_path / "other", symlinks=True)
    for folder, command in ((small, "flows.quicker"), (other, "dvc")):
        text = (folder / "params.yaml").read_text()
        (folder / "params.yaml").write_text(text.replace("top: 0", "top: 7"))
        assert "Running stage 'train@new_words'" in dvc(folder, command, "repro")
    assert b"top: 7" in (small / "dvc.lock").read_bytes()
    assert (small / "dvc.lock").read_bytes() == (other / "dvc.lock").read_bytes()


def test_entries_of_a_large_lock_are_put_into_words_as_the_whole_would_be(tmp_path):
    path, whole = tmp_path / "dvc.lock", load_yaml(repository.ROOT / "dvc.lock")
    shutil.copy(repository.ROOT / "dvc.lock", path)
    lock = Lock()
    for name in [*list(whole["stages"])[::10], *(name for name in whole["stages"] if "sgan_sn" in name)]:
        with lock.modified(str(path)) as data:
            twice = [name]
            data["stages"].update({name: {**data["stages"][name], "cmd": "long: " * 30, "one": twice, "other": twice}})
    assert load_yaml(path)["stages"] == lock.data["stages"]
    dump_yaml(tmp_path / "by_dvc.lock", load_yaml(path))
    assert path.read_bytes() == (tmp_path / "by_dvc.lock").read_bytes()


def test_an_entry_stands_for_itself(tmp_path):
    path, shared = tmp_path / "dvc.lock", [1, 2]
    dump_yaml(path, {"schema": "2.0", "stages": {"a": {"x": shared}, "b": {"x": shared, "y": shared}, "c": {}}})
    with Lock().modified(str(path)) as data:
        data["stages"].update({"c": {"cmd": "c"}})
    apart = {"a": {"x": [1, 2]}, "b": {"x": shared, "y": shared}, "c": {"cmd": "c"}}
    assert path.read_text() == dumps_yaml({"schema": "2.0", "stages": apart})


def test_what_another_process_wrote_meanwhile_stays(tmp_path):
    path, lock = tmp_path / "dvc.lock", Lock()
    for name in ("a", "b"):
        with lock.modified(str(path)) as data:
            data.update({"schema": "2.0", "stages": data.get("stages", {}) | {name: {"cmd": name}}})
    other = load_yaml(path)
    other["stages"]["c"] = {"cmd": "c"}
    dump_yaml(path, other)
    with lock.modified(str(path)) as data:
        data["stages"].update({"b": {"cmd": "again"}})
    assert load_yaml(path)["stages"] == {"a": {"cmd": "a"}, "b": {"cmd": "again"}, "c": {"cmd": "c"}}
