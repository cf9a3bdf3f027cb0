"""What the commands share: the program, settings of params.yaml, texts in, CSV out, errors as one sentence."""

from __future__ import annotations

import contextlib
import csv
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from stages.core import machine, params
from stages.core.errors import Refusal
from stages.core.files import replacing
from stages.core.progress import say

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    help="Words, terms, vectors, facts and questions from texts and pages of your own, and the state of the graph.",
)

Out = Annotated[Path | None, typer.Option("--out", "-o", help="Write here instead of to standard output.")]


@app.callback()
def main() -> None:
    """qujing: words, facts and questions from text and pages, and the state of the graph."""
    machine.prepare(os.cpu_count() or 1)


@contextlib.contextmanager
def refusing() -> Iterator[None]:
    """Turn a `Refusal` into its sentence and exit code 1."""
    try:
        yield
    except Refusal as refusal:
        say(f"qujing: {refusal}")
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        say("qujing: stopped")
        raise typer.Exit(130) from None


def read_texts(path: Path, out: Path) -> float:
    """Clean documents of a file or folder (`-`: standard input), one a line of text, into `out`; their characters."""
    from stages.corpora.documents import documents

    usual = settings("corpora", "preprocess", "documents")
    reading = replace(usual, reading=replace(usual.reading, unit="line"), shortest=1)
    if str(path) != "-":
        return documents(path, reading, out).metrics["characters"]
    lines = out.with_name("input.txt")
    lines.write_bytes(sys.stdin.buffer.read())
    return documents(lines, reading, out).metrics["characters"]


def kept(model: Path | None, held: str) -> Path:
    """Where a model is made: at `model`, which must be new, else in the folder `held`."""
    if model is not None and model.exists():
        raise Refusal(f"{model} exists already: name a folder that does not")
    return model or Path(held) / "model"


def settings(section: str, phase: str, name: str) -> Any:
    """The typed settings of a row of params.yaml here, or, away from a repository, of the one that is installed.

    `name` is the row's, or its kind's where no row has that name.
    """
    from stages import run

    here = Path("params.yaml")
    values = params.load(here if here.exists() else Path(__file__).parents[2] / "params.yaml")
    rows = params.pick(values, "the file", section)
    key = name if name in rows else next((key for key, row in rows.items() if row.get("kind") == name), name)
    return run.read(values, phase, key).settings


@contextlib.contextmanager
def writing(out: Path | None) -> Iterator[Any]:
    """Standard output, or the file `out`, which appears whole."""
    if out is None:
        yield sys.stdout
    else:
        with replacing(out) as beside, beside.open("w", encoding="utf-8", newline="") as stream:
            yield stream


def write_csv(table: Any, stream: Any) -> None:
    """A table as CSV, numbers of four places."""
    writer = csv.writer(stream)
    writer.writerow(table.column_names)
    for row in table.to_pylist():
        writer.writerow([f"{v:.4f}" if isinstance(v, float) else v for v in row.values()])
