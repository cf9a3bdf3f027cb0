"""A list of terms that somebody made, as a yardstick: one term a line, what follows a tab is left out."""

from __future__ import annotations

import lzma
from dataclasses import dataclass
from pathlib import Path

from stages.core import tables
from stages.core.errors import Refusal
from stages.core.systems import Findings


@dataclass(frozen=True)
class TermList:
    """Params of a list of terms."""

    file: str  # in the input folder


def term_list(source: Path | None, params: TermList, out: Path) -> Findings:
    """Write the terms of `source`/`file` (UTF-8, perhaps .xz) to `out`/names.parquet (name, kind, count 0), sorted."""
    import pyarrow as pa

    path = (source or Path(".")) / params.file
    if not path.is_file():
        raise Refusal(f"{path} is missing: name a file of the input folder")
    with lzma.open(path, "rt", encoding="utf-8") if path.suffix == ".xz" else path.open(encoding="utf-8") as lines:
        terms = sorted({line.split("\t")[0].strip() for line in lines} - {""})
    if not terms:
        raise Refusal(f"{path} holds no term: one a line is expected")
    columns = tables.schema(
        name=(pa.string(), "the term"), kind=(pa.string(), "term"), count=(pa.int64(), "not known: 0")
    )
    rows = pa.table([terms, ["term"] * len(terms), [0] * len(terms)], schema=columns)
    tables.write(rows, out / "names.parquet")
    return Findings(metrics={"terms": float(len(terms))})
