"""Three machines: the lock of one, nothing computed on the head, and nothing computed twice."""

import pytest
import repository
from machines import Machines, real


@pytest.fixture(scope="module")
def machines(tmp_path_factory):
    found = Machines(tmp_path_factory.mktemp("machines"))
    yield found
    found.close()


def test_three_machines_make_the_lock_of_one(machines):
    machines.found(real)
    serial, head = machines.clone("serial"), machines.clone("head")
    mirror = {"QUJING_MIRROR": str(serial / "mirror")}
    repository.dvc(serial, "repro", "-q", **machines.settings, **mirror)
    machines.deploy(head)
    machines.worker("one", "--queue", "cpu", "--slots", "1", **mirror)
    machines.worker("two", "--queue", "cpu", "--slots", "1", **mirror)
    machines.worker("three", "--queue", "gpu", "--gpu", "0", "--gib", "8", **mirror)
    printed = machines.pipeline(head)
    assert printed.endswith("exit 0"), printed + machines.log("one") + machines.log("three")
    assert "9 stages, 0 of them not done" in printed
    assert (head / "dvc.lock").read_bytes() == (serial / "dvc.lock").read_bytes()
    assert not any((head / name).exists() for name in ("models", "data", "rounds", "reports"))
    with machines.client() as client:
        placed = {run.name: run.work_queue_name for run in client.read_flow_runs() if run.work_queue_name}
    assert placed["train@words_on_gpu"] == "three"
    assert len(set(placed.values())) == 3
    assert len(placed) == 8
    assert not machines.unfinished()

    again = machines.pipeline(head)
    assert "9 stages, 0 of them not done" in again
    assert ": run" not in again
    fresh = machines.clone("fresh")
    restored = machines.pipeline(fresh)
    assert restored.count(": restored") == 8, restored
    assert ": run" not in restored
    assert (fresh / "dvc.lock").read_bytes() == (serial / "dvc.lock").read_bytes()
    assert len(machines.runs()) == 8, "nothing was dispatched again"
    repository.dvc(fresh, "pull", "-q", **machines.settings)
    assert repository.dvc(fresh, "status", **machines.settings).split() == ["code:", "always", "changed"]
