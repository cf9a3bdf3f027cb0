"""What mixers of tokens are worth under equal conditions: one network, one training, another mixer in each block.

Article: https://kexue.fm/archives/8431, which finds them much alike, gMLP a little behind attention and aMLP ahead.

    tokens -> embeddings + places -> `depth` blocks -> norm -> mean over tokens -> classes

Tokens are the rows or the pixels of images, or the symbols of sequences. The number: on the digits and on sequences of
a hidden topic every mixer that lets tokens meet is within 5 points of attention (systems rows `benchmark_blocks` and
`benchmark_blocks_text`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import nn

from stages.core import devices, files
from stages.core.errors import Refusal
from stages.core.params import Choices, choose, typed
from stages.core.systems import Findings, Inputs
from stages.core.targets import Target, judged
from stages.nets import sequences, trials
from stages.nets.mixers import Block, Settings
from stages.nets.threads import one_thread
from stages.nets.trials import Conditions, Contestant, Task

ARCHIVE = 8431
BASELINE = "attention"


@dataclass(frozen=True)
class Net:
    """The network around the mixers."""

    dim: int
    depth: int
    places: bool  # whether embeddings of places are added
    causal: bool
    settings: Settings


@dataclass(frozen=True)
class BenchmarkBlocks:
    """Params of the trainings."""

    mixers: tuple[str, ...]
    tokens: str  # rows, pixels, symbols
    net: Net
    conditions: Conditions


@dataclass(frozen=True)
class EvaluateBlocks:
    """Params of the evaluation."""

    data: str  # what the claims say they were measured on
    device: str
    targets: tuple[Target, ...]


@dataclass(frozen=True)
class Reading:
    """A task as tokens: how many, of how many classes, and the layer that embeds them in `dim` numbers each."""

    task: Task
    length: int
    classes: int
    embedding: Callable[[int], nn.Module]


def rows(folder: Path, device: torch.device) -> Reading:
    """The rows of images [n, channels, height, width], of all channels."""
    return _pictured(folder, device, lambda x: x.transpose(1, 2).flatten(2))


def pixels(folder: Path, device: torch.device) -> Reading:
    """The pixels of images, row by row."""
    return _pictured(folder, device, lambda x: x.flatten(2).transpose(1, 2))


def _pictured(folder: Path, device: torch.device, cut: Callable[[torch.Tensor], torch.Tensor]) -> Reading:
    task = trials.pictures(folder, device)
    _, length, numbers = cut(task.test[:1]).shape
    cut_up = replace(task, prepare=lambda x: cut(task.prepare(x)))
    return Reading(cut_up, length, task.classes, partial(nn.Linear, numbers))


def symbols(folder: Path, device: torch.device) -> Reading:
    """The symbols of sequences, of which 0 is none; raises `Refusal` for sequences without labels."""
    data = sequences.load(folder, device)
    if min(data.train_labels.min(), data.test_labels.min()) < 0:
        raise Refusal(f"{folder} has sequences without labels: the benchmark needs them; give it another input")
    task = Task(data.train, data.train_labels, data.test, data.test_labels, prepare=torch.Tensor.long)
    classes = int(data.train_labels.max()) + 1
    return Reading(task, data.train.shape[1], classes, partial(nn.Embedding, len(data.symbols)))


READINGS: Choices = {"rows": rows, "pixels": pixels, "symbols": symbols}


class Classifier(nn.Module):
    """Tokens [n, length, numbers], or symbols [n, length] -> logits [n, classes], or with `each` of every token."""

    def __init__(self, mixer: str, net: Net, reading: Reading, each: bool = False) -> None:
        super().__init__()
        self.embedding, self.each = reading.embedding(net.dim), each
        self.places = nn.Parameter(0.02 * torch.randn(reading.length, net.dim)) if net.places else None
        self.blocks = nn.ModuleList(
            Block(mixer, net.dim, reading.length, net.causal, net.settings) for _ in range(net.depth)
        )
        self.norm, self.head = nn.LayerNorm(net.dim), nn.Linear(net.dim, reading.classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The logits."""
        mask = x > 0 if x.dim() == 2 else None  # [n, length]
        h = self.embedding(x)
        h = h if self.places is None else h + self.places[: x.shape[1]]
        for block in self.blocks:
            h = block(h, mask)
        h = self.norm(h)
        if not self.each:
            h = h.mean(1) if mask is None else (h * mask[..., None]).sum(1) / mask.sum(1, keepdim=True).clamp(min=1)
        return self.head(h)


def contestants(params: BenchmarkBlocks, reading: Reading) -> dict[str, Contestant]:
    """One for each of the mixers, all of one kind."""
    return {name: Contestant(partial(Classifier, name, params.net, reading), adam) for name in params.mixers}


def adam(net: nn.Module, rate: float) -> torch.optim.Optimizer:
    """Adam in one pass over all weights: for networks this small, a quarter off the time of a step."""
    return torch.optim.Adam(net.parameters(), lr=rate, fused=True)


def train(inputs: Inputs, params: BenchmarkBlocks, out: Path) -> Findings:
    """Train a network with each of the mixers on `inputs.input`; writes and raises as trials.train does."""
    reading = _read(inputs.input, params.tokens, params.conditions.device)
    with one_thread():  # steps of a few numbers each
        return trials.train(contestants(params, reading), reading.task, params.conditions, inputs.spool, out, params)


def evaluate(model: Path, inputs: Inputs, params: EvaluateBlocks) -> Findings:
    """The accuracy of each, what it costs, and the promises held against what `compared` says of each seed."""
    how = typed(BenchmarkBlocks, files.read_json(model / "model.json")["params"], str(model / "model.json"))
    reading = _read(inputs.truth, how.tokens, params.device)
    with one_thread():
        board = trials.evaluate(model, contestants(how, reading), reading.task)
    found = {seed: compared(board.accuracy, i) for i, seed in enumerate(how.conditions.seeds)}
    return board.findings(judged(found, params.targets, ARCHIVE, params.data))


def compared(accuracy: Mapping[str, Sequence[float]], i: int) -> dict[str, float]:
    """accuracy.NAME of seed number `i`, behind.NAME, how far it is behind attention, and `most_behind` of them."""
    found = {f"accuracy.{name}": values[i] for name, values in accuracy.items()}
    if BASELINE in accuracy:
        behind = {name: accuracy[BASELINE][i] - values[i] for name, values in accuracy.items()}
        found |= {f"behind.{name}": value for name, value in behind.items()} | {"most_behind": max(behind.values())}
    return found


def _read(folder: Path | None, tokens: str, device: str) -> Reading:
    if folder is None:
        raise Refusal("params.yaml: a benchmark of mixers needs an `input` and a `truth`, the same data set")
    return choose(READINGS, tokens, "tokens")(folder, devices.pick(device))
