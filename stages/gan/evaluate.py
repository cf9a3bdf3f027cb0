"""What a trained adversarial model is worth: its samples against the data, its codes, its critic's scores.

Everything is measured on the averaged generator at the end of the training (growth.py: on the way), by the feature
network of the data set that `truth` names, for each seed; metrics are means over seeds, with the deviation beside them.
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
from stages.gan import anomaly, chains, encoders, growth
from stages.gan.plain import Plain
from stages.gan.settings import Gan
from stages.gan.train import build, noise
from stages.nets import curves, features, images, outliers, quality
from stages.nets.latent import Latent
from stages.nets.threads import suited

if TYPE_CHECKING:
    from matplotlib.figure import Figure

AT_ONCE = 500  # samples
SHOWN = 64
PAIRS = 30  # samples before and after a chain


@dataclass(frozen=True)
class EvaluateGan:
    """Params of the evaluation."""

    archive: int  # number of the article
    data: str  # what the claims say they were measured on
    samples: int
    chain: Latent | None  # of latent MCMC, after which samples are measured as well
    unseen: tuple[int, ...]  # classes that the data of the training were without: strangers to the critic
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
    games = {seed: load(model, how, tuple(made["image"]), seed) for seed in how.seeds}
    on_the_way = {seed: growth.moments(judge, grids(model, seed)) for seed in how.seeds}
    rows = {
        seed: measured(game, judge, seed, params) | growth.summary(on_the_way[seed]) for seed, game in games.items()
    }
    found = {"seeds": targets.table(rows), "growth": growth.table(on_the_way, how.steps)}
    shown = pictures(model, how.seeds[0]) | {"diversity": growth.curve(found["growth"])}
    if params.chain:
        game, seed = games[how.seeds[0]], how.seeds[0]
        with suited(judge.images.shape):
            shown["chain"] = chains.pairs(game, begun(game, PAIRS, seed), params.chain, seed)
    claims = targets.judged(rows, params.targets, params.archive, params.data)
    return Findings(targets.summary(rows), claims, found, shown)


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


def begun(game: Plain, size: int, seed: int) -> torch.Tensor:
    """The noise of `size` samples, [size, latent]."""
    source = torch.Generator().manual_seed(1000 + seed)
    return torch.cat([noise(game.params, min(AT_ONCE, size - i), source) for i in range(0, size, AT_ONCE)])


@torch.no_grad()
def drawn(game: Plain, size: int, seed: int, net: str = "G") -> torch.Tensor:
    """`size` samples in [0, 1], [size, channels, height, width]."""
    parts = [game.nets[net](z) for z in begun(game, size, seed).split(AT_ONCE)]
    return images.whole(torch.cat(parts), game.params.output)


def measured(game: Plain, judge: features.Judge, seed: int, params: EvaluateGan) -> dict[str, float]:
    """All metrics of one model."""
    fakes = drawn(game, params.samples, seed)
    found = quality.measure(judge, fakes, seed)
    if judge.task == "labels":
        seen = judge.probabilities(fakes).argmax(1).bincount(minlength=judge.images.classes)
        found["least_class"] = seen.min().item() / len(fakes)
    last = judge.features(drawn(game, params.samples, seed, "last"))
    found["fd_last"] = quality.frechet(judge.reference, last)
    if game.params.game in encoders.CODES:
        return found | encoders.measured(game, judge, seed)
    ranged = images.ranged(game.params.output)
    found |= outliers.aurocs(lambda x: -game.score(x), judge.images.test, ranged, seed)
    if params.unseen:
        found |= anomaly.measured(game, judge.images, params.unseen)
    if params.chain:
        with suited(judge.images.shape):
            found |= chains.measured(game, judge, begun(game, params.samples, seed), params.chain, seed)
        found["chain_fd_ratio"] = found["chain_fd"] / found["fd"]
        found["chain_precision_rise"] = found["chain_precision"] - found["precision"]
    return found


def pictures(model: Path, seed: int) -> dict[str, Figure]:
    """samples: the last grid of a seed, at the noise that all losses share; growth: ten of them, a row a moment."""
    found = grids(model, seed)
    shown = {"samples": images.grid(found[-1, :SHOWN], 8), "growth": images.grid(found[:, :10].flatten(0, 1), 10)}
    return shown | {"curves": curves.curves(tables.read(model / "history.parquet"))}


def grids(model: Path, seed: int) -> torch.Tensor:
    """Samples of a seed's averaged generator through the training, [moments, n, channels, height, width] in [0, 1]."""
    from safetensors.torch import load_file

    return images.unit(load_file(model / f"grids_{seed}.safetensors")["grids"])
