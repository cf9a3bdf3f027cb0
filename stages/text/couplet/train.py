"""Couplets by labelling: the second line is as long as the first, and its characters face each other.

Article: https://kexue.fm/archives/6270; paper of the better network: https://arxiv.org/abs/1904.09324.

    loss = - mean log p(second_i | first, what is shown of second) over the characters that are not shown

The author's network is shown nothing. The other one is shown nothing in a share `whole` of lines, of which its nats
are the same quantity, and elsewhere a share of characters that is uniform in 0..1. The number: nats a character of
held-out couplets, clearly fewer than the author's (rows `couplets_reference` and `couplets`).
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch.nn import functional

from stages.core import devices, distributed, tables
from stages.core.errors import Refusal
from stages.core.systems import Findings, Inputs
from stages.nets.seeds import every_seed, seeded
from stages.nets.threads import one_thread
from stages.nets.training import History, Watch, fit
from stages.text.couplet.batches import Buckets
from stages.text.couplet.networks import Network, network
from stages.text.couplet.vocabulary import Vocabulary

SHOWN = -100  # a target that does not count


@dataclass(frozen=True)
class Couplets:
    """Params of a training."""

    network: Network
    least: int  # times that a known character occurs in the part `train`
    whole: float  # share of lines of which nothing is shown
    parts: dict[str, float]  # shares of batches from the parts of the data
    batch: int
    steps: int
    rate: float  # of Adam
    warm_up: int  # steps in which it rises from 0
    decay: float  # share of the steps, the last ones, in which it falls to 0
    seeds: tuple[int, ...]
    watch: Watch
    device: str
    bf16: bool
    compile: bool


def train(inputs: Inputs, params: Couplets, out: Path) -> Findings:
    """Train a network for each seed on `inputs.input`/couplets.parquet; writes as stages/nets/seeds.py says.

    Raises `Refusal` where there is no such data, and for shares out of range.
    """
    if inputs.input is None:
        raise Refusal("params.yaml: a couplet network needs an `input`, a data set of couplets")
    shares = [params.whole, params.decay, *params.parts.values()]
    if min(shares) < 0 or max(shares) > 1 or abs(sum(params.parts.values()) - 1) > 1e-6:
        raise Refusal(
            "params.yaml: whole and decay of couplets are shares, within 0..1, and those of parts add up to 1"
        )
    found = {name: part(inputs.input, name) for name in {"train": 1.0, **params.parts}}
    for name, share in {**params.parts, "train": 1.0}.items():
        if share and not found[name][0]:
            raise Refusal(f"{inputs.input} has no couplets of the part '{name}': set its share in `parts` to 0")
    known = Vocabulary.of([line for lines in found["train"] for line in lines], params.least)
    with distributed.joined(params.device) as device, one_thread() if device.type == "cpu" else nullcontext():
        sources = [(share, Buckets(*found[name], known, device)) for name, share in params.parts.items() if share]
        one = partial(learnt, sources, params, len(known), device)
        return every_seed(one, params.seeds, inputs.spool, out, params, characters=known.characters)


def part(folder: Path, name: str) -> tuple[list[str], list[str]]:
    """First and second lines of one part of a data set."""
    table = tables.read(folder / "couplets.parquet", ["first", "second", "split"]).to_pylist()
    kept = [row for row in table if row["split"] == name]
    return [row["first"] for row in kept], [row["second"] for row in kept]


def learnt(
    sources: list[tuple[float, Buckets]],
    params: Couplets,
    classes: int,
    device: torch.device,
    seed: int,
    spool: Path | None,
) -> tuple[dict[str, torch.Tensor], History]:
    """One network, and the loss of every step. With `spool` a killed training goes on."""
    with seeded(seed, device) as chance:
        net = network(params.network, classes).to(device)
        spread = distributed.parallel(net)
        forward = torch.compile(spread) if params.compile and device.type == "cuda" else spread
        optimiser = torch.optim.Adam(net.parameters(), params.rate, fused=True)
        generator = torch.Generator().manual_seed(seed)
        shares = torch.tensor([share for share, _ in sources])

        def step(i: int) -> dict[str, torch.Tensor]:
            drawn = int(torch.multinomial(shares, 1, generator=generator))
            first, second = sources[drawn][1].draw(params.batch, generator)
            hidden = hide(second.shape, params.whole, generator).to(device)
            first, second, hidden = (distributed.share(rows) for rows in (first, second, hidden))
            for group in optimiser.param_groups:
                group["lr"] = params.rate * pace(i, params)
            optimiser.zero_grad()
            with devices.precision(device, params.bf16):
                loss = hidden_loss(forward, first, second, hidden, classes)
            loss.backward()
            optimiser.step()
            return {"loss": loss}

        parts = {"net": net, "optimiser": optimiser, "generator": generator, "chance": chance}
        history = fit(step, parts, params.steps, params.watch, spool, "couplets")
    return net.state_dict(), history


def hide(shape: torch.Size, whole: float, generator: torch.Generator) -> torch.Tensor:
    """Which characters of lines [n, t] are not shown, bool; at least one of each line."""
    n, _ = shape
    share = torch.rand(n, 1, generator=generator)
    share[torch.rand(n, generator=generator) < whole] = 1.0
    chance = torch.rand(shape, generator=generator)
    return (chance < share) | (chance == chance.amin(1, keepdim=True))


def hidden_loss(
    net: torch.nn.Module, first: torch.Tensor, second: torch.Tensor, hidden: torch.Tensor, classes: int
) -> torch.Tensor:
    """The mean cross entropy, nats, of the characters of `second` [n, t] that are `hidden`, 0-dim."""
    logits = net(first, second.masked_fill(hidden, classes))  # [n, t, classes]
    return functional.cross_entropy(logits.flatten(0, 1).float(), second.masked_fill(~hidden, SHOWN).flatten())


def pace(step: int, params: Couplets) -> float:
    """The share of the learning rate that is used in `step`: rising, 1, falling to 0."""
    rising = (step + 1) / max(1, params.warm_up)
    falling = (params.steps - step) / (params.decay * params.steps) if params.decay else 1.0
    return min(1.0, rising, falling)
