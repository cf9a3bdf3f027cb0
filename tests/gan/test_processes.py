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


@pytest.mark.parametrize("key", ["rp_r1r2", "gan_qp_l1"])
def test_two_processes_train_what_one_does(rows, pixels, tmp_path, key):
    labels = torch.zeros(len(pixels), dtype=torch.int64)
    parts = {"train": pixels, "train_labels": labels, "test": pixels[:4].clone(), "test_labels": labels[:4].clone()}
    save_file(parts, tmp_path / "images.safetensors")
    how = replace(rows[key], steps=10)
    files.write_json(asdict(how), tmp_path / "how.json")
    train.train(Inputs(input=tmp_path), how, tmp_path / "one")
    together = {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    together["QUJING_MEETING"] = f"file://{tmp_path}/meeting"
    started = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(tmp_path), f"of_{rank}"],
            env={**os.environ, **together, "RANK": str(rank), "LOCAL_RANK": str(rank), "OMP_NUM_THREADS": "1"},
            cwd=repository.ROOT,
        )
        for rank in (0, 1)
    ]
    assert [process.wait(timeout=120) for process in started] == [0, 0]
    one, both, other = (load_file(tmp_path / name / "seed_0.safetensors") for name in ("one", "of_0", "of_1"))
    for name, value in one.items():
        assert torch.equal(both[name], other[name]), name
        # Adam divides by the size of a gradient: where that is nearly 0, the order of sums shows (1.5e-5 measured);
        # gradients that were not averaged would show by a hundred times as much
        torch.testing.assert_close(both[name], value, rtol=0, atol=5e-5 * float(value.abs().max()), msg=name)
