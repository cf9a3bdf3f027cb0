"""Three machines: the lock of one, nothing computed on the head, and nothing computed twice."""

import sys

import pytest
import repository
import yaml
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


@pytest.mark.slow
def test_a_sweep_shares_what_its_points_share(machines):
    """A deployment on the pool `head`, as the README starts it: two points, experiments that DVC knows."""
    machines.found(real, "sweep")
    head = machines.clone("sweep-head")
    machines.deploy(head)
    mirror = {"QUJING_MIRROR": str(head / "mirror")}
    machines.worker("sweep-cpu", "--queue", "cpu", "--slots", "2", **mirror)
    machines.worker("sweep-gpu", "--queue", "gpu", "--gpu", "0", "--gib", "8", **mirror)
    machines.worker("sweep-main", "--queue", "head", "--slots", "1", **mirror)
    branch = repository.run(head, "git", "symbolic-ref", "--short", "HEAD").strip()
    asked = ["-p", 'grid={"systems.new_words.train.min_count": [2, 3]}', "-p", f'branch="{branch}"', "--watch"]
    command = [sys.executable, "-m", "prefect", "deployment", "run", "sweep/sweep", *asked]
    printed = repository.run(head, *command, **machines.settings)
    assert "Completed" in printed, printed + machines.log("sweep-main")
    ran = [name for name, _ in machines.runs() if name.partition("@")[0] in ("crawl", "preprocess", "train")]
    before = ["crawl@texts", "preprocess@gold", "preprocess@texts", "train@new_words", "train@words_on_gpu"]
    for name in before if ran.count("crawl@texts") > 1 else []:
        ran.remove(name)  # of the test before
    assert sorted(ran) == [*before[:3], "train@new_words", "train@new_words", "train@words_on_gpu"]
    names = repository.dvc(head, "exp", "list", "--name-only", "origin").split()
    assert len(names) == 2
    repository.dvc(head, "exp", "pull", "--no-cache", "origin", *names)
    counts = [repository.run(head, "git", "show", f"{name}:params.yaml") for name in _commits(head)]
    assert sorted(yaml.safe_load(text)["systems"]["new_words"]["train"]["min_count"] for text in counts) == [2, 3]
    assert not machines.unfinished()


def _commits(root):
    return repository.run(root, "git", "for-each-ref", "--format=%(objectname)", "refs/exps").split()
