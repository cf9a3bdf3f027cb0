"""The graph as Prefect tasks: the same lock as `dvc repro`, side by side, and on with it after an interruption."""

import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest
import repository
from repository import environment, run

from flows.budget import Budget
from flows.graph import Stage, reorder
from flows.pipeline import _to_run

QUIET = {"QUJING_TRACKING": "off"}


@pytest.fixture
def fresh(finished, tmp_path):
    """The small repository before anything ran."""
    folder = tmp_path / "qujing"
    folder.mkdir()
    repository.build(folder)
    shutil.rmtree(folder / "mirror")
    shutil.copytree(finished / "mirror", folder / "mirror")
    return folder


def test_the_lock_is_that_of_a_serial_run_and_a_second_run_dispatches_nothing(finished, fresh):
    printed = run(fresh, sys.executable, "-m", "flows.pipeline", **QUIET)
    assert (fresh / "dvc.lock").read_bytes() == (finished / "dvc.lock").read_bytes()
    assert "train@new_words: run" in printed
    assert "7 stages, 0 of them not done" in printed
    again = run(fresh, sys.executable, "-m", "flows.pipeline", **QUIET)
    assert "train@new_words" not in again


def test_interrupted_it_stops_its_stages_and_goes_on_from_there(finished, fresh):
    command = [sys.executable, "-m", "flows.pipeline"]
    process = subprocess.Popen(command, cwd=fresh, env=environment(fresh, **QUIET), start_new_session=True)
    while not (fresh / "rounds/texts").exists():
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) != 0
    run(fresh, *command, **QUIET)
    assert (fresh / "dvc.lock").read_bytes() == (finished / "dvc.lock").read_bytes()


def test_a_failed_stage_stops_only_what_needs_it(fresh):
    (fresh / "mirror/gold.utf8").write_text("other")
    text = (fresh / "params.yaml").read_text()
    (fresh / "params.yaml").write_text(text.replace("gold: gold.utf8", "gold: none.utf8"))
    repository.dvc(fresh, "repro", "-s", "code", **QUIET)
    with pytest.raises(AssertionError) as failure:
        run(fresh, sys.executable, "-m", "flows.pipeline", **QUIET)
    assert "sha256" in str(failure.value) or "checksum" in str(failure.value)


def test_stages_that_did_not_change_are_not_dispatched():
    def stage(name, *needs):
        return Stage(name, needs, False, {})

    plan = [stage("a"), stage("b", "a"), stage("c", "b"), stage("d"), stage("e", "d", "c")]
    assert _to_run(plan, {}) == set()
    assert _to_run(plan, {"b": []}) == {"b", "c", "e"}
    assert _to_run(plan, {"d": []}) == {"d", "e"}


def test_new_entries_of_the_lock_follow_the_old_in_the_order_of_the_graph(tmp_path):
    lock = tmp_path / "dvc.lock"
    lock.write_text("schema: '2.0'\nstages:\n  z: {cmd: z}\n  c: {cmd: c}\n  a: {cmd: a}\n  b: {cmd: b}\n")
    reorder(lock, before=["z", "gone"], plan=["a", "b", "c", "z"])
    assert [line.strip(": ") for line in lock.read_text().splitlines() if line.startswith("  ") and line[2] != " "] == [
        "z",
        "a",
        "b",
        "c",
    ]


def test_the_budget_is_never_exceeded_and_nobody_starves():
    budget, held, most, order = Budget(cores=2, gib=4), [0, 0.0], [0, 0.0], []
    lock = threading.Lock()

    def work(cores, gib, name):
        with budget.taken(cores, gib):
            with lock:
                held[0], held[1] = held[0] + cores, held[1] + gib
                most[0], most[1] = max(most[0], held[0]), max(most[1], held[1])
                order.append(name)
            time.sleep(0.02)
            with lock:
                held[0], held[1] = held[0] - cores, held[1] - gib

    threads = [threading.Thread(target=work, args=(1, 1.5, i)) for i in range(12)]
    threads.insert(4, threading.Thread(target=work, args=(2, 4, "large")))
    for thread in threads:
        thread.start()
        time.sleep(0.002)
    for thread in threads:
        thread.join(timeout=10)
    assert most == [2, 4.0]
    assert order.index("large") <= 5, "the large one waited behind small ones that came after it"
    with budget.taken(99, 99):
        assert budget._free == [0, 0]
