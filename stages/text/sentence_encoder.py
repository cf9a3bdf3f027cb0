"""A sentence encoder from pairs that say the same, trained with large contrastive batches in little memory.

Articles: https://kexue.fm/archives/8471 (the gradient cache), https://kexue.fm/archives/8348 (SimCSE in Chinese);
papers: Gao et al. 2021 (https://arxiv.org/abs/2101.06983), Gao et al. 2021 (https://arxiv.org/abs/2104.08821).

    loss = InfoNCE of first about second among all seconds of the batch, and perhaps a hard negative of each

All three towers are one encoder. With `pairs: dropout` the second is the first again, under another dropout. The
number: on questions whose forms have little in common but a name, Spearman's correlation is above that of bags of
characters by 0.3 and more, after seconds on a CPU (row `sentence_encoder`).
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from stages.core import devices, distributed, tables
from stages.core.errors import Refusal
from stages.core.params import choose
from stages.core.systems import Findings, Inputs
from stages.nets.contrast import LOSSES
from stages.nets.gradient_cache import cached_step
from stages.nets.seeds import every_seed, seeded
from stages.nets.threads import one_thread
from stages.nets.training import History, Watch, fade, fit
from stages.text.characters import alphabet, numbered
from stages.text.encoders import Encoder, Reader


@dataclass(frozen=True)
class SentenceEncoder:
    """Params of a training."""

    encoder: Reader
    characters: int  # most frequent ones that are known
    pairs: str  # given: those of the data; dropout: each sentence with itself, as SimCSE has it
    loss: str  # of stages/nets/contrast.py
    temperature: float
    negatives: bool  # the hard ones of the data too
    batch: int
    chunk: int  # pairs that are encoded at a time
    steps: int
    rate: float  # of Adam, constant, and falling to 0 over the last half
    seeds: tuple[int, ...]
    watch: Watch
    device: str
    bf16: bool
    compile: bool


@dataclass(frozen=True)
class Rows:
    """The pairs as numbers, on a device."""

    first: torch.Tensor  # [n, length]
    second: torch.Tensor
    negative: torch.Tensor
    group: torch.Tensor  # [n]


def train(inputs: Inputs, params: SentenceEncoder, out: Path) -> Findings:
    """Train one encoder for each seed on `inputs.input`/train.parquet; writes as stages/nets/seeds.py says.

    Raises `Refusal` where there is no such data, for a batch larger than it, and where negatives are wanted that it has
    not.
    """
    if inputs.input is None:
        raise Refusal("params.yaml: a sentence encoder needs an `input`, a data set of pairs")
    table = tables.read(inputs.input / "train.parquet", ["first", "second", "negative", "group"])
    texts = {name: table[name].to_pylist() for name in ("first", "second", "negative")}
    if params.negatives and not any(texts["negative"]):
        raise Refusal(f"{inputs.input} has no hard negatives: set `negatives` to false")
    if params.batch > len(table):
        raise Refusal(f"{inputs.input} has {len(table)} pairs: lower the batch, which is {params.batch}")
    known = alphabet((text for column in texts.values() for text in column), params.characters)
    with distributed.joined(params.device) as device:
        rows = Rows(
            **{name: numbered(column, known, params.encoder.length).to(device) for name, column in texts.items()},
            group=torch.tensor(table["group"].to_numpy(), device=device),
        )
        with one_thread() if device.type == "cpu" else nullcontext():  # small steps
            return every_seed(
                partial(learnt, rows, params, len(known), device), params.seeds, inputs.spool, out, params, known=known
            )


def learnt(
    rows: Rows, params: SentenceEncoder, characters: int, device: torch.device, seed: int, spool: Path | None
) -> tuple[dict[str, torch.Tensor], History]:
    """One encoder, and the loss of every step. With `spool` a killed training goes on."""
    with seeded(seed, device) as chance:
        net = Encoder(params.encoder, characters).to(device)
        network = distributed.parallel(net)
        forward = torch.compile(network) if params.compile and device.type == "cuda" else network
        optimiser = torch.optim.Adam(net.parameters(), params.rate)
        generator = torch.Generator().manual_seed(seed)

        def step(i: int) -> dict[str, torch.Tensor]:
            drawn = distributed.share(torch.randperm(len(rows.group), generator=generator)[: params.batch])
            fade(optimiser, params.rate, i, params.steps)
            optimiser.zero_grad()
            found = contrasted(forward, rows, drawn.to(device), params)
            optimiser.step()
            return {"loss": found}

        parts = {"net": net, "optimiser": optimiser, "generator": generator, "chance": chance}
        history = fit(step, parts, params.steps, params.watch, spool, "sentence encoder")
    return net.state_dict(), history


def contrasted(net: torch.nn.Module, rows: Rows, drawn: torch.Tensor, params: SentenceEncoder) -> torch.Tensor:
    """Add the gradient of the loss of the pairs `drawn` [batch] to `net`'s weights; returns the loss."""
    inputs = towers(rows, drawn, params)
    loss = partial(choose(LOSSES, params.loss, "loss"), temperature=params.temperature, same=rows.group[drawn])
    precision = partial(devices.precision, drawn.device, params.bf16)
    return cached_step([net] * len(inputs), inputs, loss, params.chunk, precision=precision)


def towers(rows: Rows, drawn: torch.Tensor, params: SentenceEncoder) -> list[torch.Tensor]:
    """What each tower reads, [batch, length]."""
    first = rows.first[drawn]
    inputs = [first, choose({"given": rows.second, "dropout": rows.first}, params.pairs, "pairs")[drawn]]
    return [*inputs, rows.negative[drawn]] if params.negatives else inputs
