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
    from stages.words import new_words

    with refusing(), tempfile.TemporaryDirectory() as held:
        corpus, found = Path(held) / "corpus", model or Path(held) / "model"
        if found.exists():
            raise Refusal(f"{found} exists already: name a folder that does not")
        characters = read_texts(path, corpus)
        wanted = settings("systems", "train", system)
        count = least or new_words.usual_min_count(characters)
        new_words.train(Inputs(input=corpus), replace(wanted, min_count=count, top=top), found)
        with writing(out) as stream:
            write_csv(tables.read(found / "words.parquet"), stream)


@app.command()
def terms(
    domain: Annotated[Path, typer.Argument(help="A file or folder of text of the domain, as for `words`.")],
    against: Annotated[Path, typer.Option("--against", help="Text of all kinds to hold it against.")],
    seeds: Annotated[Path | None, typer.Option(help="Terms to spread from, one a line; else the best-ranked.")] = None,
    out: Out = None,
    top: Annotated[int, typer.Option(help="Keep so many terms.")] = 10_000,
    rules: Annotated[bool, typer.Option("--rules", help="Leave out what the hand rules do not accept.")] = False,
    reached: Annotated[bool, typer.Option("--reached", help="Leave out what no seed leads to.")] = False,
    system: Annotated[str, typer.Option(help="Row of params.yaml whose settings to use.")] = "terms",
) -> None:
    """Rank the terms of a domain, as CSV: term, score, counts in both corpora, distance from the seeds, sentences.

    Example: `qujing terms manuals/ --against news/ -o terms.csv`
    """
    from stages.words import skipgram
    from stages.words import terms as mining

    with refusing(), tempfile.TemporaryDirectory() as held:
        folders = {name: Path(held) / name for name in ("domain", "general")}
        characters = [read_texts(path, folders[name]) for name, path in (("domain", domain), ("general", against))]
        wanted = settings("systems", "train", system)
        spreading = wanted.spreading
        if seeds is not None:
            if not seeds.is_file():
                raise Refusal(f"{seeds} is missing: name a file of seeds, one a line")
            named = seeds.read_text(encoding="utf-8-sig").split("\n")
            spreading = replace(spreading, seeds=tuple(term for line in named if (term := line.strip())))
        vectors = replace(wanted.vectors, epochs=skipgram.usual_epochs(characters[0]))
        chosen = replace(
            wanted,
            spreading=spreading,
            vectors=vectors,
            rules=rules,
            only_reached=reached or wanted.only_reached,
            top=top,
        )
        mining.train(Inputs(input=folders["domain"], against=folders["general"]), chosen, Path(held) / "model")
        table = tables.read(Path(held) / "model" / "terms.parquet")
        sentences = [" | ".join(found) for found in table["examples"].to_pylist()]
        with writing(out) as stream:
            write_csv(table.set_column(table.num_columns - 1, "examples", [sentences]), stream)


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
        for table in store.find(path, subject, attribute, value):
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


@app.command()
def vectors(
    path: Annotated[Path, typer.Argument(help="A file or folder of text, JSON, Parquet, HTML, WARC.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Write word2vec's format here.")],
    words: Annotated[Path | None, typer.Option(help="Cut with this model's words; without, cut at blanks.")] = None,
    binary: Annotated[bool, typer.Option("--binary", help="Write the binary format.")] = False,
    model: Annotated[Path | None, typer.Option(help="Keep the model here, for `qujing near`.")] = None,
    least: Annotated[int, typer.Option("--min-count", help="Times a word must occur.")] = 5,
    epochs: Annotated[int, typer.Option(help="Times the text is read; 0: by its size.")] = 0,
    system: Annotated[str, typer.Option(help="Row of params.yaml whose settings to use.")] = "vectors",
) -> None:
    """Train word vectors, which gensim and others can read.

    Example: `qujing vectors novel.txt --words models/new_words --model novel-vectors -o vectors.txt`
    """
    from stages.words import skipgram, vectors

    with refusing(), tempfile.TemporaryDirectory() as held:
        corpus, found = Path(held) / "corpus", model or Path(held) / "model"
        if found.exists():
            raise Refusal(f"{found} exists already: name a folder that does not")
        characters = read_texts(path, corpus)
        wanted = settings("systems", "train", system)
        chosen = replace(wanted.skipgram, epochs=epochs or skipgram.usual_epochs(characters))
        wanted = replace(wanted, min_count=least, skipgram=chosen)
        vectors.train(Inputs(input=corpus, against=words), wanted, found)
        vectors.export(*vectors.load(found), out, "binary" if binary else "text")


@app.command()
def near(
    model: Annotated[Path, typer.Argument(help="A model of `qujing vectors --model`, or models/vectors.")],
    words: Annotated[list[str], typer.Argument(help="Words to look around.")],
    top: Annotated[int, typer.Option(help="Show so many words around each.")] = 10,
    out: Out = None,
) -> None:
    """Find the words nearest to a word, as CSV: word, near, cosine.

    Example: `qujing near models/vectors 法国 日元 --top 5`
    """
    from stages.words import vectors

    with refusing(), writing(out) as stream:
        write_csv(vectors.near(model, words, top), stream)


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
