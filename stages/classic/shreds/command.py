"""What `qujing restore FOLDER` and `python -m stages.classic.shreds FOLDER` do: pictures in, page and order out."""

from __future__ import annotations

import csv
import time
from pathlib import Path

from stages.classic.shreds import learned, page, pieces, sheet
from stages.classic.shreds.page import Asked, Restored
from stages.core import files
from stages.core.errors import Refusal


def restore(folder: Path, out: Path, asked: Asked, model: Path | None, learning: learned.Learning) -> dict[str, object]:
    """Write order, page, contact sheet and confidence of the pieces in `folder` into `out`; returns the last.

    Strips need no model; for cross-cut pages that in the folder `model` is taken, or, without one, learned first.
    Raises `Refusal` for what cannot be read or restored, and where `out` stands already.
    """
    from threadpoolctl import threadpool_limits

    if out.exists():
        raise Refusal(f"{out} exists already: name a folder that does not")
    begun = time.perf_counter()
    found = pieces.load(folder)
    with threadpool_limits(1):  # small products: threads would only wait for each other
        scorer = None
        if page.shape(found, asked)[0] > 1:
            scorer = learned.load(model) if model else learned.learn(learning)
        restored = page.restore(found, scorer, asked)
    seconds = time.perf_counter() - begun  # without pictures
    told = summary(found, restored, asked)
    with files.replacing(out) as beside:
        beside.mkdir()
        _write(beside, found, restored)
        files.write_json(told, beside / "confidence.json")
    return told | {"seconds": round(seconds, 2)}


def summary(found: pieces.Pieces, restored: Restored, asked: Asked) -> dict[str, object]:
    """Rows, columns, confidence, constraints, and the least sure joints by the names of their pieces."""
    front = restored.sides[0]
    rows, columns = front.shape
    doubts = [
        {"left": found.names[front[r, c]], "right": found.names[front[r, c + 1]], "sure": round(p, 4)}
        for p, _, r, c in sheet.doubtful(restored)
    ]
    blank = [name for name, ink in zip(found.names, found.ink, strict=True) if not (ink > pieces.BLANK).any()]
    return {
        "rows": rows,
        "columns": columns,
        "sides": len(restored.sides),
        "confidence": round(restored.confidence, 4),
        "interventions": len(asked.must) + len(asked.cannot),
        "merged_at_once": len(restored.merged),
        "blank": blank,
        "least_sure": doubts,
    }


def _write(out: Path, found: pieces.Pieces, restored: Restored) -> None:
    names = ("",) if len(restored.sides) == 1 else ("_1", "_2")
    for name, table in zip(names, restored.sides, strict=True):
        with (out / f"order{name}.csv").open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream, lineterminator="\n").writerows([[found.names[i] for i in row] for row in table])
        sheet.picture(found, table).save(out / f"page{name}.png")
    sheet.contact(found, restored).savefig(out / "contact.png", dpi=150, metadata={"Software": None})
