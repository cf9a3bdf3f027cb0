"""Questions in the author's format: one JSON array of {url, question, tags}, a record a line."""

from __future__ import annotations

import json
from pathlib import Path

from stages.core import tables
from stages.core.files import replacing


def records(path: Path, out: Path) -> None:
    """The table at `path` as the author's JSON array, UTF-8, in the order of the table."""
    dump = json.JSONEncoder(ensure_ascii=False).encode
    with replacing(out) as beside, beside.open("w", encoding="utf-8") as stream:
        between = "[\n"
        for batch in tables.batches(path, ["url", "question", "tags"]):
            for row in zip(*(batch[name].to_pylist() for name in ("url", "question", "tags")), strict=True):
                stream.write(between + dump(dict(zip(("url", "question", "tags"), row, strict=True))))
                between = ",\n"
        stream.write("[]\n" if between == "[\n" else "\n]\n")
