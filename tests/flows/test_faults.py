"""What can go wrong on many machines, each with real processes: the graph is finished, or says what failed and why.

In every case no output is lost or half there, no run is left under way, and the next run goes on with what is done.
"""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from functools import cache
from hashlib import md5
from pathlib import Path

import pytest
import repository
import yaml
from machines import Machines, real, toy, until

pytestmark = pytest.mark.slow

CHAIN = {
    "a": {"seconds": 0.2},
    "b": {"needs": ["a"], "seconds": 6},
    "c": {"needs": ["a"], "seconds": 0.2},
    "d": {"needs": ["b", "c"], "seconds": 0.2},
}


@pytest.fixture(scope="module")
def services(tmp_path_factory):
    found = Machines(tmp_path_factory.mktemp("machines"))
    yield found
    found.close()


@pytest.fixture
def machines(services, request):
    """Fresh repositories, and no machine left from the test before."""
    name = f"faults-{time.time_ns()}"
    services.found(lambda folder: toy(getattr(request, "param", CHAIN), folder), name)
    services.prefix = name
    yield services
    for process in [process for process in services.processes if process != "server"]:
        services.stop(process)
    with services.client() as client:
        for worker in client.read_workers_for_work_pool("cpu"):
            client.request(
                "DELETE",
                "/work_pools/{pool}/workers/{name}",
                path_params={"pool": "cpu", "name": worker.name},
            )


@pytest.fixture
def head(machines):
    root = machines.clone(f"{machines.prefix}-head")
    machines.deploy(root)
    return root


def start(machines, *names, **more):
    """CPU workers of one slot."""
    for name in names:
        machines.worker(f"{machines.prefix}-{name}", "--queue", "cpu", "--slots", "1", **more)


def where(machines, stage):
    """The worker on which a stage is under way, without the prefix; None before."""
    for name in machines.processes:
        if name.startswith(machines.prefix) and f"begin {stage}" in machines.log(name):
            return name.removeprefix(f"{machines.prefix}-")
    return None


@cache
def serial(graph):
    """The dvc.lock that one machine makes of a toy graph (as JSON)."""
    with tempfile.TemporaryDirectory() as folder:
        toy(json.loads(graph), Path(folder))
        repository.dvc(Path(folder), "repro", "-q")
        return (Path(folder) / "dvc.lock").read_bytes()


def settled(machines, head, printed, graph=CHAIN):
    """The graph is done, as one machine would have done it, and the next run finds all of it."""
    assert printed.endswith("exit 0"), printed
    assert (head / "dvc.lock").read_bytes() == serial(json.dumps(graph))
    assert not machines.unfinished()
    objects = machines.objects()
    data = {name: content for name, content in objects.items() if name.startswith("store/files/md5/")}
    assert len(data) == len(graph)
    assert all(name[-33:].replace("/", "") == md5(content).hexdigest() for name, content in data.items())
    assert len(objects) - len(data) == len(graph), "a record for each stage, and nothing else"
    (head / "dvc.lock").unlink()
    assert machines.pipeline(head).count(": restored") == len(graph)


def test_a_worker_that_is_killed(machines, head):
    """It comes back at once, and takes what it had left."""
    start(machines, "one")
    flow = machines.start_pipeline(head)
    until(lambda: where(machines, "b"), what="stage b")
    time.sleep(1)
    machines.stop(f"{machines.prefix}-one")
    machines.worker(
        f"{machines.prefix}-one", "--queue", "cpu", "--slots", "1", root=machines.folder / f"{machines.prefix}-one"
    )
    printed = machines.wait(flow, head)
    assert "was started anew; it is tried again" in printed
    settled(machines, head, printed)


def test_a_worker_that_vanishes(machines, head):
    """It never comes back: another takes over."""
    start(machines, "one", "two")
    flow = machines.start_pipeline(head)
    until(lambda: where(machines, "b"), what="stage b")
    machines.stop(f"{machines.prefix}-{where(machines, 'b')}")
    printed = machines.wait(flow, head)
    assert "gave no sign of life for 8 s; it is tried again" in printed
    settled(machines, head, printed)


def test_all_workers_vanish(machines, head):
    """The run ends with the stage and the reason; the next one goes on from there."""
    start(machines, "one")
    flow = machines.start_pipeline(head, QUJING_PATIENCE="10")
    until(lambda: where(machines, "b"), what="stage b")
    machines.stop(f"{machines.prefix}-one")
    printed = machines.wait(flow, head)
    assert "4 stages, 3 of them not done: b, c, d. " in printed
    assert "one gave no sign of life for 8 s" in printed
    assert "c failed: no worker took it: start one with `make worker QUEUE=cpu`" in printed
    assert not machines.unfinished()
    start(machines, "two")
    again = machines.pipeline(head)
    assert "a: " not in again
    settled(machines, head, again)


def test_the_remote_is_away(machines, head):
    """Half a minute without S3 while outputs are pushed and inputs pulled."""
    start(machines, "one")
    flow = machines.start_pipeline(head)
    until(lambda: where(machines, "b"), what="stage b")
    machines.stop_s3()
    time.sleep(30)
    machines.start_s3()
    settled(machines, head, machines.wait(flow, head))


def test_the_server_is_restarted(machines, head):
    start(machines, "one", "two")
    flow = machines.start_pipeline(head)
    until(lambda: where(machines, "b"), what="stage b")
    machines.stop("server")
    time.sleep(8)
    machines.start_server()
    settled(machines, head, machines.wait(flow, head))


def test_mlflow_is_away(machines):
    """A stage is no worse for a tracking server that does not answer."""
    machines.found(real, f"{machines.prefix}-real")
    head = machines.clone(f"{machines.prefix}-real-head")
    machines.deploy(head)
    away = {"QUJING_TRACKING": "on", "MLFLOW_TRACKING_URI": "http://127.0.0.1:9", "QUJING_MIRROR": str(head / "mirror")}
    away |= {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    machines.worker(f"{machines.prefix}-one", "--queue", "cpu", **away)
    machines.worker(f"{machines.prefix}-gpu", "--queue", "gpu", "--gpu", "0", "--gib", "8", **away)
    printed = machines.pipeline(head, **away)
    assert printed.endswith("exit 0"), printed
    assert "is done, but MLflow at http://127.0.0.1:9 took no record of it" in machines.log(f"{machines.prefix}-one")
    assert not machines.unfinished()


@pytest.mark.parametrize("machines", [{**CHAIN, "b": {**CHAIN["b"], "seconds": 0, "how": "fail"}}], indirect=True)
def test_a_stage_that_fails(machines, head):
    """It is not tried again, and what does not need it is done."""
    start(machines, "one", "two")
    printed = machines.pipeline(head)
    assert "4 stages, 2 of them not done: b, d. b failed: " in printed
    assert "the loss is not a number" in printed
    assert printed.endswith("exit 1")
    assert machines.runs().count(("b", "Failed")) >= 1
    assert "tried again" not in printed
    assert not machines.unfinished()
    lock = yaml.safe_load((head / "dvc.lock").read_text())["stages"]
    assert sorted(lock) == ["a", "c"]
    again = machines.pipeline(head)
    assert "c: run" not in again


def test_two_heads_ask_for_the_same(machines, head):
    """Two people start the same graph: both get the same lock, and nothing is half there."""
    start(machines, "one", "two")
    other = machines.clone(f"{machines.prefix}-other")
    printed = {}
    flows = {root: machines.start_pipeline(root) for root in (head, other)}
    for root, flow in flows.items():
        printed[root] = machines.wait(flow, root)
    assert printed[other].endswith("exit 0"), printed[other]
    assert (other / "dvc.lock").read_bytes() == (head / "dvc.lock").read_bytes()
    settled(machines, head, printed[head])


@pytest.mark.parametrize("machines", [{**CHAIN, "b": {**CHAIN["b"], "seconds": 0, "how": "large"}}], indirect=True)
def test_a_full_disk(machines, head, tmp_path):
    """A machine without space hands the stage on to one that has some."""
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(small)], check=False)
    if mounted.returncode:
        pytest.skip("this machine lets nobody mount a small disk")
    try:
        root = shutil.copytree(machines.clone(f"{machines.prefix}-full"), small / "full", symlinks=True)
        machines.worker(f"{machines.prefix}-full", "--queue", "cpu", "--slots", "1", root=root)
        flow = machines.start_pipeline(head, QUJING_SILENCE="60")  # for another worker to come
        until(lambda: "No space left" in machines.log(f"{machines.prefix}-full"), what="a full disk")
        start(machines, "one")
        printed = machines.wait(flow, head)
        assert "No space left" in printed
        settled(machines, head, printed, {**CHAIN, "b": {**CHAIN["b"], "seconds": 0, "how": "large"}})
    finally:
        machines.stop(f"{machines.prefix}-full")
        subprocess.run(["umount", "-l", str(small)], check=True)


def test_a_machine_at_another_commit(machines, head):
    """It is brought to the commit of the run; one with other packages says so, and another takes over."""
    text = (head / "toy.py").read_text()
    (head / "toy.py").write_text(text.replace("text = name +", "text = name + '!' +"))  # committed nowhere
    start(machines, "one")
    flow = machines.start_pipeline(head)
    printed = machines.wait(flow, head)
    assert printed.endswith("exit 0"), printed
    lock = (head / "requirements.lock").read_text()
    (head / "requirements.lock").write_text(lock + "# another\n")
    (head / "toy.py").write_text(text.replace("text = name +", "text = name + '?' +"))
    printed = machines.pipeline(head, QUJING_SILENCE="8", QUJING_PATIENCE="5")
    assert "has another requirements.lock than the commit" in printed
    assert printed.endswith("exit 1")
    assert not machines.unfinished()


def test_a_run_that_is_stopped_by_hand(machines, head):
    """Ctrl-C at the head stops the stages on the workers; the next run goes on."""
    start(machines, "one")
    flow = machines.start_pipeline(head)
    until(lambda: where(machines, "b"), what="stage b")
    os.kill(flow.pid, signal.SIGINT)
    printed = machines.wait(flow, head)
    assert printed.endswith("exit 130"), printed
    until(lambda: not machines.unfinished(), 30, "the end of the stages")
    assert "done b" not in machines.log(f"{machines.prefix}-one")
    again = machines.pipeline(head)
    assert "a: run" not in again
    settled(machines, head, again)
