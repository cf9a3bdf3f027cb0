"""Promises that stand in params.yaml as data, held against the metrics of several seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev
from typing import TYPE_CHECKING

from stages.core.claims import Claim, Direction, check
from stages.core.errors import Refusal

if TYPE_CHECKING:
    import pyarrow as pa

Rows = Mapping[int, Mapping[str, float]]
"""The metrics of every seed."""


@dataclass(frozen=True)
class Target:
    """A number that is promised."""

    metric: str
    claim: str
    direction: Direction
    value: float


def summary(rows: Rows) -> dict[str, float]:
    """The mean over seeds of every metric, and with several seeds its deviation as METRIC_deviation."""
    columns = _columns(rows)
    found = {name: fmean(column) for name, column in columns.items()}
    if len(rows) > 1:
        found |= {f"{name}_deviation": pstdev(column) for name, column in columns.items()}
    return found


def table(rows: Rows) -> pa.Table:
    """The metrics themselves, a row a seed."""
    import pyarrow as pa

    return pa.Table.from_pylist([{"seed": seed, **row} for seed, row in rows.items()])


def judged(rows: Rows, targets: Sequence[Target], archive: int, data: str) -> list[Claim]:
    """The targets held against the metrics, as claims of the article `archive` measured on `data`.

    Raises `Refusal` for a target of a metric that there is none of.
    """
    columns, found = _columns(rows), []
    for target in targets:
        if target.metric not in columns:
            raise Refusal(f"params.yaml: target '{target.metric}' is no metric; there are: {', '.join(columns)}")
        values = columns[target.metric]
        how = f"{target.metric}, mean over {len(values)} seeds" if len(values) > 1 else target.metric
        found.append(check(archive, target.claim, how, values, target.value, target.direction, data))
    return found


def _columns(rows: Rows) -> dict[str, list[float]]:
    return {name: [row[name] for row in rows.values()] for name in next(iter(rows.values()))}
