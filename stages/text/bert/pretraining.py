"""A small BERT of our own, trained on the project's corpora to guess characters that are hidden from it.

Article: https://kexue.fm/archives/8739 (what it is for); paper: Devlin et al. 2018,
https://arxiv.org/abs/1810.04805, without the second task, which later work found to do nothing (Liu et al. 2019,
https://arxiv.org/abs/1907.11692).

    loss = mean over hidden tokens of -log p(token | what is shown)

The whole training may be killed and goes on; it runs on several devices. The number: of hidden characters of documents
held out it guesses more than counts of neighbours on both sides do (systems row `masked_characters`).
"""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from stages.core import devices, distributed, files, tables
from stages.core.systems import Findings, Inputs
from stages.nets import curves
from stages.nets.optimisers.decay import decayed
from stages.nets.optimisers.schedule import piecewise
from stages.nets.seeds import seeded
from stages.nets.threads import one_thread
from stages.nets.training import History, Watch, draw, fit
from stages.text.bert import corpus, masking
from stages.text.bert.model import Config, Encoder, MaskedHead
from stages.text.bert.vocabulary import Vocabulary


@dataclass(frozen=True)
class MaskedLanguageModel:
    """Params of a pretraining."""

    encoder: Config
    characters: int  # most frequent ones that are known
    length: int  # tokens of a row, [CLS] and [SEP] among them
    share: float  # of tokens that are asked about
    held_out: float  # share of documents
    batch: int
    steps: int
    rate: float  # of AdamW, from 0 up over warm_up steps, and down to 0 at the end
    warm_up: int
    decay: float  # of weights that are matrices
    seed: int
    watch: Watch
    device: str
    bf16: bool
    compile: bool


class Guesser(nn.Module):
    """An encoder with a head."""

    def __init__(self, config: Config, vocabulary: int) -> None:
        super().__init__()
        self.encoder, self.head = Encoder(config, vocabulary), MaskedHead(config, vocabulary)

    def forward(self, ids: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """ids [n, t] and places in them [n, k] -> logits [n, k, vocabulary] of the tokens there."""
        x = self.encoder(ids)
        there = x.gather(1, places[..., None].expand(-1, -1, x.shape[-1]))  # [n, k, dim]
        return self.head(there, self.encoder.tokens.weight)


def train(inputs: Inputs, params: MaskedLanguageModel, out: Path) -> Findings:
    """Train on the documents in `inputs.input`.

    Writes what `checkpoints.load` reads, and `out`/history.parquet (seed, step, loss). Raises `Refusal` where there are
    no documents, and for sizes that do not fit.
    """
    from safetensors.torch import save_file

    parts = corpus.texts(inputs.input, params.held_out, params.seed)
    vocabulary = Vocabulary.of(parts.train, params.characters)
    begin = time.perf_counter()
    with distributed.joined(params.device) as device:
        rows = torch.from_numpy(corpus.rows(parts.train, vocabulary, params.length)).to(device, torch.int32)
        with one_thread() if device.type == "cpu" else nullcontext():  # small steps
            net, history = learnt(rows, vocabulary, params, device, inputs.spool)
    took = time.perf_counter() - begin
    out.mkdir(parents=True, exist_ok=True)
    for name, part in (("encoder", net.encoder), ("head", net.head)):
        weights = {key: value.cpu().contiguous() for key, value in part.state_dict().items()}
        save_file(weights, out / f"{name}.safetensors")
    vocabulary.write(out / "vocab.txt")
    files.write_json({"params": asdict(params)}, out / "model.json")
    tables.write(curves.table({params.seed: history}), out / "history.parquet")
    return Findings(history=history, facts={"tokens_per_second": params.steps * params.batch * params.length / took})


def learnt(
    rows: torch.Tensor, vocabulary: Vocabulary, params: MaskedLanguageModel, device: torch.device, spool: Path | None
) -> tuple[Guesser, History]:
    """The network trained on `rows` [n, length], and its loss in nats at every step."""
    with seeded(params.seed, device) as chance:
        net = Guesser(params.encoder, len(vocabulary)).to(device)
        network = distributed.parallel(net)
        forward = torch.compile(network) if params.compile and device.type == "cuda" else network
        optimiser = torch.optim.AdamW(decayed(net, params.decay), params.rate)
        factor = piecewise({params.warm_up: 1.0, params.steps: 0.0})
        generator = torch.Generator(device).manual_seed(params.seed)

        def step(i: int) -> dict[str, torch.Tensor]:
            ids = draw(rows, params.batch, generator).long()
            gaps = masking.asked(ids, params.share, vocabulary.mask, len(vocabulary), generator)
            weight = gaps.counted / gaps.counted.float().mean()  # over the whole batch, before it is shared
            shown, places, targets, weight = (distributed.share(x) for x in (*gaps[:3], weight))
            with devices.precision(device, params.bf16):
                logits = forward(shown, places)
            nats = functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="none")
            loss = distributed.mean(nats * weight.flatten())
            for group in optimiser.param_groups:
                group["lr"] = params.rate * factor(i)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            return {"loss": loss}

        parts = {"net": net, "optimiser": optimiser, "generator": generator, "chance": chance}
        history = fit(step, parts, params.steps, params.watch, spool, "masked language model")
    return net, history
