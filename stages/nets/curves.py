"""The record of a training as a table and as pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from stages.nets.training import History

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.figure import Figure


def table(records: Mapping[int, History]) -> pa.Table:
    """The records of all seeds: seed, step and a column a name in order, as float32."""
    import pyarrow as pa

    names = sorted(next(iter(records.values())))  # a record that was resumed has them in another order
    rows = [len(told[names[0]]) for told in records.values()]
    seeds = [seed for seed, size in zip(records, rows, strict=True) for _ in range(size)]
    columns = [[value for told in records.values() for value in told[name]] for name in names]
    steps = [step for size in rows for step in range(size)]
    return pa.table([seeds, steps, *(pa.array(c, pa.float32()) for c in columns)], ["seed", "step", *names])


def columns(records: Mapping[int, History]) -> History:
    """The same as columns NAME_SEED."""
    return {f"{name}_{seed}": column for seed, told in records.items() for name, column in told.items()}


def curves(history: pa.Table) -> Figure:
    """What was recorded, step by step: a picture a name, a line a seed."""
    from matplotlib.figure import Figure

    names = [name for name in history.column_names if name not in ("seed", "step")]
    figure = Figure(figsize=(3 * len(names), 2.6), layout="constrained")
    seeds, steps = history["seed"].to_numpy(), history["step"].to_numpy()
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        for seed in sorted(set(seeds.tolist())):
            axes.plot(
                steps[seeds == seed], history[name].to_numpy()[seeds == seed], linewidth=0.6, label=f"seed {seed}"
            )
        axes.set(title=name, xlabel="step")
    return figure
