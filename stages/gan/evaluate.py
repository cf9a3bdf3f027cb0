"""What a trained adversarial model is worth: its samples against the data, its codes, its critic's scores.

Everything is measured on the averaged generator at the end of the training, by the feature network of the data set
that `truth` names, for each seed; metrics are means over seeds, with the deviation beside them.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from stages.core import files, tables, targets
from stages.core.errors import Refusal
from stages.core.params import typed
from stages.core.systems import Findings, Inputs
from stages.core.targets import Target
from stages.gan import encoders
from stages.gan.plain import Plain
from stages.gan.settings import Gan
from stages.gan.train import build, noise
from stages.nets import curves, features, images, outliers, quality

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.figure import Figure

AT_ONCE = 500  # samples


@dataclass(frozen=True)
class EvaluateGan:
    """Params of the evaluation."""

    archive: int  # number of the article
    data: str  # what the claims say they were measured on
    samples: int
    targets: tuple[Target, ...]


def evaluate(model: Path, inputs: Inputs, params: EvaluateGan) -> Findings:
    """Metrics of each seed's model, and the promises held against them.

    Raises `Refusal` where there is no feature network, and for a target of a metric that there is none of.
    """
    if inputs.truth is None:
        raise Refusal("params.yaml: a GAN is judged by a `truth`, the model of a row of kind features")
    judge = features.load(inputs.truth)
    made = files.read_json(model / "model.json")
    how = typed(Gan, made["params"], str(model / "model.json"))
    rows = {seed: measured(load(model, how, tuple(made["image"]), seed), judge, seed, params) for seed in how.seeds}
    shown = {"samples": samples(model, how.seeds[0]), "growth": growth(model, how.seeds[0])}
    shown["curves"] = curves.curves(tables.read(model / "history.parquet"))
    claims = targets.judged(rows, params.targets, params.archive, params.data)
    return Findings(targets.summary(rows), claims, {"seeds": _table(rows)}, shown)


def load(model: Path, how: Gan, image: tuple[int, int, int], seed: int) -> Plain:
    """The trained game of one seed, on the CPU, its generator the averaged one (the last one as net `last`)."""
    from safetensors.torch import load_file

    game = build(how, image, seed, torch.device("cpu"))
    game.nets["last"], game.nets["average"] = game.nets["G"], deepcopy(game.nets["G"])
    weights = load_file(model / f"seed_{seed}.safetensors")
    for name, net in game.nets.items():
        own = "G" if name == "last" else name
        net.load_state_dict({k.removeprefix(f"{own}/"): v for k, v in weights.items() if k.startswith(f"{own}/")})
        net.eval().requires_grad_(False)
    game.nets["G"] = game.nets.pop("average")
    game.fast = game.nets
    return game


@torch.no_grad()
def drawn(game: Plain, size: int, seed: int, net: str = "G") -> torch.Tensor:
    """`size` samples in [0, 1], [size, channels, height, width]."""
    source = torch.Generator().manual_seed(1000 + seed)
    parts = [game.nets[net](noise(game.params, min(AT_ONCE, size - i), source)) for i in range(0, size, AT_ONCE)]
    return images.whole(torch.cat(parts), game.params.output)


def measured(game: Plain, judge: features.Judge, seed: int, params: EvaluateGan) -> dict[str, float]:
    """All metrics of one model."""
    found = quality.measure(judge, drawn(game, params.samples, seed), seed)
    last = judge.features(drawn(game, params.samples, seed, "last"))
    found["fd_last"] = quality.frechet(judge.reference, last)
    if game.params.game in encoders.CODES:
        return found | encoders.measured(game, judge, seed)
    ranged = images.ranged(game.params.output)
    return found | outliers.aurocs(lambda x: -game.score(x), judge.images.test, ranged, seed)


def _table(rows: dict[int, dict[str, float]]) -> pa.Table:
    import pyarrow as pa

    return pa.Table.from_pylist([{"seed": seed, **row} for seed, row in rows.items()])


def samples(model: Path, seed: int) -> Figure:
    """The last grid of a seed's averaged generator, at the noise that all losses share."""
    return images.grid(_grids(model, seed)[-1], 8)


def growth(model: Path, seed: int) -> Figure:
    """Ten samples through the training, a row a moment."""
    return images.grid(_grids(model, seed)[:, :10].flatten(0, 1), 10)


def _grids(model: Path, seed: int) -> torch.Tensor:
    from safetensors.torch import load_file

    return images.unit(load_file(model / f"grids_{seed}.safetensors")["grids"])
