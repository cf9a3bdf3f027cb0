"""A command whose Python programs are forks of a process that has imported what they need."""

import os
import signal
import subprocess
import sys
import time

import pytest
import repository

LOADED = """
import sys
import time
time.sleep(float(sys.argv[1]))
print("loaded" if "wave" in sys.modules else "not loaded", flush=True)
sys.exit(int(sys.argv[2]))
"""
"""`wave` is a module of the standard library that nobody imports."""


def started(folder, *command, module="heavy"):
    (folder / "program.py").write_text(LOADED)
    (folder / "heavy.py").write_text("import wave\n")
    paths = os.pathsep.join([str(folder), str(repository.ROOT)])
    return subprocess.Popen(
        [sys.executable, "-m", "flows.ahead", module, *command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_programs_find_their_modules_imported_and_give_their_exit_code(tmp_path):
    process = started(tmp_path, "sh", "-c", "until [ -S $QUJING_WARM ]; do sleep 0.1; done; python -m program 0 7")
    out, _ = process.communicate(timeout=60)
    assert (out, process.returncode) == ("loaded\n", 7)


def test_a_program_that_is_no_module_runs_as_ever(tmp_path):
    process = started(tmp_path, "sh", "-c", "sleep 1; python program.py 0 3")
    out, _ = process.communicate(timeout=60)
    assert (out, process.returncode) == ("not loaded\n", 3)


def test_where_nothing_can_be_imported_programs_start_like_any_other(tmp_path):
    process = started(tmp_path, "sh", "-c", "sleep 1; python -m program 0 0", module="absent")
    out, told = process.communicate(timeout=60)
    assert (out, process.returncode) == ("not loaded\n", 0)
    assert "No module named" in told


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_it_leaves_nothing_behind(tmp_path, number):
    process = started(tmp_path, "sh", "-c", "sleep 1; exec python -m program 40 0")
    time.sleep(3)
    begin = time.monotonic()
    os.killpg(process.pid, number)
    process.communicate(timeout=30)
    assert time.monotonic() - begin < 10
    assert process.returncode != 0
    left = subprocess.run(["pgrep", "-f", f"{tmp_path}|program 40"], capture_output=True, text=True).stdout.split()
    assert not left
