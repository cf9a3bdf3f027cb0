"""Predictions of a net, and nets from the folder that train.py writes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from stages.core import devices, files
from stages.core.errors import Refusal, one_line
from stages.core.params import typed
from stages.text.bert.model import Config, Encoder
from stages.text.bert.vocabulary import Vocabulary
from stages.text.clue.heads import Net
from stages.text.clue.samples import Samples, drawn, order
from stages.text.clue.tasks import Task

if TYPE_CHECKING:
    from stages.text.clue.train import Clue

TIMES = 4  # a batch of predictions is so many times one of training


@torch.no_grad()
def answers(net: Net, samples: Samples, batch: int, device: torch.device, bf16: bool) -> list[Any]:
    """What the head answers of each sample, in their order; the net is left in training or not, as it was."""
    training, samples = net.training, samples.to(device)
    net.eval()
    found: list[Any] = [None] * len(samples)
    plan = order(samples, TIMES * batch, None)
    for i, (first, last, _) in enumerate(plan.cuts):
        with devices.precision(device, bf16):
            scores = net(drawn(samples, plan, i))
        for row, answer in zip(plan.rows[first:last].tolist(), net.head.answers(scores.float()), strict=True):
            found[row] = answer
    net.train(training)
    return found


def told(model: Path, kind: type[Clue]) -> tuple[Clue, Config, Vocabulary]:
    """The params of a trained folder, the encoder's, and its vocabulary."""
    said = files.read_json(model / "model.json")
    where = str(model / "model.json")
    return (
        typed(kind, said["params"], where),
        typed(Config, said["encoder"], where),
        Vocabulary.read(model / "vocab.txt"),
    )


def trained(
    model: Path, task: Task, seeds: tuple[int, ...], how: Clue, config: Config, known: Vocabulary, device: torch.device
) -> Iterator[Net]:
    """The nets of a task, seed by seed; raises `Refusal` where one is missing or of another shape."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    for seed in seeds:
        net = Net(Encoder(config, len(known)), task.head(config.dim, how.pool))
        path = model / task.name / f"seed_{seed}.safetensors"
        try:
            net.load_state_dict(load_file(path))
        except (OSError, RuntimeError, SafetensorError) as error:
            raise Refusal(f"{path} holds no net of {task.name}: {one_line(error)}; train it again") from error
        yield net.to(device).eval()
