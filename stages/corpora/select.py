"""A part of a data set: the documents whose address matches a regular expression, e.g. one section of a site."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from stages.core import tables
from stages.core.errors import Refusal, one_line
from stages.core.systems import Findings


@dataclass(frozen=True)
class Select:
    """Params of a selection."""

    url: str  # regular expression (RE2) that is found in the address


def select(source: Path | None, params: Select, out: Path) -> Findings:
    """Write the documents of `source`/documents.parquet whose url matches, in their order, to `out`.

    Raises `Refusal` for an expression that is none and where nothing matches.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if source is None:
        raise Refusal("params.yaml: a selection needs an `input`, a data set of documents")
    try:
        re.compile(params.url)
        pc.match_substring_regex(pa.array([""]), params.url)
    except (re.error, pa.ArrowInvalid) as error:
        raise Refusal(f"params.yaml: url '{params.url}' is no regular expression: {one_line(error)}") from error
    path, documents, kept = source / "documents.parquet", 0, 0
    with tables.opened(path, ["url"]) as file, tables.writer(out / "documents.parquet", file.schema_arrow) as written:
        for batch in file.iter_batches():
            matching = batch.filter(pc.match_substring_regex(batch.column("url"), params.url))
            written.write_batch(matching)
            documents, kept = documents + len(batch), kept + len(matching)
    if kept == 0:
        raise Refusal(f"no address in {path} matches '{params.url}': mend the expression")
    return Findings(metrics={"documents": float(kept), "left_out": float(documents - kept)})
