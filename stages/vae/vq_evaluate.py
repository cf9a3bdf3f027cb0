"""What a VQ-VAE is worth: how near its reconstructions are, and how much of its codebook is at work.

Article: https://kexue.fm/archives/6760.

    perplexity   exp of the entropy of the codes of the whole test set: of a batch it would be less
    used         codes that occur there
    mse          of reconstructions of test images in [0, 1]; mse_of_mean: of the mean image
    agreement    share of reconstructions in which the classifier sees the true class
    reconstruction_fd and so on: the metrics of quality.py, of the reconstructions of test images

At two levels perplexity and used are of the bottom, perplexity_top and used_top of the top.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from stages.core import tables, targets
from stages.core.errors import Refusal
from stages.core.systems import Findings, Inputs
from stages.core.targets import Target
from stages.nets import curves, features, images, quality
from stages.vae import vq
from stages.vae.codebook import entropy, usage

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 40  # pairs of image and reconstruction


@dataclass(frozen=True)
class EvaluateVq:
    """Params of the evaluation."""

    archive: int  # number of the article
    data: str  # what the claims say they were measured on
    targets: tuple[Target, ...]


def evaluate(model: Path, inputs: Inputs, params: EvaluateVq) -> Findings:
    """Metrics of each seed's model, and the promises held against them; errors as in `gan.evaluate`."""
    judge = judged(inputs)
    how, _ = vq.told(model)
    found = {seed: vq.load(model, seed) for seed in how.seeds}
    rows = {seed: {**reconstructed(made, judge, seed), **at_work(made)} for seed, made in found.items()}
    first = found[how.seeds[0]]
    figures = {
        "reconstructions": pairs(first, judge),
        "usage": used(first.test, first.params.codebook.codes, first.params.levels),
        "curves": curves.curves(tables.read(model / "history.parquet")),
    }
    claims = targets.judged(rows, params.targets, params.archive, params.data)
    return Findings(targets.summary(rows), claims, {"seeds": targets.table(rows)}, figures)


def judged(inputs: Inputs) -> features.Judge:
    """The feature network that `truth` names; raises `Refusal` where it names none."""
    if inputs.truth is None:
        raise Refusal("params.yaml: a VQ-VAE is judged by a `truth`, the model of a row of kind features")
    return features.load(inputs.truth)


def reconstructed(made: vq.Made, judge: features.Judge, seed: int) -> dict[str, float]:
    """How good the reconstructions of the test images are."""
    x, again = images.unit(judge.images.test), made.pictured(made.test)
    if x.shape != again.shape:
        raise Refusal("params.yaml: the `truth` knows other images than those that the VQ-VAE was trained on")
    measured = quality.measure(judge, again, seed)
    middle = images.unit(judge.images.train).mean(0)
    found = {"mse": (x - again).square().mean().item(), "mse_of_mean": (x - middle).square().mean().item()}
    if judge.task == "labels":
        seen = judge.probabilities(again).argmax(1)
        found["agreement"] = (seen == judge.images.test_labels).double().mean().item()
    return found | {f"reconstruction_{name}": value for name, value in measured.items()}


def at_work(made: vq.Made) -> dict[str, float]:
    """Perplexity and used codes of the test set, at each level; and bits an image, were the codes independent."""
    found, bits = {}, 0.0
    for name, codes in zip(["", "_top"], made.test, strict=False):
        counts = usage(codes, made.params.codebook.codes)
        found[f"perplexity{name}"] = exp(entropy(counts))
        found[f"used{name}"] = float((counts > 0).sum())
        bits += entropy(counts) * codes[0].numel() / torch.log(torch.tensor(2.0)).item()
    return found | {"bits": bits}


def pairs(made: vq.Made, judge: features.Judge) -> Figure:
    """Test images and, below each, its reconstruction."""
    x = images.unit(judge.images.test[:SHOWN])
    again = made.pictured([level[:SHOWN] for level in made.test])
    rows = torch.stack([x.unflatten(0, (-1, 10)), again.unflatten(0, (-1, 10))], 1)  # [rows, 2, 10, c, h, w]
    return images.grid(rows.flatten(0, 2), 10)


def used(codes: Sequence[torch.Tensor], size: int, levels: Sequence[str]) -> Figure:
    """How often each code occurs, the most frequent first, at each level."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.5, 3), layout="constrained")
    axes = figure.subplots()
    for level, name in zip(codes, levels, strict=True):
        counts = usage(level, size).sort(descending=True).values.double()
        share = (counts / counts.sum()).cpu().numpy()
        axes.plot(range(1, size + 1), share, label=f"{name}, perplexity {exp(entropy(counts)):.0f}")
    axes.axhline(1 / size, color="grey", linewidth=0.6, label="all alike")
    axes.set(xlabel="codes, the most frequent first", ylabel="share of the test set's", yscale="log")
    axes.legend()
    return figure
