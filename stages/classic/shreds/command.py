"""What `qujing restore FOLDER` and `python -m stages.classic.shreds FOLDER` do: pictures in, page and order out."""

from __future__ import annotations

import csv
import time
from pathlib import Path

import numpy as np

from stages.classic.shreds import learned, page, pieces, sheet
from stages.classic.shreds.page import Asked, Restored
from stages.core import files
from stages.core.errors import Refusal


def restore(folder: Path, out: Path, asked: Asked, model: Path | None = None) -> dict[str, object]:
    """Write order, page, contact sheet and confidence of the pieces in `folder` into `out`; returns the last.

    Strips of one page need no model; for others that in the folder `model` is taken, without one `learned.SHIPPED`.
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
            scorer = learned.load(model or learned.SHIPPED)
        restored = page.restore(found, scorer, asked)
    seconds = time.perf_counter() - begun  # without pictures
    told = summary(found, restored, asked)
    with files.replacing(out) as beside:
        beside.mkdir()
        _write(beside, found, restored, asked.pages)
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


def _write(out: Path, found: pieces.Pieces, restored: Restored, pages: int) -> None:
    names = ("",) if len(restored.sides) == 1 else ("_1", "_2")
    for name, table in zip(names, restored.sides, strict=True):
        with (out / f"order{name}.csv").open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream, lineterminator="\n").writerows([[found.names[i] for i in row] for row in table])
        for number, part in zip(_numbers(pages), np.split(table, pages), strict=True):
            sheet.picture(found, part).save(out / f"page{name}{number}.png")
    for k, number in enumerate(_numbers(pages)):
        sides, sure = (tuple(np.split(side, pages)[k] for side in of) for of in (restored.sides, restored.sure))
        figure = sheet.contact(found, Restored(sides, sure, restored.merged))
        figure.savefig(out / f"contact{number}.png", dpi=150, metadata={"Software": None})


def _numbers(pages: int) -> list[str]:
    """What the names of the files of each page end in: nothing for one page."""
    return [f"-{k + 1:0{len(str(pages))}d}" for k in range(pages)] if pages > 1 else [""]
