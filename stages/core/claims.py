"""The ledger of claims: every number that an article or a spec promises is one row, measured by evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Literal

from stages.core import tables

if TYPE_CHECKING:
    import pyarrow as pa

Direction = Literal["at least", "at most", "equal"]


@dataclass(frozen=True)
class Claim:
    """One promise and what came of it.

    `archive` is the article's number, `check` says in words how the value was measured, `spread` is the largest minus
    the smallest value over seeds (0 for one seed). The runner adds the system's row and the md5 of what was measured.
    """

    archive: int
    claim: str
    check: str
    value: float
    target: float
    unit: str
    direction: Direction
    spread: float
    passed: bool
    data: str
    system: str = ""
    made: str = ""


def check(
    archive: int,
    claim: str,
    check: str,
    value: float | Sequence[float],
    target: float,
    direction: Direction,
    data: str,
    unit: str = "",
) -> Claim:
    """A `Claim` judged: `value` (one number, or one a seed: their mean counts) held against `target`."""
    values = list(value) if isinstance(value, Sequence) else [value]
    mean = fmean(values)
    passed = {"at least": mean >= target, "at most": mean <= target, "equal": mean == target}[direction]
    spread = max(values) - min(values)
    return Claim(archive, claim, check, mean, target, unit, direction, spread, passed, data)


def table(claims: Sequence[Claim]) -> pa.Table:
    """The claims as a table, one row each, in the order of the fields of `Claim`."""
    import pyarrow as pa

    comments = schema()
    return pa.Table.from_pylist([asdict(claim) for claim in claims], schema=comments)


def schema() -> pa.Schema:
    """The columns of the ledger, each with its comment."""
    import pyarrow as pa

    text, number = pa.string(), pa.float64()
    return tables.schema(
        archive=(pa.int64(), "number of the article"),
        claim=(text, "what is promised"),
        check=(text, "how it was measured"),
        value=(number, "measured, mean over seeds"),
        target=(number, "promised"),
        unit=(text, "unit of value and target"),
        direction=(text, "at least, at most or equal"),
        spread=(number, "largest minus smallest over seeds"),
        passed=(pa.bool_(), "reproduced"),
        data=(text, "data it was measured on"),
        system=(text, "row of params.yaml"),
        made=(text, "md5 of what was measured"),
    )
