"""What a stage cost: time and memory, for MLflow and for those who plan the next run; never in DVC's files."""

from __future__ import annotations

import resource
import sys
from collections.abc import Mapping
from pathlib import Path

from stages.core import files

MEASURED = Path(".spool/measured")
"""Where the runner leaves what each stage last cost on this machine, STAGE.json, outside the graph."""


def costs(seconds: float) -> dict[str, float]:
    """`seconds`, `peak_gib` of memory and, where the stage computed on CUDA, `gpu_gib` of device memory.

    `peak_gib` adds this process' peak and the largest of its children's. `gpu_gib` is the most that torch reserved on
    one device: what the stage needs to find free there. Call it at the end of the stage; torch is never imported here.
    """
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss + resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    found = {"seconds": seconds, "peak_gib": peak / 2**20}
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        reserved = [torch.cuda.max_memory_reserved(device) for device in range(torch.cuda.device_count())]
        found["gpu_gib"] = max(reserved) / 2**30
    return found


def leave(stage: str, facts: Mapping[str, float], run: str) -> None:
    """Write what `stage` cost, with the address of its MLflow run, where those who plan and watch find it."""
    kept = {name: facts[name] for name in ("seconds", "peak_gib", "gpu_gib") if name in facts}
    with files.replacing(MEASURED / f"{stage}.json") as beside:
        files.write_json({**kept, "run": run}, beside)
