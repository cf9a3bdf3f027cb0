"""A data set of sequences: what every kind of source writes, and what a training reads.

sequences.safetensors   train, test: int16 [n, length], symbols from 1 on, then 0 to the end; train_labels, test_labels:
                        int64 [n], or -1
dataset.json            where they came from, the symbols (the one numbered 0 is ""), names of classes, counts, and of
                        made ones the entropies that are known, in nats a sequence
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from stages.core import files
from stages.core.systems import Findings

MOST = 2**15 - 1
"""Symbols that there can be."""


def save(
    parts: Mapping[str, np.ndarray],
    symbols: Sequence[str],
    classes: Sequence[str],
    source: str,
    out: Path,
    entropies: Mapping[str, float] | None = None,
) -> Findings:
    """Write the data set to `out`; counts and the known `entropies` are what was found out.

    `parts` are train, test [n, length] and, where classes are known, train_labels and test_labels [n].
    """
    from safetensors.numpy import save_file

    held = {}
    for name in ("train", "test"):
        rows = parts[name]
        held[name] = np.ascontiguousarray(rows, dtype=np.int16)
        held[f"{name}_labels"] = parts.get(f"{name}_labels", np.full(len(rows), -1)).astype(np.int64)
    out.mkdir(parents=True)
    save_file(held, out / "sequences.safetensors")
    counts = {"train": len(parts["train"]), "test": len(parts["test"]), "symbols": len(symbols) - 1}
    counts |= {"length": int(parts["train"].shape[1]), "classes": len(classes)}
    known = {name: float(value) for name, value in (entropies or {}).items()}
    told = {"source": source, "symbols": list(symbols), "names": list(classes), "entropies": known}
    files.write_json(told | {name: count for name, count in counts.items() if name != "symbols"}, out / "dataset.json")
    return Findings(metrics={**{name: float(count) for name, count in counts.items()}, **known})
