"""What a couplet network is worth: nats a character, rules kept, and answers that a person can read.

Held against tables of characters, and its decoding against the author's, which knows nothing of repetition.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from stages.core import files, tables, targets
from stages.core.errors import Refusal
from stages.core.systems import Findings, Inputs
from stages.core.targets import Target
from stages.nets import curves
from stages.nets.threads import one_thread
from stages.text.couplet.measures import accuracy, baselines, kept, likelihoods
from stages.text.couplet.robot import Decoding, Robot
from stages.text.couplet.tied import violations
from stages.text.couplet.train import part


@dataclass(frozen=True)
class EvaluateCouplets:
    """Params of the evaluation."""

    archive: int  # number of the article
    data: str  # what the claims say they were measured on
    lines: tuple[str, ...]  # first lines that are answered in the report: the article's
    best: int  # answers to each of them
    shown: int  # couplets of the test part that are shown
    most: int  # couplets of the test part that are answered
    width: int  # of decoding, see robot.py
    rounds: int
    device: str
    targets: tuple[Target, ...]


def evaluate(model: Path, inputs: Inputs, params: EvaluateCouplets) -> Findings:
    """Metrics on the part `test` of `truth`, and the promises held against them.

    Raises `Refusal` where there is no data set, and for a target of a metric that there is none of.
    """
    if inputs.truth is None:
        raise Refusal("params.yaml: a couplet network is judged on a `truth`, a data set of couplets")
    seeds = files.read_json(model / "model.json")["params"]["seeds"]
    train, test = part(inputs.truth, "train"), part(inputs.truth, "test")
    decoding = Decoding(params.width, params.rounds)
    with one_thread():
        robots = {seed: Robot.load(model, params.device, seed) for seed in seeds}
        first = next(iter(robots.values()))
        simple = baselines(train, test, first.known)
        rows = {seed: measured(robot, test, simple, params.most, decoding) for seed, robot in robots.items()}
        shown = {
            "answers": answers(first, params.lines, params.best, decoding),
            "couplets": compared(first, *(side[: params.shown] for side in test), decoding),
        }
    return Findings(
        metrics=targets.summary(rows),
        claims=targets.judged(rows, params.targets, params.archive, params.data),
        tables=shown if len(rows) == 1 else {"seeds": targets.table(rows), **shown},
        figures={"history": curves.curves(tables.read(model / "history.parquet"))},
    )


def measured(
    robot: Robot, test: tuple[list[str], list[str]], simple: dict[str, float], most: int, decoding: Decoding
) -> dict[str, float]:
    """The metrics of one network: of tied decoding, and under *_untied of the author's."""
    found = likelihoods(robot, *test) | simple
    found["below_aligned"] = found["aligned"] - found["nats"]
    first, second = (side[:most] for side in test)
    tied = [some[0].second for some in robot.answer(first, 1, decoding)]
    loose = robot.untied(first)
    for ending, answered in (("", tied), ("_untied", loose)):
        rules = kept(first, answered, robot.known) | {"accuracy": accuracy(answered, second)}
        found |= {name + ending: value for name, value in rules.items()}
    return found


def answers(robot: Robot, lines: Sequence[str], best: int, decoding: Decoding) -> pa.Table:
    """The `best` answers to some first lines, with their log-probability and what the author's decoding says."""
    rows = [
        {"first": line, "second": answer.second, "nats": answer.score, "untied": loose if rank == 0 else None}
        for line, some, loose in zip(lines, robot.answer(lines, best, decoding), robot.untied(lines), strict=True)
        for rank, answer in enumerate(some)
    ]
    return pa.Table.from_pylist(rows)


def compared(robot: Robot, first: Sequence[str], second: Sequence[str], decoding: Decoding) -> pa.Table:
    """Some couplets, what is answered, and what the author's decoding answers and breaks by it."""
    found = [some[0].second for some in robot.answer(first, 1, decoding)]
    loose = robot.untied(first)
    broken = [", ".join(violations(a, b, robot.known)) for a, b in zip(first, loose, strict=True)]
    return pa.table({"first": first, "second": second, "answer": found, "untied": loose, "untied_breaks": broken})
