"""How many of a thousand modes are there: a model of three digits stacked as channels.

Paper: https://arxiv.org/abs/1901.08508, which claims all 1000; article: https://kexue.fm/archives/6331.

    a classifier of single digits reads each channel; KL of the histogram of triples to the uniform one, nats

A classifier errs and digits are not quite uniform, so the same numbers of real test digits stand beside them.
The number: 1000 triples among 25,600 samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from stages.core import files, targets
from stages.core.errors import Refusal
from stages.core.params import typed
from stages.core.systems import Findings, Inputs
from stages.core.targets import Target
from stages.gan.evaluate import drawn, load, pictures
from stages.gan.settings import Gan
from stages.nets import features, modes, quality
from stages.nets.features import Judge
from stages.nets.images import unit


@dataclass(frozen=True)
class EvaluateStacks:
    """Params of the evaluation."""

    archive: int  # number of the article
    data: str  # what the claims say they were measured on
    samples: int
    seed: int  # of the stacks of real test images
    targets: tuple[Target, ...]


def evaluate(model: Path, inputs: Inputs, params: EvaluateStacks) -> Findings:
    """Triples and their divergence of each seed's model, and of stacked test images as real_NAME.

    Raises `Refusal` where `truth` is no network that knows the classes of single images.
    """
    if inputs.truth is None:
        raise Refusal("params.yaml: stacks are read by a `truth`, the model of a row of kind features")
    judge = features.load(inputs.truth)
    if judge.task != "labels" or judge.images.shape[0] != 1:
        raise Refusal(f"{inputs.truth} does not know the classes of grey images: stacks cannot be read by it")
    made = files.read_json(model / "model.json")
    how = typed(Gan, made["params"], str(model / "model.json"))
    of_real = real(judge, params.samples, params.seed)
    rows = {
        seed: measured(judge, drawn(load(model, how, tuple(made["image"]), seed), params.samples, seed)) | of_real
        for seed in how.seeds
    }
    claims = targets.judged(rows, params.targets, params.archive, params.data)
    return Findings(targets.summary(rows), claims, figures=pictures(model, how.seeds[0]))


def measured(judge: Judge, samples: torch.Tensor) -> dict[str, float]:
    """triples, triple_kl; and fd of the channels, as many as there are reference images, as images of their own.

    Of `samples` [n, 3, height, width] in [0, 1].
    """
    channels = samples.flatten(0, 1)[: len(judge.rows), None]
    distance = quality.frechet(judge.reference, judge.features(channels))
    return modes.triples(judge, samples) | {"fd": distance, "fd_of_gaussian": distance / judge.scale["gaussian"]}


def real(judge: Judge, size: int, seed: int) -> dict[str, float]:
    """The same of `size` stacks of test images, as real_NAME."""
    stacks = modes.stacked(judge.images.test, size, torch.Generator().manual_seed(seed))
    return {f"real_{name}": value for name, value in measured(judge, unit(stacks)).items()}
