"""What a stage cost is left beside the graph; device memory only where the stage used a device."""

import json
import subprocess
import sys
from types import SimpleNamespace

from stages.core import measuring


def test_the_cost_of_a_stage_is_left_where_planners_find_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    facts = {**measuring.costs(12.5), "mb_per_second": 3.0}
    measuring.leave("train@a", facts, "http://127.0.0.1:5000/#/experiments/1/runs/2")
    left = json.loads((tmp_path / ".spool/measured/train@a.json").read_text())
    assert left.pop("peak_gib") > 0.01
    assert left == {"seconds": 12.5, "run": "http://127.0.0.1:5000/#/experiments/1/runs/2"}


def test_device_memory_is_the_peak_of_one_device_and_only_asked_for_where_cuda_runs(monkeypatch):
    reserved = {0: 3 * 2**30, 1: 5 * 2**30}
    cuda = SimpleNamespace(
        is_initialized=lambda: True, device_count=lambda: len(reserved), max_memory_reserved=reserved.__getitem__
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    assert measuring.costs(1.0)["gpu_gib"] == 5.0
    cuda.is_initialized = lambda: False
    assert "gpu_gib" not in measuring.costs(1.0)


def test_torch_is_never_imported_for_it():
    code = "import sys; from stages.core import measuring; measuring.costs(1.0); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
