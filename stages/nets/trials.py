"""Networks and optimisers under equal conditions: the same data, batches, steps and seeds for every contestant.

    loss = cross entropy; learning rate constant, and falling to 0 over the last half

Accuracy is of the test part, looked at once, after the last step; what each costs is told by costs.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from stages.core import devices, files, tables
from stages.core.errors import Refusal, one_line
from stages.core.systems import Findings
from stages.nets import images
from stages.nets.board import Board
from stages.nets.costs import Cost, cost
from stages.nets.seeds import seeded
from stages.nets.training import History, Watch, fade, fit

UNCOUNTED = -1  # a target that is not asked for
AT_ONCE = 2048  # samples judged at a time


@dataclass(frozen=True)
class Conditions:
    """What is equal for all."""

    seeds: tuple[int, ...]
    steps: int
    batch: int
    rate: float
    watch: Watch
    device: str
    bf16: bool
    compile: bool


@dataclass(frozen=True)
class Task:
    """Samples [n, ...] and their classes [n], or [n, length] where every place has one; UNCOUNTED ones do not count."""

    train: torch.Tensor
    targets: torch.Tensor
    test: torch.Tensor
    test_targets: torch.Tensor
    prepare: Callable[[torch.Tensor], torch.Tensor]  # samples as they lie in memory to what a network takes

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one sample as it lies in memory."""
        return tuple(self.train.shape[1:])

    @property
    def classes(self) -> int:
        """How many there are."""
        return int(self.targets.max()) + 1


def pictures(folder: Path | None, device: torch.device) -> Task:
    """The classes of the images in `folder`; raises `Refusal` where there is none, or where images have no labels."""
    if folder is None:
        raise Refusal("params.yaml: a trial needs `input` and `truth`, a data set of images with labels")
    data = images.load(folder, device)
    if min(data.train_labels.min(), data.test_labels.min()) < 0:
        raise Refusal(f"{folder} has images without labels: give a data set that has them")
    return Task(data.train, data.train_labels, data.test, data.test_labels, images.unit)


def adam(net: nn.Module, rate: float) -> torch.optim.Optimizer:
    """Adam with torch's defaults."""
    return torch.optim.Adam(net.parameters(), lr=rate)


def untouched(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """No augmentation."""
    return x


@dataclass(frozen=True)
class Contestant:
    """A network, made under the seed of a trial, and how it is trained."""

    net: Callable[[], nn.Module]
    optimiser: Callable[[nn.Module, float], torch.optim.Optimizer] = adam
    rate: float = 1.0  # times that of the conditions
    augment: Callable[[torch.Tensor, torch.Generator], torch.Tensor] = untouched  # of prepared training samples


def train(
    contestants: Mapping[str, Contestant],
    task: Task,
    conditions: Conditions,
    spool: Path | None,
    out: Path,
    params: Any,
) -> Findings:
    """Train every contestant with every seed; facts are the rates, history the mean loss over seeds of each.

    Writes `out`/NAME.safetensors (weights as seed_N/...), `out`/history.parquet (contestant, seed, step, loss) and
    `out`/model.json (`params` of the row, and what each costs).
    """
    from safetensors.torch import save_file

    out.mkdir(parents=True, exist_ok=True)
    records: dict[str, dict[int, History]] = {}
    costs, facts = {}, {}
    for name, contestant in contestants.items():
        begin = time.perf_counter()
        weights, records[name] = {}, {}
        for seed in conditions.seeds:
            place = spool / name / f"seed_{seed}" if spool else None
            net, optimiser, records[name][seed] = learn(contestant, task, conditions, seed, place, name)
            weights |= {f"seed_{seed}/{key}": value.cpu().clone() for key, value in net.state_dict().items()}
        facts[f"{name}.steps_per_second"] = len(conditions.seeds) * conditions.steps / (time.perf_counter() - begin)
        costs[name] = _cost(net, optimiser, task, conditions.batch)
        save_file(weights, out / f"{name}.safetensors")
    told = {name: asdict(found) for name, found in costs.items()}
    files.write_json({"params": asdict(params), "costs": told}, out / "model.json")
    tables.write(_history(records), out / "history.parquet")
    return Findings(facts=facts, history={f"loss.{name}": _mean(seeds) for name, seeds in records.items()})


def learn(
    contestant: Contestant, task: Task, conditions: Conditions, seed: int, spool: Path | None, what: str
) -> tuple[nn.Module, torch.optim.Optimizer, History]:
    """One contestant trained with one seed, which makes its weights, its batches and its dropout."""
    device = task.train.device
    with seeded(seed, device) as chance:
        net = contestant.net().to(device)
        rate = contestant.rate * conditions.rate
        optimiser = contestant.optimiser(net, rate)
        generator = torch.Generator(device).manual_seed(seed)
        forward = torch.compile(net) if conditions.compile and device.type == "cuda" else net

        def step(i: int) -> dict[str, torch.Tensor]:
            rows = torch.randint(len(task.train), (conditions.batch,), generator=generator, device=device)
            x = contestant.augment(task.prepare(task.train[rows]), generator)
            with devices.precision(device, conditions.bf16):
                loss = entropy(forward(x), task.targets[rows])
            fade(optimiser, rate, i, conditions.steps)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            return {"loss": loss}

        parts = {"net": net, "optimiser": optimiser, "generator": generator, "chance": chance}
        history = fit(step, parts, conditions.steps, conditions.watch, spool, what)
    return net, optimiser, history


def entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The mean cross entropy, nats, of logits [..., classes] about the targets [...] that count."""
    return functional.cross_entropy(logits.flatten(0, -2), targets.flatten(), ignore_index=UNCOUNTED)


def _cost(net: nn.Module, optimiser: torch.optim.Optimizer, task: Task, batch: int) -> Cost:
    x, targets = task.prepare(task.train[:batch]), task.targets[:batch]
    return cost(net, optimiser, x, lambda logits: entropy(logits, targets))


def evaluate(model: Path, contestants: Mapping[str, Contestant], task: Task) -> Board:
    """The test accuracy of every contestant and seed in the folder `model`, with what `train` wrote of them.

    Raises `Refusal` where a contestant is missing or of another shape.
    """
    return board(model, {name: _accuracies(model, name, contestant, task) for name, contestant in contestants.items()})


def board(model: Path, accuracy: Mapping[str, Sequence[float]]) -> Board:
    """The board of contestants in `model` whose `accuracy`, one a seed, is known."""
    costs = files.read_json(model / "model.json")["costs"]
    return Board(accuracy, {name: Cost(**costs[name]) for name in accuracy}, tables.read(model / "history.parquet"))


def _accuracies(model: Path, name: str, contestant: Contestant, task: Task) -> list[float]:
    """Of every seed, in order, as they are kept."""
    net = contestant.net().to(task.test.device)
    return [accuracy(net, task) for net in trained(model, name, net)]


def trained(model: Path, name: str, net: nn.Module) -> Iterator[nn.Module]:
    """`net` with the weights of the contestant `name` in `model`, seed by seed, in evaluation mode."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        held = load_file(model / f"{name}.safetensors")
        for seed in sorted({int(key.split("/")[0].removeprefix("seed_")) for key in held}):
            start = f"seed_{seed}/"
            net.load_state_dict({key.removeprefix(start): w for key, w in held.items() if key.startswith(start)})
            yield net.eval()
    except (OSError, RuntimeError, SafetensorError) as error:
        raise Refusal(f"{model} holds no trained {name}: {one_line(error)}; train it again") from error


@torch.no_grad()
def accuracy(net: nn.Module, task: Task) -> float:
    """The share of the test targets that count which `net`, in evaluation mode, gets right."""
    found = torch.cat([net(task.prepare(part)).argmax(-1) for part in task.test.split(AT_ONCE)])
    counted = task.test_targets != UNCOUNTED
    return (found == task.test_targets)[counted].double().mean().item()


def _mean(seeds: Mapping[int, History]) -> list[float]:
    """The loss of every step, mean over seeds."""
    return [fmean(each) for each in zip(*(told["loss"] for told in seeds.values()), strict=True)]


def _history(records: Mapping[str, Mapping[int, History]]) -> Any:
    import numpy as np
    import pyarrow as pa

    runs = [(name, seed, told["loss"]) for name, seeds in records.items() for seed, told in seeds.items()]
    sizes = [len(loss) for *_, loss in runs]
    return pa.table(
        {
            "contestant": np.repeat([name for name, *_ in runs], sizes),
            "seed": np.repeat([seed for _, seed, _ in runs], sizes),
            "step": np.concatenate([np.arange(size) for size in sizes]),
            "loss": np.concatenate([loss for *_, loss in runs]).astype(np.float32),
        }
    )
