"""The law of a VQ-VAE's codes, learned when the codes stand; with it the model generates.

Article: https://kexue.fm/archives/6760; papers: https://arxiv.org/abs/1711.00937, at two levels
https://arxiv.org/abs/1906.00446 (the bottom's law is given the top's codes).

    loss = mean over codes of - log p(k_i | k before i, the level above)      in nats a code
    p(image) by sampling: codes of the top, codes of the bottom given those, the decoder

The baseline is the entropy of the codes' frequencies: what is known without looking around. The number: 1.2 nats
below it for digits by 16 of 32 codes, 0.4 promised (systems row `vq_prior`).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from stages.core import devices, distributed, files
from stages.core.errors import Refusal, one_line
from stages.core.params import Choices, choose, typed
from stages.core.systems import Findings, Inputs
from stages.nets.seeds import every_seed
from stages.nets.threads import suited
from stages.nets.training import History, Watch, differentiate, fade, fit
from stages.vae import vq
from stages.vae.autoregressive import Grid, Network
from stages.vae.causal import Transformer
from stages.vae.pixelcnn import PixelCNN

LAWS: Choices = {"transformer": Transformer, "pixelcnn": PixelCNN}

AT_ONCE = 500  # grids


@dataclass(frozen=True)
class Law:
    """Params of a training."""

    net: Network  # of each level
    batch: int  # of all processes
    steps: int
    rate: float  # of AdamW, constant, and falling to 0 over the last half
    decay: float  # of the weights
    seeds: tuple[int, ...]  # of those that the VQ-VAE was trained with
    watch: Watch
    device: str
    bf16: bool
    compile: bool


class Prior(nn.Module):
    """p(codes) of all levels: the top's law, and the bottom's given the top."""

    def __init__(self, net: Network, grids: list[Grid], seed: int) -> None:
        super().__init__()
        law, above = choose(LAWS, net.kind, "net.kind"), [*grids[1:], None]
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.laws = nn.ModuleList(law(net, *pair) for pair in zip(grids, above, strict=True))

    def forward(self, codes: list[torch.Tensor]) -> list[torch.Tensor]:
        """- log p of each code, in nats: [n, side, side] of each level, the bottom first."""
        above = [*codes[1:], None]
        found = []
        for law, k, given in zip(self.laws, codes, above, strict=True):
            logits = law(k, given).float().flatten(0, 2)
            found.append(functional.cross_entropy(logits, k.flatten(), reduction="none").view_as(k))
        return found

    @torch.no_grad()
    def sample(self, n: int, temperature: float, source: torch.Generator) -> list[torch.Tensor]:
        """`n` grids of each level, the bottom first."""
        parts = []
        for size in (min(AT_ONCE, n - i) for i in range(0, n, AT_ONCE)):
            codes: list[torch.Tensor] = []
            for law in reversed(self.laws):
                codes.insert(0, law.sample(size, codes[0] if codes else None, temperature, source))
            parts.append(codes)
        return [torch.cat(level) for level in zip(*parts, strict=True)]


def train(inputs: Inputs, params: Law, out: Path) -> Findings:
    """Train the law of the codes of `inputs.input`, the model of a row of kind vq, for each seed.

    Writes the weights as seeds.py does, and to `out`/vq what it needs of the VQ-VAE to decode and to measure. Raises
    `Refusal` where there is no such model or it lacks a seed.
    """
    if inputs.input is None:
        raise Refusal("params.yaml: a prior needs an `input`, the model of a row of kind vq")
    source = inputs.input
    how, _ = vq.told(source)
    with distributed.joined(params.device) as device:

        def one(seed: int, spool: Path | None) -> tuple[dict[str, torch.Tensor], History]:
            codes = vq.load(source, seed, device).train
            model = build(params, how, seed).to(device)
            record = learn(model, codes, params, seed, spool)
            (out / "vq").mkdir(exist_ok=True)
            for name in (f"seed_{seed}.safetensors", f"codes_{seed}.safetensors", "model.json"):
                shutil.copyfile(source / name, out / "vq" / name)
            return model.state_dict(), record

        with suited((1, how.grids[0], how.grids[0])):
            return every_seed(one, params.seeds, inputs.spool, out, params)


def build(params: Law, how: vq.Vq, seed: int) -> Prior:
    """A fresh law for the codes of a VQ-VAE."""
    return Prior(params.net, [Grid(how.codebook.codes, side) for side in how.grids], seed)


def learn(model: Prior, codes: list[torch.Tensor], params: Law, seed: int, spool: Path | None = None) -> History:
    """Train `model` in place on `codes` [n, side, side] of each level; the record of every step."""
    device = codes[0].device
    source = torch.Generator(device).manual_seed(seed)
    weights = list(model.parameters())
    optimiser = torch.optim.AdamW(weights, params.rate, weight_decay=params.decay, fused=True)
    forward = torch.compile(model) if params.compile and device.type == "cuda" else model

    def step(i: int) -> Mapping[str, torch.Tensor]:
        rows = torch.randint(len(codes[0]), (params.batch,), generator=source, device=device)
        given = [distributed.share(level[rows]) for level in codes]
        with seeded(seed * params.steps + i, device), devices.precision(device, params.bf16):
            found = forward(given)
        nats = torch.cat([level.flatten() for level in found])
        loss = nats.mean()
        differentiate(loss, weights)
        fade(optimiser, params.rate, i, params.steps)
        optimiser.step()
        return {"loss": loss, "probability": (-nats).exp().mean()}  # of the true code

    parts = {"model": model, "adam": optimiser, "source": source}
    return fit(step, parts, params.steps, params.watch, spool, f"seed {seed}")


@contextmanager
def seeded(value: int, device: torch.device) -> Iterator[None]:
    """Dropout draws from torch's own generators: here they start from `value`, and afterwards they are as before."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(value)
        yield


def load(folder: Path, device: torch.device | str = "cpu") -> dict[int, tuple[Prior, vq.Made]]:
    """What `train` has written to `folder`, of each seed: the law, and the VQ-VAE whose codes it speaks of.

    Raises `Refusal` where it is not there.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    params = typed(Law, files.read_json(Path(folder) / "model.json")["params"], str(folder))
    found = {}
    for seed in params.seeds:
        made = vq.load(folder / "vq", seed, device)
        model = build(params, made.params, seed)
        try:
            model.load_state_dict(load_file(Path(folder) / f"seed_{seed}.safetensors"))
        except (OSError, RuntimeError, SafetensorError) as error:
            raise Refusal(f"{folder} holds no prior of seed {seed}: {one_line(error)}; train it again") from error
        found[seed] = model.to(device).eval().requires_grad_(False), made
    return found
