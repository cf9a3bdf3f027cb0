"""A data set of pairs: what every kind of source writes, and what a training reads.

train.parquet  first, second: sentences that say the same; negative: one that nearly does, or ""; group: pairs of one
               number say one thing, so that none of them is a negative of another
test.parquet   first, second, score: 1 where they say the same, else 0
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stages.core import tables
from stages.core.errors import Refusal
from stages.core.systems import Findings

Train = tuple[str, str, str, int]
Test = tuple[str, str, float]


def save(train: Sequence[Train], test: Sequence[Test], source: str, out: Path) -> Findings:
    """Write both parts to the folder `out`; counts are what was found out. Raises `Refusal` where a part is empty."""
    import pyarrow as pa

    if not train or not {0.0, 1.0} <= {score for *_, score in test}:
        raise Refusal(
            f"{source} gives {len(train)} pairs to train on and {len(test)} to test on: there must be pairs to train "
            "on, and to test on pairs that say the same and pairs that do not"
        )
    text = pa.string()
    kinds = {
        "train": tables.schema(
            first=(text, "a sentence"),
            second=(text, "another that says the same"),
            negative=(text, 'one that nearly does, or ""'),
            group=(pa.int64(), "pairs of one number say one thing"),
        ),
        "test": tables.schema(
            first=(text, "a sentence"), second=(text, "another"), score=(pa.float32(), "1: they say the same, 0: not")
        ),
    }
    out.mkdir(parents=True)
    for (name, kind), rows in zip(kinds.items(), (train, test), strict=True):
        columns = [pa.array(column, field.type) for column, field in zip(zip(*rows, strict=True), kind, strict=True)]
        tables.write(pa.Table.from_arrays(columns, schema=kind), out / f"{name}.parquet")
    same = sum(score > 0.5 for *_, score in test)
    return Findings(metrics={"train": float(len(train)), "test": float(len(test)), "test_same": float(same)})
