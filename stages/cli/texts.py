"""Commands on texts: words, terms, cuts, vectors."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from stages.cli.app import Out, app, kept, read_texts, refusing, settings, write_csv, writing
from stages.core import tables
from stages.core.errors import Refusal
from stages.core.systems import Inputs


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
        corpus, found = Path(held) / "corpus", kept(model, held)
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
        corpus, found = Path(held) / "corpus", kept(model, held)
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
