"""Classes of images told by networks of several sizes: the yardstick of what pictures are worth as a task.

Article: https://kexue.fm/archives/4540. Every model has its own length, batch, rate and augmentation, as its record
has. The last of the training images are held back, to choose by.

The numbers on Fashion-MNIST, in per cent: softmax 84.6, mlp 89.3, cnn 92.5, a wide residual network 95.5 and more.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import nn

from stages.core import devices, files
from stages.core.errors import Refusal
from stages.core.params import Choices, choose
from stages.core.systems import Findings, Inputs
from stages.nets import trials
from stages.nets.augment import AUGMENTATIONS
from stages.nets.classifiers import Classifier, make
from stages.nets.optimisers import decayed
from stages.nets.threads import suited
from stages.nets.training import Watch


@dataclass(frozen=True)
class Model:
    """A network and how it is trained."""

    net: Classifier
    optimiser: str  # adamw, or nesterov with momentum 0.9
    rate: float
    decay: float  # of weights, not of norms and biases
    batch: int
    steps: int
    augment: tuple[str, ...]  # of AUGMENTATIONS


@dataclass(frozen=True)
class Classify:
    """Params of the trainings."""

    models: dict[str, Model]
    validation: int  # training images that are held back
    seeds: tuple[int, ...]
    watch: Watch
    device: str
    bf16: bool
    compile: bool


def train(inputs: Inputs, params: Classify, out: Path) -> Findings:
    """Train every model with every seed; writes what `trials.train` does to `out`/NAME, and `out`/model.json."""
    task = trials.pictures(inputs.input, devices.pick(params.device))
    kept = len(task.train) - params.validation
    if kept < 1:
        raise Refusal(
            f"params.yaml: validation is {params.validation}, but {inputs.input} has {kept + params.validation} images"
        )
    task = replace(task, train=task.train[:kept], targets=task.targets[:kept])
    facts, history = {}, {}
    for name, model in params.models.items():
        conditions = trials.Conditions(
            params.seeds, model.steps, model.batch, model.rate, params.watch, params.device, params.bf16, params.compile
        )
        with suited(task.shape):
            entrant = {name: contestant(model, task)}
            found = trials.train(entrant, task, conditions, inputs.spool, out / name, model)
        facts |= found.facts
        history |= found.history
    files.write_json({"models": list(params.models), "validation": params.validation}, out / "model.json")
    return Findings(facts=facts, history=history)


def contestant(model: Model, task: trials.Task) -> trials.Contestant:
    """`model` for the images of `task`."""
    make_optimiser = choose(OPTIMISERS, model.optimiser, "models.optimiser")
    changes = [choose(AUGMENTATIONS, name, "models.augment") for name in model.augment]

    def augment(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        for change in changes:
            x = change(x, generator)
        return x

    net = partial(make, model.net, task.shape, task.classes)
    return trials.Contestant(net, partial(make_optimiser, decay=model.decay), augment=augment)


def adamw(net: nn.Module, rate: float, decay: float) -> torch.optim.Optimizer:
    """AdamW; matrices and kernels decay, norms and biases do not."""
    return torch.optim.AdamW(decayed(net, decay), rate)


def nesterov(net: nn.Module, rate: float, decay: float) -> torch.optim.Optimizer:
    """SGD with Nesterov's momentum of 0.9."""
    return torch.optim.SGD(decayed(net, decay), rate, momentum=0.9, nesterov=True)


OPTIMISERS: Choices = {"adamw": adamw, "nesterov": nesterov}
"""What makes an optimiser of (net, rate, decay)."""
