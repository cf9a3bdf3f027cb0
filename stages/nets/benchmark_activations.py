"""Activations under equal conditions: one network on images, another activation between its layers.

Article: https://kexue.fm/archives/8718; paper: Biswas et al. 2021 (SAU, https://arxiv.org/abs/2109.13210), which finds
5.12 points more than ReLU for ShuffleNet-V2 2.0x on CIFAR-100.

The number: on digits SAU is within a point of ReLU and of GELU (systems row `benchmark_activations`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import prod
from pathlib import Path

from torch import nn

from stages.core import devices, files
from stages.core.errors import Refusal
from stages.core.params import Choices, choose, typed
from stages.core.systems import Findings, Inputs
from stages.core.targets import Target, judged
from stages.nets import trials
from stages.nets.activations import ACTIVATIONS
from stages.nets.threads import suited
from stages.nets.trials import Conditions, Contestant, Task

Activation = Callable[[], nn.Module]

SMALLEST = 4  # pixels a side that are still halved


@dataclass(frozen=True)
class BenchmarkActivations:
    """Params of the trainings."""

    activations: tuple[str, ...]
    net: str  # mlp, cnn
    widths: tuple[int, ...]  # of the hidden layers, or channels of the convolutions
    conditions: Conditions


@dataclass(frozen=True)
class EvaluateActivations:
    """Params of the evaluation."""

    archive: int
    data: str
    compared: tuple[str, ...]  # the activations that the others are held against
    device: str
    targets: tuple[Target, ...]


def mlp(activation: Activation, image: tuple[int, int, int], widths: tuple[int, ...], classes: int) -> nn.Sequential:
    """Linear layers between flat vectors."""
    layers: list[nn.Module] = [nn.Flatten()]
    size = prod(image)
    for width in widths:
        layers += [nn.Linear(size, width), activation()]
        size = width
    return nn.Sequential(*layers, nn.Linear(size, classes))


def cnn(activation: Activation, image: tuple[int, int, int], widths: tuple[int, ...], classes: int) -> nn.Sequential:
    """Convolutions 3x3, halved by means where there is enough to halve, and a linear layer."""
    layers: list[nn.Module] = []
    channels, *sides = image
    for width in widths:
        layers += [nn.Conv2d(channels, width, 3, padding=1), activation()]
        channels = width
        if min(sides) >= SMALLEST:
            layers.append(nn.AvgPool2d(2))
            sides = [side // 2 for side in sides]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * prod(sides), classes))


NETS: Choices = {"mlp": mlp, "cnn": cnn}


def train(inputs: Inputs, params: BenchmarkActivations, out: Path) -> Findings:
    """Train a network with each of the activations on the images of `inputs.input`; writes as trials.train does."""
    task = trials.pictures(inputs.input, devices.pick(params.conditions.device))
    with suited(task.shape):
        return trials.train(_contestants(params, task), task, params.conditions, inputs.spool, out, params)


def evaluate(model: Path, inputs: Inputs, params: EvaluateActivations) -> Findings:
    """Accuracy of each on the test images of `truth`; promises are of accuracy.NAME and behind.NAME.

    The second is how far NAME is behind the best of those `compared`, in means over seeds.
    """
    task = trials.pictures(inputs.truth, devices.pick(params.device))
    how = typed(BenchmarkActivations, files.read_json(model / "model.json")["params"], str(model / "model.json"))
    with suited(task.shape):
        board = trials.evaluate(model, _contestants(how, task), task)
    if missing := set(params.compared) - set(board.accuracy):
        raise Refusal(f"params.yaml: compared is {min(missing)}, which is not among the activations: add it there")
    best = max(board.mean(name) for name in params.compared)
    found = {f"accuracy.{name}": board.mean(name) for name in board.accuracy}
    found |= {f"behind.{name}": best - board.mean(name) for name in board.accuracy}
    return board.findings(judged({0: found}, params.targets, params.archive, params.data))


def _contestants(params: BenchmarkActivations, task: Task) -> dict[str, Contestant]:
    """One network for each activation."""
    made = choose(NETS, params.net, "net")
    return {
        name: Contestant(
            partial(made, choose(ACTIVATIONS, name, "activations"), task.shape, params.widths, task.classes)
        )
        for name in params.activations
    }
