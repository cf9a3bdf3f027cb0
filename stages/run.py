"""Run one row of params.yaml in one phase: `python -m stages.run PHASE NAME` (the command of every DVC stage).

Reads the row, calls its one function, puts what it made in place whole, writes what it found out under results/ and
tells MLflow. Bad input ends with one sentence and exit code 1.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import os
import sys
import time
import typing
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stages.code import SECTIONS, family
from stages.core import (
    claims,
    distributed,
    files,
    machine,
    measuring,
    params,
    recorder,
    seeds,
    tables,
    torchrun,
    tracking,
)
from stages.core.errors import Refusal, Unreachable
from stages.core.progress import say
from stages.core.systems import Findings, Inputs

FAMILIES = ("corpora", "words", "nets", "gan", "energy", "vae", "classic", "text")
"""The packages that hold systems: each has tables named after the phases (CRAWL, PREPROCESS, TRAIN, EVALUATE)."""


@dataclass(frozen=True)
class Run:
    """The section `run`: what holds for every stage."""

    seed: int  # of Python, numpy and torch, before the stage starts
    threads: int  # of one stage's array libraries, shared out among its processes


@dataclass(frozen=True)
class Row:
    """A row of params.yaml seen from one phase."""

    phase: str
    key: str
    values: dict[str, Any]
    seed: int
    settings: Any
    function: Callable[..., Findings]

    @property
    def made(self) -> Path:
        """What the row's stage makes, or, in evaluation, what it measures."""
        return Path({"crawl": "rounds", "preprocess": "data"}.get(self.phase, "models")) / self.key

    def place(self, name: str) -> Path | None:
        """The path that the row has under `name`; None for `code/none`."""
        path = Path(params.pick(self.values, f"{SECTIONS[self.phase]}.{self.key}", name))
        if path == Path("code/none"):
            return None
        if not path.exists():
            raise Refusal(f"{path}, read by {self.phase}@{self.key}, is missing: run `dvc repro` or `dvc pull` first")
        return path


def main(arguments: list[str]) -> int:
    """The command line; returns the exit code.

    0, 1 for a refusal, 75 where trying again may help, 2 for wrong usage, 130 when stopped by hand.
    """
    if len(arguments) != 2 or arguments[0] not in PHASES:
        say(f"usage: python -m stages.run {{{'|'.join(PHASES)}}} NAME")
        return 2
    phase, key = arguments
    try:
        gpus = processes(phase, key)
        if gpus > 1 and distributed.world()[1] == 1:
            torchrun.launch(gpus, "stages.run", phase, key)
        else:
            with torchrun.reported():
                perform(phase, key)
    except Refusal as refusal:
        say(f"{phase}@{key}: {refusal}")
        return os.EX_TEMPFAIL if isinstance(refusal, Unreachable) else 1
    except KeyboardInterrupt:
        say(f"{phase}@{key}: stopped; run it again to go on")
        return 130
    return 0


def processes(phase: str, key: str) -> int:
    """How many processes run the stage: a training's `gpus`, one a GPU (or so many on the CPU), else 1."""
    if phase != "train":
        return 1
    row = params.pick(params.pick(params.load(), "the file", "systems"), "systems", key)
    gpus = params.pick(row, f"systems.{key}", "gpus")
    if not isinstance(gpus, int) or gpus < 1:
        raise Refusal(f"params.yaml: systems.{key}.gpus is {gpus!r}, but it must be a whole number from 1")
    return gpus


def perform(phase: str, key: str) -> None:
    """Run `phase` of the row `key`: the row's function, then its outputs, then MLflow.

    Of several processes that train together the first does all that comes after the function.
    """
    values = params.load()
    run = params.typed(Run, params.pick(values, "the file", "run"), "run")
    rank, size = distributed.world()
    machine.prepare(max(1, run.threads // size))
    if rank > 0 or tracking.off():
        execute(values, phase, key, run.seed, None)
    else:
        with recorder.recorder() as record:
            execute(values, phase, key, run.seed, record)


def execute(values: dict[str, Any], phase: str, key: str, seed: int, record: Callable[..., str] | None) -> None:
    """The work of `perform`; `record` tells MLflow, None where it is not told."""
    row = read(values, phase, key)
    seeds.seed(seed)
    started = time.monotonic()
    inputs, findings = PHASES[phase](row)
    if distributed.world()[0] > 0:
        return
    facts = {**measuring.costs(time.monotonic() - started), **findings.facts}
    made = files.digest(row.made)
    findings = replace(findings, facts=facts, claims=[replace(c, system=key, made=made) for c in findings.claims])
    results = Path("results") / phase / key
    write(findings, results)
    if phase == "evaluate":
        files.write_json(findings.metrics, Path("metrics") / f"{key}.json")
        draw(findings, Path("plots") / key)
    address = ""
    if record is not None:
        joins = made if phase == "evaluate" else ""
        home = family(phase, row.values)
        artifacts = [results, *([Path("plots") / key] if joins else [])]
        told = Findings(metrics=findings.metrics, facts=facts, history=findings.history)
        address = record(f"{phase}@{key}", home, row.settings, inputs, made, told, artifacts, joins)
    measuring.leave(f"{phase}@{key}", facts, address)


def read(values: dict[str, Any], phase: str, key: str) -> Row:
    """The row `key` with the phase's settings typed and its function found; wrong keys and names are refused."""
    section = SECTIONS[phase]
    row = params.pick(params.pick(values, "the file", section), section, key)
    home = family(phase, row)
    if home not in FAMILIES:
        raise Refusal(f"params.yaml: {section}.{key}.family is '{home}'; choices: {', '.join(FAMILIES)}")
    table = getattr(importlib.import_module(f"stages.{home}"), phase.upper())
    where = f"{section}.{key}"
    function = params.choose(table, params.pick(row, where, "kind"), f"{where}.kind")
    kind = typing.get_type_hints(inspect.unwrap(function))["params"]
    seed = params.typed(Run, params.pick(values, "the file", "run"), "run").seed
    return Row(phase, key, row, seed, params.typed(kind, params.pick(row, where, phase), f"{where}.{phase}"), function)


def crawl(row: Row) -> tuple[dict[str, Path], Findings]:
    """Bytes from outside into a sealed round; the spool stays, so that made again it asks the network for nothing."""
    after = row.place("after")
    inputs = {"after": after} if after else {}
    with files.replacing(row.made) as out:
        return inputs, row.function(after, row.settings, out, Path(".spool/crawl") / row.key)


def preprocess(row: Row) -> tuple[dict[str, Path], Findings]:
    """A round, or another data set, into a data set."""
    source = row.place("input")
    with files.replacing(row.made) as out:
        return {"input": source} if source else {}, row.function(source, row.settings, out)


def train(row: Row) -> tuple[dict[str, Path], Findings]:
    """Data into a model; the spool holds checkpoints and goes when the model stands."""
    places = {name: path for name in ("input", "against") if (path := row.place(name))}
    kept = spool(row, places)
    with torchrun.making(row.made) as out:
        findings = row.function(Inputs(**places, spool=kept), row.settings, out)
        distributed.check()
    if distributed.world()[0] == 0:
        files.remove(kept)
    return places, findings


def evaluate(row: Row) -> tuple[dict[str, Path], Findings]:
    """A model, held against the truth."""
    truth = row.place("truth")
    places = {"truth": truth} if truth else {}
    return places, row.function(row.made, Inputs(**places), row.settings)


PHASES: params.Choices = {"crawl": crawl, "preprocess": preprocess, "train": train, "evaluate": evaluate}


def spool(row: Row, inputs: dict[str, Path]) -> Path:
    """The folder outside DVC where a training keeps what it has so far: its own for each code, inputs, gpus, seed."""
    code = Path("code/train") / row.key
    digests = [files.digest(path) for path in (*inputs.values(), code) if path.exists()]
    parts = [repr(row.settings), str(row.values["gpus"]), str(row.seed), *digests]
    folder = Path(".spool/train") / f"{row.key}-{hashlib.md5(' '.join(parts).encode()).hexdigest()[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def write(findings: Findings, folder: Path) -> None:
    """Put metrics, claims and tables of `findings` into `folder`, replaced as a whole."""
    with files.replacing(folder) as out:
        files.write_json(findings.metrics, out / "metrics.json")
        if findings.claims:
            tables.write(claims.table(findings.claims), out / "claims.parquet")
        for name, table in findings.tables.items():
            tables.write(table, out / f"{name}.parquet")


def draw(findings: Findings, folder: Path) -> None:
    """Put the figures of `findings` into `folder` as PNG, replaced as a whole."""
    with files.replacing(folder) as out:
        out.mkdir()
        for name, figure in findings.figures.items():
            figure.savefig(out / f"{name}.png", metadata={"Software": None})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
