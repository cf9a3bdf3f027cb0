"""A small language model made larger as it stands, against one that stays small and one that begins anew.

Article: https://kexue.fm/archives/8444; paper: Chen et al. 2022 (bert2BERT), https://arxiv.org/abs/2110.07143.

    small       `steps` of training, and then
    on          as many again, with Adam as it was
    grown       as many again, k times as wide, with noise that keeps the function, and Adam's averages grown
    scratch     as many, of the same size as the grown one, from the beginning

The number: grown, the loss is what it was to 1e-4, and after as many steps below both others (systems row `growth`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from stages.core import devices, files, tables, targets
from stages.core.errors import Refusal
from stages.core.params import typed
from stages.core.systems import Findings, Inputs
from stages.core.targets import Target
from stages.nets.growth.width import State, grow, grow_adam
from stages.nets.seeds import every_seed
from stages.nets.sequences import Sequences, load
from stages.nets.threads import one_thread
from stages.nets.training import History, Watch, fade, fit
from stages.nets.transformer import Config, Transformer, loss

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.figure import Figure

POINTS = 40
"""Of a curve of losses."""


@dataclass(frozen=True)
class Growth:
    """Params of the trainings."""

    net: Config  # the small one
    k: int
    mode: str  # head_dim or heads
    noise: float  # of each weight's deviation
    steps: int  # of each training
    batch: int
    rate: float  # of Adam, constant; in the second trainings falling to 0 over the last half
    seeds: tuple[int, ...]
    watch: Watch
    device: str
    bf16: bool


@dataclass(frozen=True)
class EvaluateGrowth:
    """Params of the evaluation."""

    data: str  # what the claims say they were measured on
    device: str
    targets: tuple[Target, ...]


def train(inputs: Inputs, params: Growth, out: Path) -> Findings:
    """Train all four for each seed on the sequences of `inputs.input`; weights as small/..., on/... and so on.

    Raises `Refusal` where there is no data set, and where the net does not fit together.
    """
    device = devices.pick(params.device)
    data = _data(inputs.input, device)
    with one_thread():
        return every_seed(partial(_four, data, params), params.seeds, inputs.spool, out, params)


def _four(data: Sequences, how: Growth, seed: int, spool: Path | None) -> tuple[State, History]:
    small = build(how.net, data, seed)
    adam = torch.optim.Adam(small.parameters(), lr=how.rate)
    first = partial(learn, data=data, how=how, seed=seed)
    history = {"small": first(small, adam, spool=spool and spool / "small", fading=False)}
    weights = {"small": _kept(small)}
    larger, config = grow(small.state_dict(), how.net, how.k, how.mode, how.noise, seed)
    grown, scratch = build(config, data, seed), build(config, data, seed)
    grown.load_state_dict(larger)
    runs = {
        "on": (small, adam),
        "grown": (grown, larger_adam(adam, small, grown, how)),
        "scratch": (scratch, torch.optim.Adam(scratch.parameters(), lr=how.rate)),
    }
    for name, (net, optimiser) in runs.items():
        history[name] = first(net, optimiser, spool=spool and spool / name, fading=True)
        weights[name] = _kept(net)
    return {f"{run}/{name}": tensor for run, held in weights.items() for name, tensor in held.items()}, history


def larger_adam(adam: torch.optim.Adam, small: Transformer, grown: Transformer, how: Growth) -> torch.optim.Adam:
    """Adam for the grown model, with the averages of the small one's gradients and the number of its steps."""
    names = [name for name, _ in small.named_parameters()]
    held = adam.state_dict()
    made = {name: {key: v.clone() for key, v in held["state"][i].items()} for i, name in enumerate(names)}
    for key, power in (("exp_avg", 1), ("exp_avg_sq", 2)):
        moments = grow_adam({name: state[key] for name, state in made.items()}, how.net, how.k, how.mode, power)
        for name, moment in moments.items():
            made[name][key] = moment
    optimiser = torch.optim.Adam(grown.parameters(), lr=how.rate)
    optimiser.load_state_dict({"state": dict(enumerate(made.values())), "param_groups": held["param_groups"]})
    return optimiser


def learn(
    net: Transformer, optimiser: torch.optim.Adam, data: Sequences, how: Growth, seed: int, spool: Path | None,
    fading: bool,
) -> list[float]:  # fmt: skip
    """Train `net` in place; the loss of every step."""
    device = data.train.device
    generator = torch.Generator(device).manual_seed(seed + (how.steps if fading else 0))

    def step(i: int) -> dict[str, torch.Tensor]:
        rows = torch.randint(len(data.train), (how.batch,), generator=generator, device=device)
        with devices.precision(device, how.bf16):
            value = loss(net, data.train[rows].long())
        if fading:
            fade(optimiser, how.rate, i, how.steps)
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        return {"loss": value}

    return fit(step, {"net": net, "optimiser": optimiser, "generator": generator}, how.steps, how.watch, spool)["loss"]


def build(config: Config, data: Sequences, seed: int) -> Transformer:
    """A fresh model for the symbols of `data`, with weights that `seed` decides."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return Transformer(config, len(data.symbols), data.train.shape[1]).to(data.train.device)


def evaluate(model: Path, inputs: Inputs, params: EvaluateGrowth) -> Findings:
    """The losses of the test part of the data set `truth`, and the promises held against them.

    Metrics: loss_NAME of each model, loss_at_growth; logits_off, the largest change of a logit over the largest logit;
    at_growth_off; below_NAME, by how much grown is below; weights_NAME, their number.
    """
    from safetensors.torch import load_file

    data = _data(inputs.truth, devices.pick(params.device))
    how = typed(Growth, files.read_json(model / "model.json")["params"], str(model / "model.json"))
    with one_thread():
        rows = {
            seed: measured(load_file(model / f"seed_{seed}.safetensors", str(data.test.device)), data, how, seed)
            for seed in how.seeds
        }
    figures = {"losses": losses(tables.read(model / "history.parquet"), how.steps)}
    claims = targets.judged(rows, params.targets, 8444, params.data)
    return Findings(targets.summary(rows), claims, {"seeds": targets.table(rows)}, figures)


@torch.no_grad()
def measured(held: State, data: Sequences, how: Growth, seed: int) -> dict[str, float]:
    """All metrics of one seed."""
    own = {run: _of(held, f"{run}/") for run in ("small", "on", "grown", "scratch")}
    larger, config = grow(own["small"], how.net, how.k, how.mode, how.noise, seed)
    nets = {run: build(how.net if run in ("small", "on") else config, data, seed) for run in own}
    nets["at_growth"] = build(config, data, seed)
    for run, net in nets.items():
        net.load_state_dict(own.get(run, larger))
        net.eval()
    x = data.test.long()
    found = {f"loss_{run}": loss(net, x).item() for run, net in nets.items()}
    before, after = nets["small"](x), nets["at_growth"](x)
    found["logits_off"] = ((after - before).abs().max() / before.abs().max()).item()
    found["at_growth_off"] = abs(found["loss_at_growth"] - found["loss_small"])
    found |= {f"below_{run}": found[f"loss_{run}"] - found["loss_grown"] for run in ("on", "scratch")}
    return found | {f"weights_{run}": float(sum(w.numel() for w in nets[run].parameters())) for run in ("on", "grown")}


def losses(history: pa.Table, steps: int) -> Figure:
    """The losses of the batches, mean over seeds and over stretches of steps: the small one, and then the others."""
    import numpy as np
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.add_subplot()
    stretch = max(1, steps // POINTS)
    for name in ("small", "on", "grown", "scratch"):
        each = history[name].to_numpy().reshape(-1, steps).mean(0)
        mean = each[: steps // stretch * stretch].reshape(-1, stretch).mean(1)
        at = (np.arange(len(mean)) + 0.5) * stretch + (0 if name == "small" else steps)
        axes.plot(at, mean, linewidth=1, label=name)
    axes.set(xlabel="step", ylabel="loss, nats a symbol")
    axes.legend()
    return figure


def _of(held: Mapping[str, torch.Tensor], start: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(start): tensor for name, tensor in held.items() if name.startswith(start)}


def _kept(net: Transformer) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}


def _data(folder: Path | None, device: torch.device) -> Sequences:
    if folder is None:
        raise Refusal("params.yaml: growth needs an `input` and a `truth`, the same data set of sequences")
    return load(folder, device)
