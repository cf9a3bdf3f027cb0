"""VAEs of sequences, where a decoder that sees what came before can do without the code: its KL vanishes.

Articles: https://kexue.fm/archives/7381 (batch norm as the cure), https://kexue.fm/archives/8404 (the sphere);
papers: Bowman et al. 2016 (https://arxiv.org/abs/1511.06349), Zhu et al. 2020 (https://arxiv.org/abs/2004.12585).

    log q(x|z) = sum_t log q(x_t | x_1 ... x_{t-1}, z), up to and with the end

Training, posteriors and bounds are those of images. The number: on sequences of a hidden topic the KL of a plain
Gaussian ends below 0.1 nats, and above its bound with batch norm or on the sphere, at the same total bound (systems
rows `sequence_plain`, `sequence_bn` and those after them).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import nn

from stages.core import distributed
from stages.core.errors import Refusal
from stages.core.systems import Findings, Inputs
from stages.nets import posteriors
from stages.nets.codes import Code
from stages.nets.posteriors import Posterior
from stages.nets.seeds import every_seed
from stages.nets.sequences import Sequences, load
from stages.nets.threads import one_thread
from stages.vae import recurrent
from stages.vae.recurrent import Reader
from stages.vae.settings import Fitting
from stages.vae.train import learnt

CELLS = 2**25
"""Logits in memory at a time."""


@dataclass(frozen=True)
class SequenceVae(Fitting):
    """Params of a training."""

    posterior: Posterior
    encoder: Reader
    decoder: Reader


class Sequencer(nn.Module):
    """encoder -> head -> code -> z -> decoder, with weights that `seed` decides."""

    def __init__(self, params: SequenceVae, symbols: int, length: int, seed: int) -> None:
        super().__init__()
        self.head, self.symbols, self.length = posteriors.make(params.posterior), symbols, length
        latent = params.posterior.latent
        self.encoder = recurrent.encoder(params.encoder, symbols, length, self.head.size, 2 * seed)
        self.decoder = recurrent.decoder(params.decoder, symbols, length, latent, 2 * seed + 1)
        self.fast = {"encoder": self.encoder, "decoder": self.decoder}  # perhaps compiled

    def look(self, rows: torch.Tensor, source: torch.Generator) -> torch.Tensor:
        """Sequences as they are."""
        return rows

    def encode(self, x: torch.Tensor) -> Code:
        """p(z|x) of `x` [n, length]."""
        return self.head(self.fast["encoder"](x.long()))

    def log_prob(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        """log q(x|z) in nats, [k, n], of `x` [n, length] and `z` [k, n, latent]."""
        parts = z.split(max(1, CELLS // (x.numel() * (self.symbols + 1))))
        return torch.cat([self._log_prob(x.long(), part) for part in parts])

    def _log_prob(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        again = x.expand(len(z), *x.shape).flatten(0, 1)  # [k n, length]
        logits = self.fast["decoder"](again, z.flatten(0, 1)).float()
        each = logits.log_softmax(-1).gather(-1, again[..., None])[..., 0]
        counted = recurrent.shifted(again, 1) > 0  # all up to the first 0, and that one
        return (each * counted).sum(-1).view(z.shape[:2])

    @torch.no_grad()
    def sample(self, z: torch.Tensor, temperature: float, source: torch.Generator) -> torch.Tensor:
        """Sequences [n, length] of `z` [n, latent], symbol by symbol; the likeliest ones at temperature 0."""
        x = torch.zeros(len(z), self.length, dtype=torch.long, device=z.device)
        for place in range(self.length):
            logits = self.decoder(x[:, : place + 1], z)[:, place]
            if temperature > 0:
                waits = torch.empty_like(logits).exponential_(generator=source)
                logits = logits / temperature - waits.log()  # the largest after Gumbel noise is a draw
            x[:, place] = logits.argmax(-1)
        return x * (x > 0).cumprod(1)


def build(params: SequenceVae, data: Sequences, seed: int, device: torch.device) -> Sequencer:
    """A fresh model for `data` on `device`."""
    return Sequencer(params, len(data.symbols) - 1, data.train.shape[1], seed).to(device)


def train(inputs: Inputs, params: SequenceVae, out: Path) -> Findings:
    """Train one model for each seed on the sequences of `inputs.input`; writes and raises as train.py's does."""
    if inputs.input is None:
        raise Refusal("params.yaml: a VAE of sequences needs an `input`, a data set of sequences")
    with distributed.joined(params.device) as device:
        data = load(inputs.input, device)
        with one_thread():  # steps of a few numbers each
            one = partial(learnt, lambda seed: build(params, data, seed, device), data.train, params)
            return every_seed(one, params.seeds, inputs.spool, out, params)
