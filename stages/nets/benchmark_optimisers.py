"""Optimisers under equal conditions: one perceptron on images, each with a rate that suits it.

Articles: https://kexue.fm/archives/5879 and its successors (optimisers/), https://kexue.fm/archives/9512 (Tiger).

    reported there:  Lion >= Tiger >= AdamW ~ LAMB,  memory Tiger < Lion < AdamW,  Lookahead changed nothing

Rates are factors of one, as params.yaml says; they were chosen on training images that were held out. The number: on
digits all are within two points of the best, and Tiger remembers half of what AdamW does (row `benchmark_optimisers`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from stages.core import devices, files
from stages.core.params import choose, typed
from stages.core.systems import Findings, Inputs
from stages.core.targets import Target, judged
from stages.nets import classifiers, trials
from stages.nets.classifiers import Classifier
from stages.nets.optimisers import OPTIMISERS
from stages.nets.threads import one_thread
from stages.nets.trials import Conditions, Contestant, Task


@dataclass(frozen=True)
class Entrant:
    """An optimiser and what its learning rate is of that of the conditions."""

    optimiser: str
    rate: float


@dataclass(frozen=True)
class BenchmarkOptimisers:
    """Params of the benchmark."""

    entrants: tuple[Entrant, ...]
    widths: tuple[int, ...]  # of the hidden layers
    conditions: Conditions


@dataclass(frozen=True)
class EvaluateOptimisers:
    """Params of the evaluation."""

    archive: int
    data: str
    device: str
    targets: tuple[Target, ...]


def train(inputs: Inputs, params: BenchmarkOptimisers, out: Path) -> Findings:
    """Train the perceptron with every optimiser and seed on the images of `inputs.input`; writes as trials.train."""
    task = trials.pictures(inputs.input, devices.pick(params.conditions.device))
    with one_thread():
        return trials.train(_contestants(params, task), task, params.conditions, inputs.spool, out, params)


def evaluate(model: Path, inputs: Inputs, params: EvaluateOptimisers) -> Findings:
    """Accuracy of each on the test images of `truth`, what it remembers, and the promises held against them.

    Metrics beside those of the board: below_best.NAME, points of accuracy that it is below the best; state.NAME,
    numbers that it remembers for each weight; and below_adamw.NAME where AdamW is among them.
    """
    task = trials.pictures(inputs.truth, devices.pick(params.device))
    where = str(model / "model.json")
    how = typed(BenchmarkOptimisers, files.read_json(model / "model.json")["params"], where)
    board = trials.evaluate(model, _contestants(how, task), task)
    found = {f"below_best.{name}": 100 * (board.mean(board.order[0]) - board.mean(name)) for name in board.accuracy}
    if "adamw" in board.accuracy:
        found |= {f"below_adamw.{name}": 100 * (board.mean("adamw") - board.mean(name)) for name in board.accuracy}
    found |= {f"state.{name}": cost.state_bytes / 4 / cost.parameters for name, cost in board.costs.items()}
    findings = board.findings(judged({0: found}, params.targets, params.archive, params.data))
    findings.metrics.update(found)
    return findings


def _contestants(params: BenchmarkOptimisers, task: Task) -> dict[str, Contestant]:
    """The same perceptron for each optimiser."""
    net = partial(classifiers.make, Classifier("mlp", params.widths, blocks=0, dropout=0.0), task.shape, task.classes)
    return {
        entrant.optimiser: Contestant(net, choose(OPTIMISERS, entrant.optimiser, "entrants"), entrant.rate)
        for entrant in params.entrants
    }
