"""Two processes that train together make the model that one makes, up to the order of sums."""

import os
import subprocess
import sys
from dataclasses import asdict, replace

import pytest
import repository
import torch
from safetensors.torch import load_file, save_file

from stages.core import files
from stages.core.systems import Inputs
from stages.gan import train

PROGRAM = """
import sys
from pathlib import Path
from stages.core import params
from stages.core.files import read_json
from stages.core.systems import Inputs
from stages.gan import train
from stages.gan.settings import Gan
folder = Path(sys.argv[1])
train.train(Inputs(input=folder), params.typed(Gan, read_json(folder / "how.json"), "how"), folder / sys.argv[2])
"""


OF_AVERAGES = """
import sys
import torch
from safetensors.torch import save_file
from stages.core import distributed
from stages.gan.losses import LOSSES, Pair
with distributed.joined("cpu"):
    draw = torch.Generator().manual_seed(0)
    x, y, w = (torch.randn(*size, generator=draw) for size in ((8, 5), (8, 5), (5,)))
    x, y, w = distributed.share(x), distributed.share(y), w.requires_grad_()
    found = {}
    for player in ("critic", "generator"):
        loss = getattr(LOSSES["rasgan"], player)(Pair((x @ w).tanh(), (2 * y @ w + 1).tanh(), None))
        found[player] = distributed.averaged(torch.autograd.grad(loss, [w]))[0]
    save_file(found, f"{sys.argv[1]}/{sys.argv[2]}")
"""


def together(program, folder, size=2):
    """Run `program` FOLDER of_RANK in `size` processes that train together."""
    more = {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": str(size), "LOCAL_WORLD_SIZE": str(size), "OMP_NUM_THREADS": "1"}
    more["QUJING_MEETING"] = f"file://{folder}/meeting_of_{size}"
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(folder), f"of_{rank}"],
            env={**os.environ, **more, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            cwd=repository.ROOT,
        )
        for rank in range(size)
    ]
    assert [process.wait(timeout=120) for process in started] == [0] * size


def test_an_average_in_a_loss_is_that_of_the_whole_batch(tmp_path):
    """RaSGAN's gradients; its training is no test, as Adam makes steps of those of biases, which are but rounding."""
    together(OF_AVERAGES, tmp_path, 1)
    whole = load_file(tmp_path / "of_0")
    together(OF_AVERAGES, tmp_path, 2)
    for share in ("of_0", "of_1"):
        for player, gradient in load_file(tmp_path / share).items():
            torch.testing.assert_close(gradient, whole[player])


@pytest.mark.parametrize("key", ["rp_r1r2", "gan_qp_l1"])
def test_two_processes_train_what_one_does(rows, pixels, tmp_path, key):
    labels = torch.zeros(len(pixels), dtype=torch.int64)
    parts = {"train": pixels, "train_labels": labels, "test": pixels[:4].clone(), "test_labels": labels[:4].clone()}
    save_file(parts, tmp_path / "images.safetensors")
    how = replace(rows[key], steps=10)
    files.write_json(asdict(how), tmp_path / "how.json")
    train.train(Inputs(input=tmp_path), how, tmp_path / "one")
    together(PROGRAM, tmp_path)
    one, both, other = (load_file(tmp_path / name / "seed_0.safetensors") for name in ("one", "of_0", "of_1"))
    for name, value in one.items():
        assert torch.equal(both[name], other[name]), name
        # Adam divides by the size of a gradient: where that is nearly 0, the order of sums shows (1.5e-5 measured);
        # gradients that were not averaged would show by a hundred times as much
        torch.testing.assert_close(both[name], value, rtol=0, atol=5e-5 * float(value.abs().max()), msg=name)
