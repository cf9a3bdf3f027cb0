"""Commands on couplets: answer them, score networks on pairs, make what MLflow serves."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from stages.cli.app import Out, app, refusing, writing
from stages.core import files, params, tables
from stages.core.errors import Refusal
from stages.core.progress import say
from stages.core.systems import Inputs

MODEL = Path("models/couplets")
KEPT = Path(".spool/couplets")
"""Where networks lie that were trained to be scored."""

NETWORKS = ("couplets_reference", "couplets")
"""Rows of params/web.yaml."""

Model = Annotated[Path, typer.Option(help="Folder of a trained model.")]


@app.command()
def couplet(
    text: Annotated[
        list[str] | None, typer.Argument(help="First lines, files of them, or `-`: standard input.")
    ] = None,
    model: Model = MODEL,
    best: Annotated[int, typer.Option(help="Answers to each line.")] = 1,
    unwanted: Annotated[Path | None, typer.Option(help="Words, one a line, that no answer may hold.")] = None,
    json: Annotated[bool, typer.Option("--json", help="An object a line, with log-probabilities.")] = False,
    out: Out = None,
) -> None:
    """Answer first lines of couplets with second ones.

    Example: `qujing couplet 晚风摇树树还挺 --best 3`
    """
    from stages.text.couplet.robot import Decoding, Robot
    from stages.text.couplet.spoken import lines_of, told

    with refusing(), writing(out) as stream:
        words = tuple(unwanted.read_text(encoding="utf-8-sig").split()) if unwanted else ()
        lines = lines_of(text or [])
        answers = Robot.load(model).answer(lines, best, Decoding(unwanted=words))
        stream.writelines(f"{answer}\n" for answer in told(lines, answers, json))


@app.command()
def couplet_pack(
    out: Annotated[Path, typer.Argument(help="A folder that does not exist yet.")], model: Model = MODEL
) -> None:
    """Make a folder that `mlflow models serve` serves, of a trained model.

    Example: `qujing couplet-pack served && mlflow models serve -m served --env-manager local`
    """
    from stages.core import tracking
    from stages.text.couplet.robot import Robot

    with refusing():
        Robot.load(model)  # what is no model is refused
        with files.replacing(out) as beside:
            tracking.pack(model, "stages.text.couplet.served", "first", beside)


@app.command()
def couplet_score(
    given: Annotated[Path, typer.Argument(help="Pairs: first<TAB>second; or a folder with in.txt and out.txt.")],
    out: Annotated[Path, typer.Argument(help="Results: OUT.json the numbers, OUT.tsv the answers.")],
    model: Annotated[list[Path] | None, typer.Option(help="Trained models, the reference first.")] = None,
) -> None:
    """Score networks on couplets that they have not seen: nats a character, rules kept, answers.

    Without --model the author's network and the better one are trained on the real couplets of QUJING_MIRROR, as rows
    `couplets_reference` and `couplets` of params/web.yaml say; they are kept in .spool/couplets, and a training that
    was stopped goes on. If GIVEN holds no tabs, and OUT is a file of as many lines, OUT is taken for the second lines
    and the results are written to couplet-score.json and .tsv.

    Example: `qujing couplet-score heldout.tsv scores`
    """
    with refusing():
        pairs, target = read(given, out)
        models = {path.name: path for path in model or [trained(row) for row in NETWORKS]}
        from stages.text.couplet.robot import Decoding, Robot
        from stages.text.couplet.score import scored

        robots = {name: Robot.load(path, "auto") for name, path in models.items()}
        numbers, answers = scored(robots, [a for a, _ in pairs], [b for _, b in pairs], Decoding())
        files.write_json(numbers, target.with_suffix(".json"))
        with files.replacing(target.with_suffix(".tsv")) as beside:
            rows = ["\t".join(str(value) for value in row.values()) for row in answers.to_pylist()]
            beside.write_text("\n".join(["\t".join(answers.column_names), *rows, ""]), encoding="utf-8")
        for name in next(iter(numbers.values())) | numbers[list(numbers)[-1]]:
            print(f"{name:24}", *(f"{row.get(name, float('nan')):12.4f}" for row in numbers.values()))
        say(f"columns: {', '.join(numbers)}; written to {target.with_suffix('.json')} and .tsv")


def read(given: Path, out: Path) -> tuple[list[tuple[str, str]], Path]:
    """The pairs that are to be scored, without those of unequal lengths, and where the results go."""
    from stages.corpora.couplets import files as sources

    if given.is_dir():
        found, target = list(sources.read(given, "in.txt out.txt")), out
    elif not given.is_file():
        raise Refusal(f"{given} is missing: name a file of pairs, or a folder with in.txt and out.txt")
    elif "\t" in sources.lines(given)[0] or not out.is_file():
        found, target = list(sources.pairs(given)), out
    else:
        found, target = list(sources.beside(given, out)), Path("couplet-score")
    pairs = [(first, second) for first, second, _ in found if first and len(first) == len(second)]
    if len(pairs) < len(found):
        say(f"{len(found) - len(pairs)} of {len(found)} pairs are left out: lines of unequal lengths, or none")
    if not pairs:
        raise Refusal(f"{given} holds no pair of lines of one length")
    return pairs, target


def trained(key: str) -> Path:
    """The model of a row of params/web.yaml, trained here where it has not been yet."""
    model = KEPT / key
    if model.exists():
        return model
    from stages import run

    values = params.load(Path(__file__).parents[2] / "params/web.yaml")
    row = run.read(values, "train", key)
    data = prepared(values, Path(row.values["input"]).name)
    say(f"{key}: {row.settings.steps} steps on {tables.read(data / 'couplets.parquet').num_rows:,} couplets")
    with files.replacing(model) as beside:
        row.function(Inputs(input=data, spool=KEPT / f"{key}-checkpoints"), row.settings, beside)
    files.remove(KEPT / f"{key}-checkpoints")
    return model


def prepared(values: dict[str, Any], key: str) -> Path:
    """The data set of a corpus of params/web.yaml, from the mirror or the network, made where it is not there yet."""
    from stages import run

    data = KEPT / key
    if not data.exists():
        corpus = run.read(values, "preprocess", key)
        source = Path(corpus.values["input"])
        download = run.read(values, "crawl", source.parts[1])
        downloaded = KEPT / "rounds" / source.parts[1]
        if not downloaded.exists():
            mirror = Path(__file__).parents[3] / "shared/data"
            if "QUJING_MIRROR" not in os.environ and mirror.is_dir():
                os.environ["QUJING_MIRROR"] = str(mirror)
            download.function(None, download.settings, downloaded, KEPT / "downloads")
        with files.replacing(data) as beside:
            corpus.function(downloaded.joinpath(*source.parts[2:]), corpus.settings, beside)
    return data
