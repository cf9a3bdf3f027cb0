"""Triples of an encyclopedia: infoboxes into rows (subject, attribute, value), clean, merged and sorted.

Article: https://kexue.fm/archives/4359 (25 454 710 triples of 4 695 579 entities, from the boxes of Baidu Baike).
The table does not fit into memory at that size: clean rows go to disk as sorted runs, and each range of subjects is
merged and written by itself.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stages.core import claims, tables
from stages.core.errors import Refusal
from stages.core.progress import counting
from stages.core.systems import Findings, Inputs
from stages.corpora.ahead import ahead
from stages.corpora.figures import by_rank
from stages.corpora.runs import Runs
from stages.corpora.triples import clean, figures, sources, store
from stages.corpora.triples.clean import Cleaning
from stages.corpora.triples.merge import merged

if TYPE_CHECKING:
    import pyarrow as pa

ARCHIVE = 4359


@dataclass(frozen=True)
class Triples:
    """Params of making a table of triples."""

    kinds: tuple[str, ...]  # parsers of boxes, asked in this order
    cleaning: Cleaning
    run: int  # rows sorted at a time
    group: int  # rows of a row group


@dataclass(frozen=True)
class Judge:
    """Params of judging one."""

    target_precision: float
    target_recall: float
    top: int  # attributes to show
    data: str  # what the claims call the data


def train(inputs: Inputs, params: Triples, out: Path) -> Findings:
    """Read the pages of `input` and write `triples.parquet` and its index into `out`."""
    if inputs.input is None:
        raise Refusal("triples need an `input`: a round of pages, or files of pages, records or triples")
    out.mkdir(parents=True)
    counts = make(inputs.input, params, out / "triples.parquet")
    return Findings(metrics={name: float(count) for name, count in counts.items()})


def make(source: Path, params: Triples, path: Path) -> Counter[str]:
    """Triples from `source` into the table at `path`, its index beside it; how many rows of what there were."""
    counts: Counter[str] = Counter(rows=0, pages=0, triples=0)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".runs-") as held:
        runs = Runs(Path(held), "entity")
        with counting("triples", unit="rows") as advance:
            for raw in ahead(sources.read(source, params.kinds, params.run)):
                counts["rows"] += raw.num_rows
                counts["pages"] += _distinct(raw["page"])
                runs.add(clean.cleaned(raw, params.cleaning))
                advance(raw.num_rows)
        counts["values"] = runs.rows
        counts["triples"] = store.write(ahead(map(merged, runs.ranges(params.run))), path, params.group)
    counts["merged"] = counts["values"] - counts["triples"]
    return counts


def _distinct(page: pa.ChunkedArray) -> int:
    import numpy as np

    numbers = page.to_numpy()
    return int((np.diff(numbers) != 0).sum()) + 1 if numbers.size else 0


def evaluate(model: Path, inputs: Inputs, params: Judge) -> Findings:
    """Count what a table holds and, where `truth` has triples.parquet, hold it against that."""
    import numpy as np
    import pyarrow as pa

    path = model / "triples.parquet"
    attributes: Counter[str] = Counter()
    subjects, types = [], Counter()
    for batch in tables.batches(path, ["entity_id", "attribute", "value_type"]):
        for column, counter in (("attribute", attributes), ("value_type", types)):
            for one in batch[column].value_counts().to_pylist():
                counter[one["values"]] += one["counts"]
        subjects.append(batch["entity_id"].to_numpy())
    sizes = np.unique(np.concatenate([np.empty(0, np.uint64), *subjects]), return_counts=True)[1]
    listed = sorted(attributes.items(), key=lambda one: (-one[1], one[0]))
    metrics = {
        "triples": float(sum(attributes.values())),
        "entities": float(sizes.size),
        "attributes": float(len(attributes)),
        **{f"{kind}_values": float(types[kind]) for kind in ("text", "number", "date")},
    }
    shown = {
        "per_attribute": by_rank(np.array([count for _, count in listed] or [0]), "attribute", "triples", "C0"),
        "per_subject": figures.per_subject(sizes),
    }
    top = pa.table({"attribute": [n for n, _ in listed[: params.top]], "triples": [c for _, c in listed[: params.top]]})
    held: list[claims.Claim] = []
    found = {"attributes": top}
    if inputs.truth is not None and (inputs.truth / "triples.parquet").exists():
        scores, wrong = judged(path, inputs.truth / "triples.parquet")
        metrics |= scores
        held = [
            claims.check(
                ARCHIVE,
                f"{what} of the triples of the infoboxes",
                f"{what} of (subject, attribute, value) against those planted, malformed pages included",
                scores[what],
                target,
                "at least",
                params.data,
            )
            for what, target in (("precision", params.target_precision), ("recall", params.target_recall))
        ]
        found["misjudged"] = wrong
    return Findings(metrics, held, found, shown)


def judged(path: Path, truth: Path) -> tuple[dict[str, float], pa.Table]:
    """Precision and recall of the distinct (subject, attribute, value) of a table, and the rows where it errs."""
    import pyarrow as pa

    expected = set(zip(*_columns(truth, ["subject", "attribute", "value"]), strict=True))
    found = set(zip(*_columns(path, ["entity", "attribute", "value"]), strict=True))
    right = len(expected & found)
    scores = {"precision": right / len(found) if found else 0.0, "recall": right / len(expected) if expected else 0.0}
    missing, wrong = sorted(expected - found), sorted(found - expected)
    errors = [("missing", *row) for row in missing] + [("wrong", *row) for row in wrong]
    columns = pa.schema([(name, pa.string()) for name in ("error", "subject", "attribute", "value")])
    names = columns.names
    return scores, pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in errors], schema=columns)


def _columns(path: Path, names: list[str]) -> list[list[str]]:
    table = tables.read(path, names)
    return [table[name].to_pylist() for name in names]
