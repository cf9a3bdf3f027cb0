"""Commands on pages: facts and questions."""

from __future__ import annotations

import csv
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from stages.cli.app import Out, app, refusing, settings, writing
from stages.core.errors import Refusal
from stages.core.progress import say


@app.command()
def triples(
    path: Annotated[Path, typer.Argument(help="Pages (HTML, WARC, a round), a wikitext dump, JSON records, CSV, TSV.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Write this Parquet file, and X.index.parquet beside it.")],
    csv: Annotated[Path | None, typer.Option(help="Write entity, attribute, value as CSV too.")] = None,
    neo4j: Annotated[Path | None, typer.Option(help="Write a folder for `neo4j-admin database import` too.")] = None,
    ntriples: Annotated[Path | None, typer.Option(help="Write N-Triples too.")] = None,
    base: Annotated[str, typer.Option(help="What the IRIs of the N-Triples begin with.")] = "http://example.org",
) -> None:
    """Collect (subject, attribute, value) from infoboxes: cleaned, merged, sorted by subject.

    Example: `qujing triples pages/ -o triples.parquet --csv triples.csv`
    """
    from stages.corpora.triples import export, system

    with refusing():
        counts = system.make(path, settings("systems", "train", "triples"), out)
        for target, write in ((csv, export.csv), (neo4j, export.neo4j)):
            if target is not None:
                write(out, target)
        if ntriples is not None:
            export.ntriples(out, ntriples, base)
        say("  ".join(f"{name} {count:,}" for name, count in counts.items()))


@app.command()
def facts(
    model: Annotated[Path, typer.Argument(help="A table of `qujing triples`, or models/triples.")],
    subject: Annotated[str | None, typer.Option("--subject", "-s", help="Title of the subject.")] = None,
    attribute: Annotated[str | None, typer.Option("--attribute", "-a", help="Name of the attribute.")] = None,
    value: Annotated[str | None, typer.Option("--value", "-v", help="The value: which subjects have it?")] = None,
    out: Out = None,
) -> None:
    """Look facts up by subject, attribute, value, or several of them, as CSV.

    Example: `qujing facts models/triples --subject 阿富汗 --attribute 货币`
    """
    from stages.corpora.triples import store

    shown = ["entity", "sense", "attribute", "value", "sources", "source_url"]
    with refusing(), writing(out) as stream:
        if subject is attribute is value is None:
            raise Refusal("say what to look up: --subject, --attribute or --value")
        path = model / "triples.parquet" if model.is_dir() else model
        rows = csv.writer(stream)
        rows.writerow(shown)
        for table in store.find(path, subject, attribute, value, shown):
            rows.writerows(zip(*(table[name].to_pylist() for name in shown), strict=True))


@app.command()
def questions(
    path: Annotated[Path, typer.Argument(help="Question pages (HTML, WARC, a round), or JSON: an array, or lines.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Write this Parquet file.")],
    json: Annotated[Path | None, typer.Option(help="Write a JSON array of {url, question, tags} too.")] = None,
    near: Annotated[bool, typer.Option(help="Leave out what nearly repeats another question too.")] = False,
    every: Annotated[bool, typer.Option("--every", help="Leave out nothing.")] = False,
) -> None:
    """Collect questions and their tags: filtered, without repeats, split into parts, sorted by id.

    Example: `qujing questions pages/ -o questions.parquet --json questions.json`
    """
    from stages.corpora.questions import export, system
    from stages.corpora.questions.clean import Filters

    with refusing():
        wanted = replace(settings("systems", "train", "questions"), near_repeats=near)
        if every:
            wanted = replace(wanted, filters=Filters(0, sys.maxsize, 0.0, ()), repeats=False, near_repeats=False)
        counts = system.make(path, wanted, out)
        if json is not None:
            export.records(out, json)
        say("  ".join(f"{name} {count:,}" for name, count in counts.items()))
