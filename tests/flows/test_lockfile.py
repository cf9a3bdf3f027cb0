"""The lock file is DVC's own, byte for byte."""

import os
import shutil
import subprocess
import sys

import repository

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
    for command in (("flows.lockfile", "repro"), ("dvc", "repro")):
        lock.unlink()
        assert "Updating lock file" in dvc(small, *command)
        assert lock.read_bytes() == whole


def test_a_stage_that_changes_is_written_in_its_place(small, tmp_path):
    other = shutil.copytree(small, tmp_path / "other", symlinks=True)
    for folder, command in ((small, "flows.lockfile"), (other, "dvc")):
        text = (folder / "params.yaml").read_text()
        (folder / "params.yaml").write_text(text.replace("top: 0", "top: 7"))
        assert "Running stage 'train@new_words'" in dvc(folder, command, "repro")
    assert b"top: 7" in (small / "dvc.lock").read_bytes()
    assert (small / "dvc.lock").read_bytes() == (other / "dvc.lock").read_bytes()
