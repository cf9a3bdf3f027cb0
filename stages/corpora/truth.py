"""What is known of the embedded site, as a data set: the yardstick for crawl, extraction, words, facts, questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stages.core import tables
from stages.core.systems import Findings


@dataclass(frozen=True)
class SiteTruth:
    """Params of the truth about one edition of the embedded site."""

    edition: int


def site_truth(source: Path | None, params: SiteTruth, out: Path) -> Findings:
    """Write `pages`, `forbidden`, `names`, `gold` (sentences as words), `triples` and `questions` as Parquet."""
    from stages.corpora.embedded.truth import truth

    known = truth(params.edition)
    out.mkdir(parents=True)
    gold = [{"url": row.url, "words": list(row.words)} for row in known.gold]
    for name, rows in (
        ("pages", [asdict(page) for page in known.pages]),
        ("forbidden", [{"url": url} for url in known.forbidden]),
        ("names", [asdict(name) for name in known.names]),
        ("gold", gold),
        ("triples", [asdict(fact) for fact in known.facts]),
        ("questions", [{**asdict(asked), "tags": list(asked.tags)} for asked in known.questions]),
    ):
        _write(rows, out / f"{name}.parquet")
    kept = sum(page.fate == "keep" for page in known.pages)
    counts = {
        "pages": len(known.pages),
        "documents": kept,
        "names": len(known.names),
        "sentences": len(gold),
        "triples": len(known.facts),
        "questions": len(known.questions),
    }
    return Findings(metrics={name: float(count) for name, count in counts.items()})


def _write(rows: Sequence[dict[str, Any]], path: Path) -> None:
    import pyarrow as pa

    tables.write(pa.Table.from_pylist(list(rows)), path)
