"""One training on two processes: the weights of one process, the same bytes again, and failures told once."""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import repository
import yaml

from stages import run
from stages.core import distributed, torchrun
from stages.core.checkpoints import Checkpoint
from stages.core.errors import Refusal

TOLERANCE = 1e-6
"""Of the largest weight and of the loss: float32 summed in another order, 60 steps of Adam long."""

TINY = '''
    """Fit a fixed random function; batches of 33 and losses of 5 a row, so that two processes share unevenly."""

    from __future__ import annotations

    import json
    import os
    import time
    from dataclasses import dataclass
    from pathlib import Path

    from stages.core import distributed
    from stages.core.checkpoints import Checkpoint
    from stages.core.errors import Unreachable
    from stages.core.progress import say
    from stages.core.systems import Findings, Inputs


    @dataclass(frozen=True)
    class Tiny:
        device: str
        fails: str  # what the second process does: refuse in the middle or, when the first is done, crash


    def train(inputs: Inputs, params: Tiny, out: Path) -> Findings:
        import torch
        from safetensors.torch import save_file

        with distributed.joined(params.device) as device:
            torch.manual_seed(0)
            draw = torch.Generator().manual_seed(1)
            model = torch.nn.Sequential(torch.nn.Linear(8, 32), torch.nn.GELU(), torch.nn.Linear(32, 5)).to(device)
            network = distributed.parallel(model)
            optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
            checkpoint, start, history = Checkpoint(inputs.spool), 0, []
            if kept := checkpoint.load():
                tensors, values = kept
                start, history = values["step"], values["history"]
                draw.set_state(tensors.pop("draw"))
                model.load_state_dict({name: tensors[name] for name in model.state_dict()})
                state = optimiser.state_dict()
                moments = ("step", "exp_avg", "exp_avg_sq")
                state["state"] = {i: {m: tensors[f"{m}.{i}"] for m in moments} for i in range(4)}
                optimiser.load_state_dict(state)
                say(f"goes on from {start}")
            for step in range(start, 60):
                x = torch.randn(33, 8, generator=draw)
                y = x[:, :5] + x[:, 3:].sin()
                x, y = (distributed.share(part).to(device) for part in (x, y))
                loss = distributed.mean((network(x) - y).square())
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                history.append(distributed.average(loss).item())
                if step % 10 == 9:
                    moments = {f"{m}.{i}": v for i, s in optimiser.state_dict()["state"].items() for m, v in s.items()}
                    moments["draw"] = draw.get_state()
                    checkpoint.save({**model.state_dict(), **moments}, {"step": step + 1, "history": history})
                if step == 15 and params.fails == "unreachable" and distributed.world()[0] == 1:
                    raise Unreachable("nobody answers")
                if str(step) == os.environ.get("STOP_AT"):
                    say("waits")
                    time.sleep(60)
            if params.fails == "crash" and distributed.world()[0] == 1:
                time.sleep(0.5)
                raise ValueError("a defect")
        out.mkdir()
        save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, out / "model.safetensors")
        (out / "history.json").write_text(json.dumps(history))
        return Findings(metrics={"loss": history[-1]}, history={"loss": history})
'''


@pytest.fixture(scope="module")
def code(tmp_path_factory):
    """The stages of this repository, with one more system."""
    folder = tmp_path_factory.mktemp("code")
    shutil.copytree(repository.ROOT / "stages", folder / "stages")
    (folder / "stages/words/tiny.py").write_text(textwrap.dedent(TINY).lstrip())
    table = folder / "stages/words/__init__.py"
    text = table.read_text().replace("from stages.words import ", "from stages.words import tiny, ")
    table.write_text(text.replace("TRAIN: Choices = {", 'TRAIN: Choices = {"tiny": tiny.train, '))
    return folder


@pytest.fixture
def place(code, tmp_path):
    """Makes folders with those stages."""
    names = iter("abc")

    def lay() -> Path:
        folder = tmp_path / next(names)
        folder.mkdir()
        (folder / "stages").symlink_to(code / "stages")
        return folder

    return lay


def start(folder: Path, gpus: int = 2, device: str = "cpu", fails: str = "", **more: str) -> subprocess.Popen:
    row = {"family": "words", "kind": "tiny", "input": "code/none", "against": "code/none", "gpus": gpus}
    row["train"] = {"device": device, "fails": fails}
    values = {"run": {"seed": 0, "threads": 2}, "systems": {"tiny": row}}
    (folder / "params.yaml").write_text(yaml.safe_dump(values))
    return subprocess.Popen(
        [sys.executable, "-m", "stages.run", "train", "tiny"],
        cwd=folder,
        env=repository.environment(folder, QUJING_TRACKING="off", TMPDIR=str(folder.parent), **more),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def ended(process: subprocess.Popen) -> tuple[int, str]:
    """Its exit code and all it printed."""
    printed, _ = process.communicate(timeout=120)
    return process.returncode, printed


def weights(folder: Path) -> dict:
    from safetensors.torch import load_file

    return load_file(folder / "models/tiny/model.safetensors")


def made(folder: Path) -> list[str]:
    """All files that are there but the code and its params."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return [name for name in names if name != "params.yaml" and not name.startswith("stages")]


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def until(true: Callable[[], bool]) -> None:
    """Wait until it is, some seconds at most."""
    for _ in range(100):
        if true():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come true")


def test_two_processes_train_what_one_does_up_to_the_order_of_sums(place):
    alone, together = place(), place()
    runs = [start(alone, gpus=1), start(together)]
    assert [ended(process) for process in runs] == [(0, ""), (0, "")]
    one, two = weights(alone), weights(together)
    largest = max(tensor.abs().max() for tensor in one.values())
    apart = max((one[name] - two[name]).abs().max() for name in one)
    assert 0 < apart <= TOLERANCE * largest, apart / largest
    losses = [json.loads((folder / "models/tiny/history.json").read_text()) for folder in (alone, together)]
    assert losses[0] == pytest.approx(losses[1], rel=TOLERANCE)
    assert losses[0][-1] < losses[0][0] / 2


def test_a_training_stopped_by_hand_and_then_killed_goes_on_to_the_same_bytes(place):
    """The second time only the process that was started is killed: the others must not go on without it."""
    folder, whole = place(), place()
    uninterrupted = start(whole)
    first = start(folder, STOP_AT="15")
    assert first.stdout.readline() == "waits\n"
    first.send_signal(signal.SIGINT)
    assert ended(first) == (130, "train@tiny: stopped; run it again to go on\n")
    second = start(folder, STOP_AT="35")
    assert [second.stdout.readline() for _ in range(2)] == ["goes on from 10\n", "waits\n"]
    workers = children(second.pid)
    assert len(workers) == 2
    second.kill()
    ended(second)
    until(lambda: not any(alive(worker) for worker in workers))
    assert not (folder / "models/tiny").exists()
    assert ended(start(folder)) == (0, "goes on from 30\n")
    assert ended(uninterrupted) == (0, "")
    same = ["models/tiny/history.json", "models/tiny/model.safetensors", "results/train/tiny/metrics.json"]
    assert made(folder) == made(whole) == [".spool/measured/train@tiny.json", *same]
    for name in same:
        assert (folder / name).read_bytes() == (whole / name).read_bytes()


def test_a_refusal_of_one_process_ends_all_with_its_sentence_once(place):
    folder = place()
    assert ended(start(folder, fails="unreachable")) == (os.EX_TEMPFAIL, "train@tiny: nobody answers\n")
    assert not any(name.startswith(("models", "results")) for name in made(folder))


def test_a_defect_in_one_process_ends_all_and_its_traceback_comes_last(place):
    """The first process is done when the second one fails, and must not leave a model."""
    folder = place()
    code, printed = ended(start(folder, fails="crash"))
    assert code == 1
    assert "process 1 of the training: Traceback" in printed
    assert printed.endswith("ValueError: a defect\n")
    assert not any(name.startswith(("models", "results")) for name in made(folder))


def test_a_process_told_to_end_while_it_reports_reports_whole(second_of_two, tmp_path, monkeypatch):
    code = """
import os, signal
from torch.distributed.elastic.multiprocessing.errors import ErrorHandler
from stages.core import torchrun
record = ErrorHandler.record_exception
def told(self, error):
    os.kill(os.getpid(), signal.SIGTERM)
    record(self, error)
ErrorHandler.record_exception = told
with torchrun.reported():
    raise ValueError("a defect")
"""
    monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(tmp_path / "error.json"))
    done = subprocess.run([sys.executable, "-c", code], cwd=repository.ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")
    assert json.loads((tmp_path / "error.json").read_text())["message"]["message"] == "ValueError: a defect"


@pytest.fixture
def second_of_two(monkeypatch):
    """This process, as torchrun starts the second of two."""
    torchrun = {"TORCHELASTIC_RUN_ID": "x", "RANK": 1, "LOCAL_RANK": 1, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2}
    for name, value in torchrun.items():
        monkeypatch.setenv(name, str(value))


def test_the_second_process_saves_and_makes_nothing(second_of_two, tmp_path, monkeypatch):
    import torch

    monkeypatch.chdir(tmp_path)
    Path(".spool").mkdir()
    Checkpoint(Path(".spool")).save({"weight": torch.zeros(1)}, {"step": 1})
    with torchrun.making(Path("models/tiny")) as out:
        out.mkdir()
        (out / "model").write_text("of the second")
    assert [path for path in tmp_path.rglob("*") if path.name != ".spool"] == []


@pytest.mark.parametrize(
    ("device", "have", "sentence"),
    [
        ("cuda", 0, "says gpus: 2, but this machine has 0: lower gpus, or set device to cpu"),
        ("cuda", 1, "says gpus: 2, but this machine has 1"),
        ("auto", 1, "says gpus: 2, but this machine has 1"),
        ("cuda:0", 2, "device 'cuda:0' is one GPU, but 2 processes"),
        ("gpu", 2, "device 'gpu' is unknown"),
    ],
)
def test_too_few_gpus_are_refused(second_of_two, monkeypatch, device, have, sentence):
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: have)
    with pytest.raises(Refusal, match=sentence), distributed.joined(device):
        pass


def test_a_batch_is_shared_whole(monkeypatch, second_of_two):
    shares = []
    for rank in (0, 1, 2):
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setenv("WORLD_SIZE", "3")
        shares.append(distributed.share(list(range(7))))
    assert shares == [[0, 1], [2, 3], [4, 5, 6]]
    with pytest.raises(Refusal, match="a batch of 2 has nothing for some of 3 processes"):
        distributed.share([1, 2])


def test_batch_norm_on_shares_is_refused(second_of_two):
    from torch import nn

    with pytest.raises(Refusal, match="batch norm sees only"):
        distributed.parallel(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)))


def test_a_training_that_never_joins_the_others_is_refused(second_of_two):
    with pytest.raises(Refusal, match="says gpus: 2, but its training is written for one process"):
        distributed.check()


def test_alone_everything_is_the_plain_thing():
    import torch

    module, batch = torch.nn.Linear(2, 1), torch.arange(6.0).reshape(3, 2)
    distributed.check()
    with distributed.joined("cpu") as device:
        assert device == torch.device("cpu")
        assert distributed.parallel(module) is module
        assert torch.equal(distributed.share(batch), batch)
        assert torch.equal(distributed.mean(batch), batch.mean())
        assert torch.equal(distributed.average(batch.mean()), batch.mean())


@pytest.mark.parametrize("gpus", [0, "two", 1.5, None])
def test_gpus_must_be_a_count(tmp_path, monkeypatch, gpus):
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(yaml.safe_dump({"systems": {"tiny": {"gpus": gpus}}}))
    with pytest.raises(Refusal, match=r"systems\.tiny\.gpus is .*, but it must be a whole number from 1"):
        run.processes("train", "tiny")
    assert run.processes("evaluate", "tiny") == 1
