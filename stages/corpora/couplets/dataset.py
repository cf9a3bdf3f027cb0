"""A data set of couplets: what every source writes, and what a training reads.

couplets.parquet  first, second: lines of one length; split: train, validation or test; or, to train on too,
                  extra: of another kind, and joined: each line a whole couplet
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from stages.core import tables
from stages.core.systems import Findings

Pair = tuple[str, str, str]


def save(rows: Sequence[Pair], out: Path, **counts: int) -> Findings:
    """Write the couplets to the folder `out`; how many there are of each part, and `counts`, are what was found out."""
    import pyarrow as pa

    text = pa.string()
    columns = tables.schema(
        first=(text, "the line that is given"),
        second=(text, "the line that answers it"),
        split=(text, "train, extra, joined, validation or test"),
    )
    arrays = [pa.array(column, text) for column in zip(*rows, strict=True)]
    table = pa.Table.from_arrays(arrays, schema=columns)
    tables.write(table, out / "couplets.parquet", [("split", "ascending"), ("first", "ascending")])
    parts = Counter(split for *_, split in rows)
    return Findings(metrics={name: float(count) for name, count in {**parts, **counts}.items()})
