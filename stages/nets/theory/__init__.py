"""What is known on paper of the parts of networks, held against the parts: a check a part, each under a second.

A check is a function of a seed that measures its part against an independent truth (quadrature, a formula by hand,
torch's own, a planted fact) and gives numbers by name. What they are promised to be stands in params.yaml
(systems row `nets_theory`). A new one is a module here, a row of `CHECKS` and its targets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from stages.core import files
from stages.core.params import Choices, choose, pick
from stages.core.systems import Findings, Inputs
from stages.core.targets import Target, judged
from stages.nets.theory import contrast, dropout, growth, mixers, optimisers, smoothing, weights
from stages.nets.threads import one_thread

Measure = Callable[[int], Mapping[str, float]]
"""A check: what it measured, by name, from the seed of what it draws."""

CHECKS: Choices = {
    "smoothing": smoothing.measure,
    "dropout": dropout.measure,
    "weights": weights.measure,
    "mixers": mixers.measure,
    "growth": growth.measure,
    "optimisers": optimisers.measure,
    "contrast": contrast.measure,
}


@dataclass(frozen=True)
class Theory:
    """Params of the measurement."""

    checks: tuple[str, ...]
    seed: int


@dataclass(frozen=True)
class Promises:
    """What one article promises of a check; two articles on one part are two of these."""

    check: str
    archive: int
    data: str
    targets: tuple[Target, ...]


@dataclass(frozen=True)
class EvaluateTheory:
    """Params of the evaluation."""

    promises: tuple[Promises, ...]


def train(inputs: Inputs, params: Theory, out: Path) -> Findings:
    """Measure; writes `out`/model.json with {"measured": {check: {name: number}}}."""
    with one_thread():
        measured = {name: dict(choose(CHECKS, name, "checks")(params.seed)) for name in params.checks}
    files.write_json({"params": asdict(params), "measured": measured}, out / "model.json")
    return Findings(metrics=_flat(measured))


def evaluate(model: Path, inputs: Inputs, params: EvaluateTheory) -> Findings:
    """Hold what was measured against what is promised; raises `Refusal` for a promise of what was not measured."""
    measured = files.read_json(Path(model) / "model.json")["measured"]
    claims = [
        claim
        for part in params.promises
        for claim in judged({0: pick(measured, "checks", part.check)}, part.targets, part.archive, part.data)
    ]
    return Findings(_flat(measured), claims)


def _flat(measured: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    return {f"{check}_{name}": value for check, found in measured.items() for name, value in found.items()}
