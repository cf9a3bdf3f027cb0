"""The graph side by side, as Prefect tasks or not: the lock of `dvc repro`, and on with it after an interruption."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest
import repository
import yaml
from repository import environment, run

from flows.budget import Budget
from flows.graph import Stage, entries, write
from flows.local import to_run

PIPELINE = [sys.executable, "-m", "flows.pipeline", "--here"]
BESIDE = [sys.executable, "-m", "flows.ahead", "stages.ready", sys.executable, "-m", "flows.beside"]
WAYS = pytest.mark.parametrize("way", [PIPELINE, BESIDE], ids=["prefect", "beside"])


@pytest.fixture
def quiet(server):
    """No tracking, and one server for all tests: each flow would start its own."""
    return {"QUJING_TRACKING": "off", "PREFECT_API_URL": server.settings["PREFECT_API_URL"]}


@pytest.fixture
def fresh(finished, tmp_path):
    """The small repository before anything ran."""
    folder = tmp_path / "qujing"
    folder.mkdir()
    repository.build(folder)
    shutil.rmtree(folder / "mirror")
    shutil.copytree(finished / "mirror", folder / "mirror")
    return folder


@WAYS
def test_the_lock_is_that_of_a_serial_run_and_a_second_run_dispatches_nothing(finished, fresh, quiet, way):
    printed = run(fresh, *way, **quiet)
    assert (fresh / "dvc.lock").read_bytes() == (finished / "dvc.lock").read_bytes()
    assert "train@new_words: run" in printed
    assert "7 stages, 0 of them not done" in printed
    again = run(fresh, *way, **quiet)
    assert "train@new_words" not in again


@WAYS
def test_interrupted_it_stops_its_stages_and_goes_on_from_there(finished, fresh, quiet, way):
    process = subprocess.Popen(way, cwd=fresh, env=environment(fresh, **quiet), start_new_session=True)
    while not (fresh / "rounds/texts").exists():
        assert process.poll() is None
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    assert process.wait(timeout=60) == 130
    run(fresh, *way, **quiet)
    assert (fresh / "dvc.lock").read_bytes() == (finished / "dvc.lock").read_bytes()


@WAYS
def test_a_failed_stage_stops_only_what_needs_it(small, quiet, way):
    text = (small / "params.yaml").read_text()
    text = text.replace("gold: gold.utf8", "gold: none.utf8").replace("shortest: 2", "shortest: 3")
    (small / "params.yaml").write_text(text)
    with pytest.raises(AssertionError) as failure:
        run(small, *way, **quiet)
    printed = str(failure.value)
    assert "preprocess@gold: rounds/texts/files holds no file named none.utf8: mend the name in params.yaml" in printed
    assert "preprocess@texts: run" in printed
    assert "3 of them not done: preprocess@gold, evaluate@new_words, report" in printed


def test_only_what_may_heal_is_tried_again(small, quiet):
    """An unreachable host is asked three times, a file that is nowhere once."""
    values = yaml.safe_load((small / "params.yaml").read_text())
    source = values["rounds"]["texts"]["crawl"]["sources"]["gold.utf8"]
    source |= {"sha256": "0" * 64, "urls": ["http://127.0.0.1:9/gold.utf8"]}
    (small / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    pipeline = small / "flows/here.py"
    pipeline.write_text(pipeline.read_text().replace("retry_delay_seconds=[10, 60]", "retry_delay_seconds=0"))
    download = small / "stages/corpora/download.py"
    download.write_text(download.read_text().replace("BACKOFF = 1.0", "BACKOFF = 0.01"))
    with pytest.raises(AssertionError) as failure:
        run(small, *PIPELINE, **quiet)
    assert str(failure.value).count("\ncrawl@texts: gold.utf8 could not be downloaded") == 3
    source["urls"] = []
    (small / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    with pytest.raises(AssertionError) as failure:
        run(small, *PIPELINE, **quiet)
    assert str(failure.value).count("\ncrawl@texts: gold.utf8 is not there") == 1


def test_stages_that_did_not_change_are_not_dispatched():
    def stage(name, *needs):
        return Stage(name, needs, False, {})

    plan = [stage("a"), stage("b", "a"), stage("c", "b"), stage("d"), stage("e", "d", "c")]
    assert to_run(plan, {}) == set()
    assert to_run(plan, {"b": []}) == {"b", "c", "e"}
    assert to_run(plan, {"d": []}) == {"d", "e"}


def test_new_entries_of_the_lock_follow_the_old_in_the_order_of_the_graph(tmp_path):
    lock = tmp_path / "dvc.lock"
    lock.write_text("schema: '2.0'\nstages:\n  z: {cmd: z}\n  c: {cmd: c}\n  a: {cmd: a}\n  b: {cmd: b}\n")
    write(lock, entries(lock), before=["z", "gone"], plan=["a", "b", "c", "z"])
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
