"""A sentence autoencoder with latents of several scales in one Transformer.

Article: https://kexue.fm/archives/8475; papers: Davidson et al. 2018 (https://arxiv.org/abs/1804.00891) for the
posterior on the sphere, Zhu et al. 2020 (https://arxiv.org/abs/2004.12585) for batch norm.

    loss = E sum_t -log p(x_t | x_<t, z_1 ... z_M) + beta min(1, i / warm_up) sum_m KL(p(z_m | x) || prior)

in nats a sentence; [PAD] does not count. On the sphere the KL is a constant of latent and kappa, and cannot vanish: a
latent of 16 numbers at kappa 32 has 7.5821 nats. The number: sentences of 4 to 16 characters come back with 95 % of
their characters at their places, and without their latents lose more than half of them (systems row `univae`).
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from stages.core import devices, distributed
from stages.core.errors import Refusal
from stages.core.systems import Findings, Inputs
from stages.nets.optimisers.schedule import piecewise
from stages.nets.posteriors import Posterior
from stages.nets.seeds import every_seed, seeded
from stages.nets.threads import one_thread
from stages.nets.training import History, Watch, draw, fit
from stages.text.bert.model import PAD, Config
from stages.text.bert.vocabulary import Vocabulary
from stages.text.univae import data
from stages.text.univae.model import UniVAE


@dataclass(frozen=True)
class Univae:
    """Params of a training."""

    encoder: Config  # `places` is the number of tokens of a sentence, [CLS] and [SEP] among them
    posterior: Posterior  # of stages/nets/posteriors.py
    scales: int  # last layers with a latent
    characters: int  # most frequent ones that are known
    beta: float  # of the KL
    anneal: int  # steps until it counts in full
    batch: int
    steps: int
    rate: float  # of Adam, from 0 up over warm_up steps, constant to the middle, and down to 0 at the end
    warm_up: int
    clip: float  # largest norm of the gradient
    seeds: tuple[int, ...]
    watch: Watch
    device: str
    bf16: bool
    compile: bool


def train(inputs: Inputs, params: Univae, out: Path) -> Findings:
    """Train one model for each seed on the sentences of `inputs.input`; writes as stages/nets/seeds.py says.

    Raises `Refusal` where there are none, and for sizes that do not fit.
    """
    texts = data.load(inputs.input, "train").texts
    length = params.encoder.places
    if length < 3:
        raise Refusal(f"params.yaml: encoder.places is {length}, but [CLS], a token and [SEP] are 3")
    texts = [data.cut(text, length - 2) for text in texts]
    vocabulary = Vocabulary.of(texts, params.characters)
    with distributed.joined(params.device) as device:
        rows = torch.from_numpy(vocabulary.rows(texts, length)).to(device)
        with one_thread() if device.type == "cpu" else nullcontext():  # small steps
            one = partial(learnt, rows, params, len(vocabulary), device)
            return every_seed(one, params.seeds, inputs.spool, out, params, vocabulary=vocabulary.tokens)


def learnt(
    rows: torch.Tensor, params: Univae, vocabulary: int, device: torch.device, seed: int, spool: Path | None
) -> tuple[dict[str, torch.Tensor], History]:
    """One model of sentences [n, t]; records nats (a sentence, of its tokens) and kl of every step."""
    with seeded(seed, device) as chance:
        net = UniVAE(params.encoder, params.posterior, params.scales, vocabulary).to(device)
        forward = distributed.parallel(Loss(net))
        forward = torch.compile(forward) if params.compile and device.type == "cuda" else forward
        optimiser = torch.optim.Adam([weight for weight in net.parameters() if weight.requires_grad], params.rate)
        factor = piecewise({params.warm_up: 1.0, max(params.warm_up + 1, params.steps // 2): 1.0, params.steps: 0.0})
        generator = torch.Generator(device).manual_seed(seed)

        def step(i: int) -> dict[str, torch.Tensor]:
            ids = distributed.share(draw(rows, params.batch, generator))
            with devices.precision(device, params.bf16):
                nats, kl = forward(ids, generator)
            beta = params.beta * min(1.0, (i + 1) / params.anneal) if params.anneal else params.beta
            for group in optimiser.param_groups:
                group["lr"] = params.rate * factor(i)
            optimiser.zero_grad()
            distributed.mean(nats + beta * kl).backward()
            nn.utils.clip_grad_norm_(net.parameters(), params.clip)
            optimiser.step()
            return {"nats": nats.mean(), "kl": kl.mean()}

        parts = {"net": net, "optimiser": optimiser, "generator": generator, "chance": chance}
        history = fit(step, parts, params.steps, params.watch, spool, "UniVAE")
    return net.state_dict(), history


class Loss(nn.Module):
    """Both terms of every sentence of a batch, each [n]."""

    def __init__(self, net: UniVAE) -> None:
        super().__init__()
        self.net = net

    def forward(self, ids: torch.Tensor, chance: torch.Generator | None) -> tuple[torch.Tensor, torch.Tensor]:
        """ids [n, t] -> nats of the tokens given the latents, and the KL of all latents."""
        logits, codes = self.net(ids, chance)
        return nats(logits, ids), torch.stack([code.kl() for code in codes]).sum(0)


def nats(logits: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """-log p [n] of sentences [n, t] but their [PAD], from logits [n, t - 1, vocabulary]."""
    each = functional.cross_entropy(
        logits.float().flatten(0, 1), ids[:, 1:].flatten(), ignore_index=PAD, reduction="none"
    )
    return each.view(len(ids), -1).sum(1)
