"""GPU memory shared out: never more than there is, nobody starves, and what a dead holder held comes back."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from machines import until

from flows import devices
from flows.devices import Device, NoDevice, from_text, tightest, to_text
from flows.graph import Stage
from flows.placement import Job, Worker, choose, request

HOLDER = """
import json, sys, time
from pathlib import Path
from flows import devices
log, name, gib, seconds = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]), float(sys.argv[4])
own = devices.from_text(sys.argv[5])
asked = time.time()
with devices.held(own, gib) as visible:
    began = time.time()
    (log / (name + ".begun")).write_text(visible)
    time.sleep(seconds)
(log / (name + ".json")).write_text(json.dumps([visible, gib, asked, began, time.time()]))
"""

REGISTER = "import sys; from flows import devices; devices.register(devices.from_text(sys.argv[1]))"


def start(server, folder, name, gib, seconds, cards):
    return subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder), name, str(gib), str(seconds), to_text(cards)],
        env={**os.environ, **server.settings, "PYTHONPATH": str(Path(devices.__file__).parents[1])},
    )


@pytest.fixture
def registered(server, monkeypatch):
    """Two cards that the server knows."""
    monkeypatch.setenv("PREFECT_API_URL", server.settings["PREFECT_API_URL"])
    name = f"gpu:test{time.time_ns()}"
    cards = [Device(f"{name}:0", 16, "0"), Device(f"{name}:1", 24, "1")]
    subprocess.run(
        [sys.executable, "-c", REGISTER, to_text(cards)],
        env={**os.environ, **server.settings},
        check=True,
    )
    return cards


def test_random_arrivals_never_exceed_a_device_and_a_large_one_is_served(server, registered, tmp_path):
    chance = random.Random(0)
    small = [(f"small{n}", chance.choice([3, 5, 8]), chance.uniform(0.5, 1.5)) for n in range(8)]
    holders = []
    for n, (name, gib, seconds) in enumerate(small):
        holders.append(start(server, tmp_path, name, gib, seconds, registered))
        if n == 3:
            holders.append(start(server, tmp_path, "large", 22, 0.5, registered))
        time.sleep(chance.uniform(0, 0.3))
    assert [holder.wait(120) for holder in holders] == [0] * len(holders)
    held = {path.stem: json.loads(path.read_text()) for path in tmp_path.glob("*.json")}
    assert len(held) == 9
    for card in registered:
        own = [(gib, began, ended) for visible, gib, _, began, ended in held.values() if visible == card.visible]
        assert own, "both cards are used"
        for moment in [began for _, began, _ in own]:
            assert sum(gib for gib, began, ended in own if began <= moment < ended) <= card.gib
    assert held["large"][0] == "1", "it fits one card only"
    after = [one for name, one in held.items() if name != "large" and one[2] > held["large"][2] + 3]
    assert all(one[3] >= held["large"][3] for one in after if one[0] == "1"), "later ones of that card waited for it"


@pytest.mark.slow
def test_what_a_dead_holder_held_comes_back(server, registered, tmp_path):
    """Within the lease, and the server's look at leases."""
    holder = start(server, tmp_path, "dies", 20, 300, registered)
    until(lambda: (tmp_path / "dies.begun").exists(), what="the hold")
    holder.send_signal(signal.SIGKILL)
    killed = time.time()
    waiting = start(server, tmp_path, "waits", 20, 0, registered)
    assert waiting.wait(150) == 0
    assert 10 < json.loads((tmp_path / "waits.json").read_text())[3] - killed < devices.LEASE + 40
    with server.client() as client:
        assert {client.read_global_concurrency_limit_by_name(card.name).active_slots for card in registered} == {0}


def job(gib=0.0, gpus=1, cores=1.0):
    stage = Stage("train@x", (), False, {"queue": "gpu", "gpu_gib": gib, "gpus": gpus, "cores": cores})
    return Job(stage, "key", request(stage, None))


def test_a_stage_goes_where_it_leaves_least_over():
    small, large = Worker("small", 16, [16]), Worker("large", 16, [48])
    assert choose(job(10), [small, large]) == (small, True)
    small.take({"gpu_gib": 10, "gpus": 1})
    assert choose(job(5), [small, large]) == (small, True), "two small ones share a card"
    assert choose(job(8), [small, large]) == (large, True)
    large.take({"gpu_gib": 45, "gpus": 1})
    assert choose(job(20), [small, large]) == (large, True), "it gets in line where it will fit"
    large.take({"gpu_gib": 20, "gpus": 1})
    assert choose(job(20), [small, large]) == (None, True), "one in line is enough"
    assert choose(job(50), [small, large]) == (None, False)


def test_cpu_stages_spread_by_cores():
    one, two = Worker("one", 2, []), Worker("two", 4, [])
    assert choose(job(cores=2), [one, two])[0] == two
    two.take({"cores": 3})
    assert choose(job(cores=2), [one, two])[0] == one
    one.take({"cores": 2})
    assert choose(job(cores=2), [one, two]) == (None, True)
    two.cores_taken = 0
    assert choose(job(cores=64), [one, two])[0] == two, "who asks for more than there is gets the whole machine"


def test_not_twice_on_a_machine_that_is_unfit_or_was_lost():
    one, two = Worker("one", 2, []), Worker("two", 2, [])
    lost, unfit = job(), job()
    lost.worker = "one"
    unfit.avoid = {"one"}
    assert choose(lost, [one, two])[0] == two
    assert choose(lost, [one])[0] == one, "rather there than nowhere"
    assert choose(unfit, [one]) == (None, False)


def test_the_request_is_learned_from_the_last_peak():
    stage = Stage("train@x", (), False, {"queue": "gpu", "gpu_gib": 20, "gpus": 2})
    assert request(stage, None)["gpu_gib"] == 20
    assert request(stage, 10.0)["gpu_gib"] == 12
    assert request(Stage("train@y", (), False, {"queue": "cpu", "gpu_gib": 0}), 10.0)["gpu_gib"] == 0


def test_what_fits_no_device_is_refused_in_a_sentence():
    with pytest.raises(NoDevice, match="1 x 40 GiB of GPU memory are asked for, and this worker has gpu:h:0 24 GiB"):
        tightest([Device("gpu:h:0", 24, "0")], 40, 1)


def test_devices_survive_the_way_through_a_text():
    cards = [Device("gpu:h:0", 24, "GPU-1234"), Device("gpu:h:1", 80, "1")]
    assert from_text(to_text(cards)) == cards
    assert from_text("") == []
