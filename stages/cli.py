"""The command `qujing`: the systems for people with data of their own and no wish to edit a graph.

Every verb calls the functions that the stages call, with the settings of params.yaml where there is one here.
"""

from __future__ import annotations

import contextlib
import csv
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from stages.core import machine, params, tables
from stages.core.errors import Refusal
from stages.core.files import replacing
from stages.core.progress import say
from stages.core.systems import Inputs

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode="markdown", help=__doc__.splitlines()[0])

Out = Annotated[Path | None, typer.Option("--out", "-o", help="Write here instead of to standard output.")]


@app.callback()
def main() -> None:
    """qujing: words from text, and the state of the graph."""
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


@app.command()
def words(
    path: Annotated[Path, typer.Argument(help="A file or folder of text, JSON, Parquet, HTML, WARC; `-` reads lines.")],
    out: Out = None,
    top: Annotated[int, typer.Option(help="Keep so many words.")] = 50_000,
    least: Annotated[int, typer.Option("--min-count", help="Times a word must occur; 0 chooses by the corpus.")] = 0,
    model: Annotated[Path | None, typer.Option(help="Keep the model here, for `qujing segment`.")] = None,
    system: Annotated[str, typer.Option(help="Row of params.yaml whose settings to use.")] = "new_words",
) -> None:
    """Discover the words of a corpus, as CSV: word, count, solidity, entropies, documents.

    Example: `qujing words novel.txt --top 1000 -o words.csv`
    """
    from stages.corpora.documents import documents
    from stages.words import new_words

    with refusing(), tempfile.TemporaryDirectory() as held:
        corpus, found = Path(held) / "corpus", model or Path(held) / "model"
        if found.exists():
            raise Refusal(f"{found} exists already: name a folder that does not")
        if str(path) == "-":
            path = Path(held) / "input.txt"
            path.write_bytes(sys.stdin.buffer.read())
        usual = settings("corpora", "preprocess", "documents")
        reading = replace(usual, reading=replace(usual.reading, unit="line"), shortest=1)
        made = documents(path, reading, corpus)
        wanted = settings("systems", "train", system)
        count = least or new_words.usual_min_count(made.metrics["characters"])
        new_words.train(Inputs(input=corpus), replace(wanted, min_count=count, top=top), found)
        with writing(out) as stream:
            write_csv(tables.read(found / "words.parquet"), stream)


@app.command()
def segment(
    model: Annotated[Path, typer.Argument(help="A model of `qujing words --model`, or models/new_words.")],
    text: Annotated[str, typer.Argument(help="Text to cut; `-` reads lines from standard input.")] = "-",
) -> None:
    """Cut text into words with a discovered vocabulary: words parted by blanks.

    Example: `qujing segment models/new_words 新词发现不需要词典`
    """
    from stages.words.segmenter import Segmenter

    with refusing():
        segmenter = Segmenter.load(model)
        for line in sys.stdin if text == "-" else [text]:
            print(" ".join(segmenter.cut(line.rstrip("\n"))))


@app.command()
def score(
    model: Annotated[Path, typer.Argument(help="A model of `qujing words --model`, or models/new_words.")],
    gold: Annotated[Path, typer.Argument(help="Segmented text: words parted by blanks, or CoNLL-U.")],
    top: Annotated[int, typer.Option(help="Use so many of the words.")] = 50_000,
) -> None:
    """Score a vocabulary as a segmenter by the protocol of the bakeoff of 2005: recall, precision, F1.

    Example: `qujing score models/new_words pku_test_gold.utf8`
    """
    from stages.corpora.segmentation import read_gold
    from stages.words import bakeoff
    from stages.words.segmenter import Segmenter

    with refusing():
        sentences = list(read_gold(gold))
        segmenter = Segmenter.load(model, top=top, keep_full_width=True)
        found = bakeoff.score_lists(sentences, segmenter.cut_many(["".join(words) for words in sentences]))
        print(f"recall {found.recall:.4f}  precision {found.precision:.4f}  F1 {found.f1:.4f}")


@app.command()
def claims() -> None:
    """Show the ledger of claims and the metrics of the last run of the graph.

    Example: `qujing claims`
    """
    from stages.report import terminal

    with refusing():
        terminal.show()


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Show which stages would run, why, and about how long they took last time.

    Example: `qujing status`
    """
    raise typer.Exit(flows("status", *["--json"] * as_json))


@app.command()
def bisect(
    metric: Annotated[str, typer.Argument(help="NAME.KEY: the number KEY of metrics/NAME.json.")],
    good: Annotated[str, typer.Argument(help="An earlier commit, where the metric was as it should be.")],
    bad: Annotated[str, typer.Argument(help="A later commit, where it is not.")] = "HEAD",
) -> None:
    """Find the commit that moved a metric, and what in it: code, params, graph, data or environment.

    Results that any machine ever made are looked up; only what is still open is computed, beside your work tree.

    Example: `qujing bisect new_words.f1 v0.1 HEAD`
    """
    raise typer.Exit(flows("bisect", metric, good, bad))


def flows(name: str, *arguments: str) -> int:
    """Run a program of `flows`, which nothing here imports; its exit code."""
    return subprocess.run([sys.executable, "-m", f"flows.{name}", *arguments], check=False).returncode


@app.command()
def doctor() -> None:
    """Look at what is installed, reachable and configured, and say the mend for what is not.

    Example: `qujing doctor`
    """
    from rich.console import Console
    from rich.table import Table

    from stages.doctor import examine

    findings = examine()
    table = Table("", "what", "found", "mend")
    for name, (fine, found, mend) in findings.items():
        table.add_row("[green]fine[/]" if fine else "[red]mend[/]", name, found, "" if fine else mend)
    Console().print(table)
    raise typer.Exit(0 if all(fine for fine, _, _ in findings.values()) else 1)


def settings(section: str, phase: str, name: str) -> Any:
    """The typed settings of a row of params.yaml here, or, away from a repository, of the one that is installed.

    `name` is the row's, or its kind's where no row has that name.
    """
    from stages import run

    here = Path("params.yaml")
    values = params.load(here if here.exists() else Path(__file__).parents[1] / "params.yaml")
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


if __name__ == "__main__":
    app()
