"""Claims, checkpoints, devices, seeds and progress."""

import random
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from stages.core import claims, progress, seeds
from stages.core.errors import Refusal


@pytest.mark.parametrize(
    ("value", "direction", "passed"),
    [
        (0.8, "at least", True),
        (0.7, "at least", False),
        (0.7, "at most", True),
        (0.8, "at most", False),
        ([0.6, 0.9], "at least", True),
        (0.75, "equal", True),
        (0.7500001, "equal", False),
    ],
)
def test_a_claim_is_judged_by_its_mean(value, direction, passed):
    claim = claims.check(1, "c", "how", value, 0.75, direction, "data")
    assert claim.passed is passed
    assert claim.spread == pytest.approx(0.3 if isinstance(value, list) else 0.0)


def test_a_training_killed_and_resumed_ends_with_the_same_weights(tmp_path):
    import torch

    from stages.core.checkpoints import Checkpoint

    def train(steps, checkpoint=None, stop=None):
        torch.manual_seed(0)
        layer = torch.nn.Linear(3, 1)
        optimiser = torch.optim.SGD(layer.parameters(), lr=0.1)
        start = 0
        if checkpoint and (state := checkpoint.load()):
            tensors, values = state
            layer.load_state_dict({k: v for k, v in tensors.items() if k != "rng"})
            torch.set_rng_state(tensors["rng"])
            start = values["step"]
        for step in range(start, steps):
            if step == stop:
                return None
            loss = layer(torch.randn(8, 3)).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            if checkpoint:
                checkpoint.save({**layer.state_dict(), "rng": torch.get_rng_state()}, {"step": step + 1})
        return layer.weight.detach()

    kept = Checkpoint(tmp_path)
    assert train(10, kept, stop=6) is None
    assert torch.equal(train(10, kept), train(10))
    kept.clear()
    assert kept.load() is None


def test_a_broken_checkpoint_is_named(tmp_path):
    from stages.core.checkpoints import Checkpoint

    (tmp_path / "checkpoint.safetensors").write_bytes(b"not a checkpoint")
    with pytest.raises(Refusal, match=r"checkpoint\.safetensors is not a checkpoint.*remove it to start anew"):
        Checkpoint(tmp_path).load()


def test_devices_are_chosen_or_refused_in_a_sentence():
    import torch

    from stages.core import devices

    assert devices.pick("cpu").type == "cpu"
    assert devices.pick("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(Refusal, match="device 'cuda:99' is not on this machine"):
        devices.pick("cuda:99")
    with pytest.raises(Refusal, match="device 'gpu' is unknown"):
        devices.pick("gpu")


def test_seeds_reach_python_numpy_and_torch():
    import numpy
    import torch

    def draw():
        return random.random(), numpy.random.random(), torch.rand(1).item()

    seeds.seed(5)
    first = draw()
    assert draw() != first
    seeds.seed(5)
    assert draw() == first


def test_progress_in_a_log_is_a_plain_line_now_and_then(capsys, monkeypatch):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    assert list(progress.track(range(3), "pages", unit="pages")) == [0, 1, 2]
    assert capsys.readouterr().err.splitlines() == [f"pages: {i} of 3 pages" for i in (1, 2, 3)]


@pytest.mark.parametrize("module", ["stages.run", "stages.code", "stages.corpora", "stages.words", "stages.cli"])
def test_modules_start_without_torch_mlflow_and_matplotlib(module):
    heavy = {"torch", "mlflow", "matplotlib", "scrapy", "dask"}
    code = f"import sys, {module}; print(*sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_a_stage_that_needs_no_torch_starts_in_under_two_seconds():
    """Of processor time, everything that a stage imports before its function is called."""
    root = Path(__file__).parents[2]
    code = "from stages import run; from stages.core import params; v = params.load(); "
    code += "light = {'corpora', 'words'}; "
    code += (
        "[run.read(v, p, k) for p, s in run.SECTIONS.items() for k, r in v[s].items() if run.family(p, r) in light]; "
    )
    code += "import sys; assert 'torch' not in sys.modules"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 2
