"""Outputs are whole or absent, and digests are DVC's."""

import errno
import subprocess
import sys

import pytest

from stages.core import files
from stages.core.errors import Refusal


def test_a_file_appears_whole_and_replaces_the_old_one(tmp_path):
    target = tmp_path / "deep" / "x.txt"
    for text in ("old", "new"):
        with files.replacing(target) as beside:
            beside.write_text(text)
            assert not target.exists() or target.read_text() == "old"
        assert target.read_text() == text
    assert [p.name for p in target.parent.iterdir()] == ["x.txt"]


def test_a_folder_that_fails_half_way_leaves_the_old_one_and_nothing_beside(tmp_path):
    target = tmp_path / "out"
    target.mkdir()
    (target / "kept").write_text("kept")
    with pytest.raises(RuntimeError), files.replacing(target) as beside:
        beside.mkdir()
        (beside / "half").write_text("half")
        raise RuntimeError
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["kept", "out"]


def test_a_full_disk_is_one_sentence(tmp_path):
    with (
        pytest.raises(Refusal, match=r"cannot write .*x: No space left on device"),
        files.replacing(tmp_path / "x") as p,
    ):
        p.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert not list(tmp_path.iterdir())


def test_writing_nothing_is_refused(tmp_path):
    with pytest.raises(Refusal, match="nothing was written"), files.replacing(tmp_path / "x"):
        pass


def test_json_has_the_same_bytes_for_the_same_value(tmp_path):
    files.write_json({"b": 1, "a": "词"}, tmp_path / "1")
    files.write_json({"a": "词", "b": 1}, tmp_path / "2")
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes() == '{\n  "a": "词",\n  "b": 1\n}\n'.encode()


def test_digests_are_those_of_dvc(tmp_path):
    folder = tmp_path / "tree"
    (folder / "inner").mkdir(parents=True)
    for name in ("b", "a-b", "inner/c", "inner-x", "a"):
        (folder / name).write_text(name)
    run = {"cwd": tmp_path, "check": True, "capture_output": True}
    subprocess.run([sys.executable, "-m", "dvc", "init", "--no-scm", "-q"], **run)
    subprocess.run([sys.executable, "-m", "dvc", "add", "-q", "tree"], **run)
    assert f"md5: {files.digest(folder)}\n" in (tmp_path / "tree.dvc").read_text()
    assert len(files.digest(folder)) == 36
    assert files.digest(folder / "a") == "0cc175b9c0f1b6a831c399e269772661"
