"""What a system is: functions of these shapes, which know nothing of DVC, Prefect or MLflow.

    crawl(after: Path | None, params, out: Path, spool: Path) -> Findings      bytes from outside
    preprocess(source: Path | None, params, out: Path) -> Findings             a data set
    train(inputs: Inputs, params, out: Path) -> Findings                       a model
    evaluate(model: Path, inputs: Inputs, params) -> Findings                  what it is worth

`params` is a frozen dataclass: the annotation tells the runner into which one the row of params.yaml is read.
`out` is a path that does not exist yet, and the runner renames it into place: make a folder there and write into it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.figure import Figure

    from stages.core.claims import Claim


@dataclass(frozen=True)
class Inputs:
    """What a system is given; a place the row leaves at `code/none` is None."""

    input: Path | None = None
    against: Path | None = None
    truth: Path | None = None
    spool: Path | None = None  # outside DVC; survives a kill, for checkpoints


@dataclass(frozen=True)
class Findings:
    """What a stage found out besides what it made.

    `metrics`, `claims` and `tables` become files under results/, `figures` (of an evaluation) under plots/, and all are
    the same for the same inputs. `facts` (seconds, rates, bytes a second) go to MLflow only, and so does `history`,
    columns of one number a step.
    """

    metrics: dict[str, float] = field(default_factory=dict)
    claims: list[Claim] = field(default_factory=list)
    tables: dict[str, pa.Table] = field(default_factory=dict)
    figures: dict[str, Figure] = field(default_factory=dict)
    facts: dict[str, float] = field(default_factory=dict)
    history: dict[str, list[float]] = field(default_factory=dict)
