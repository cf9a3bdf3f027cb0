"""One model for each seed of a row, and what all their trainings leave behind."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from stages.core import files, tables
from stages.core.systems import Findings
from stages.nets import curves
from stages.nets.training import History

One = Callable[[int, Path | None], tuple[Mapping[str, torch.Tensor], History]]
"""The training of one seed, with a spool of its own: weights by name, and the record of every step."""


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[torch.Generator]:
    """torch's own randomness, of first weights and dropout, from `seed` on; before it goes on as it would have.

    Yields its generator on `device`, for checkpoints.
    """
    on_gpu = device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if on_gpu else []):
        torch.manual_seed(seed)
        yield torch.cuda.default_generators[device.index or 0] if on_gpu else torch.default_generator


def every_seed(one: One, seeds: Sequence[int], spool: Path | None, out: Path, params: Any, **told: Any) -> Findings:
    """Train by `one` for each of `seeds`; the records, as history, and the rate of steps are what was found out.

    Writes `out`/seed_N.safetensors, `out`/history.parquet (seed, step and what was recorded) and `out`/model.json,
    which holds the row's `params`, a dataclass, and what is `told` beside them: the shape of an image, say.
    """
    from safetensors.torch import save_file

    records: dict[int, History] = {}
    begin = time.perf_counter()
    out.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        weights, records[seed] = one(seed, spool / f"seed_{seed}" if spool else None)
        whole = {name: value.cpu().contiguous() for name, value in weights.items()}
        save_file(whole, out / f"seed_{seed}.safetensors")
    took = time.perf_counter() - begin
    files.write_json({"params": asdict(params), **told}, out / "model.json")
    history = curves.table(records)
    tables.write(history, out / "history.parquet")
    return Findings(history=curves.columns(records), facts={"steps_per_second": len(history) / took})
