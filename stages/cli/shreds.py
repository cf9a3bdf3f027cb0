"""The command on shredded paper."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stages.cli.app import app, refusing
from stages.core.errors import Refusal
from stages.core.progress import say

Pairs = Annotated[list[str] | None, typer.Option(metavar="LEFT,RIGHT", help="Names of two pieces; may be repeated.")]


@app.command()
def restore(
    folder: Annotated[Path, typer.Argument(help="Pictures of one size; NAMEa and NAMEb: two sides.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder to write; FOLDER_restored without.")] = None,
    rows: Annotated[int, typer.Option(help="Rows of the page; 0: from its shape.")] = 0,
    columns: Annotated[int, typer.Option(help="Columns of the page; 0: from its shape.")] = 0,
    pages: Annotated[int, typer.Option(min=1, help="Pages whose strips are mixed.")] = 1,
    must: Pairs = None,
    cannot: Pairs = None,
    model: Annotated[Path | None, typer.Option(help="Folder of another scorer than ours, e.g. models/shreds.")] = None,
) -> None:
    """Put shredded paper together: order as CSV, page as PNG, a sheet of its doubtful joints, and a confidence.

    Example: `qujing restore pieces/ -o page`
    """
    from stages.classic.shreds import command
    from stages.classic.shreds.page import Asked

    with refusing():
        asked = Asked(rows, columns, pages, _pairs(must), _pairs(cannot))
        target = out or Path(f"{folder.resolve().name}_restored")
        told = command.restore(folder, target, asked, model)
        say(f"{target}: {told['rows']} x {told['columns']}, confidence {told['confidence']}, {told['seconds']} s")


def _pairs(given: list[str] | None) -> tuple[tuple[str, str], ...]:
    pairs = [tuple(part.strip() for part in text.split(",")) for text in given or ()]
    wrong = next((text for text, pair in zip(given or (), pairs, strict=True) if len(pair) != 2), None)
    if wrong:
        raise Refusal(f"'{wrong}' is no pair of pieces: write LEFT,RIGHT")
    return tuple((pair[0], pair[1]) for pair in pairs)
