"""VQ-VAE: an autoencoder whose code is a grid of words from a codebook; their law is learned later (prior.py).

Article: https://kexue.fm/archives/6760, which insists that it is no VAE but an autoencoder with a codebook;
papers: https://arxiv.org/abs/1711.00937, at two levels https://arxiv.org/abs/1906.00446.

    loss = mean (x - dec(q))^2 + what the codebook adds (codebook.py), all means over elements

The number: digits 8x8 by 16 of 32 codes with a mean square error below 0.007, where the mean image has 0.074
(systems row `vq_32`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from stages.core import devices, distributed, files
from stages.core.errors import Refusal, one_line
from stages.core.params import typed
from stages.core.systems import Findings, Inputs
from stages.nets import images
from stages.nets.layers import Image
from stages.nets.seeds import every_seed
from stages.nets.threads import suited
from stages.nets.training import History, Watch, differentiate, draw, fade, fit
from stages.vae.codebook import Codebook
from stages.vae.vq_networks import Autoencoder, Convolutions

AT_ONCE = 1000  # images encoded at a time
LEVELS = ("bottom", "top")


@dataclass(frozen=True)
class Vq:
    """Params of a training."""

    net: Convolutions
    grids: tuple[int, ...]  # places a side of the codes; of two levels the bottom's, then the top's
    codebook: Codebook  # of each level
    output: Literal["sigmoid", "tanh", "linear"]  # of the decoder
    batch: int  # of all processes
    steps: int
    rate: float  # of Adam, constant, and falling to 0 over the last half
    seeds: tuple[int, ...]
    watch: Watch
    device: str
    bf16: bool
    channels_last: bool
    compile: bool

    @property
    def levels(self) -> tuple[str, ...]:
        """Their names: bottom, or bottom and top."""
        return LEVELS[: len(self.grids)]


def train(inputs: Inputs, params: Vq, out: Path) -> Findings:
    """Train one model for each seed on the images of `inputs.input`.

    Writes `out`/seed_N.safetensors (weights and codebooks), `out`/codes_N.safetensors (int16 [n, grid, grid] of the
    images, as train_bottom, test_bottom and so on), `out`/model.json and `out`/history.parquet. Raises `Refusal` for
    params that do not fit, and where a training diverges.
    """
    from safetensors.torch import save_file

    if inputs.input is None:
        raise Refusal("params.yaml: a VQ-VAE needs an `input`, a data set of images")
    with distributed.joined(params.device) as device:
        data = images.load(inputs.input, device)
        check(params)

        def one(seed: int, spool: Path | None) -> tuple[dict[str, torch.Tensor], History]:
            model = build(params, data.shape, seed, device)
            record = learn(model, data.train, params, seed, spool)
            codes = {
                f"{part}_{name}": level.short().cpu().contiguous()
                for part, x in {"train": data.train, "test": data.test}.items()
                for name, level in zip(params.levels, encoded(model, x, params.output), strict=True)
            }
            save_file(codes, out / f"codes_{seed}.safetensors")
            return model.state_dict(), record

        with suited(data.shape):
            return every_seed(one, params.seeds, inputs.spool, out, params, image=data.shape)


def check(params: Vq) -> None:
    """Raise `Refusal` for params that no model can have."""
    size = distributed.world()[1]
    if params.batch % size:
        raise Refusal(f"params.yaml: a batch of {params.batch} has no equal shares for {size} processes")
    if not 2 <= params.codebook.codes < 2**15:
        raise Refusal(f"params.yaml: codebook.codes is {params.codebook.codes}, but must be from 2 to 32767")


def build(params: Vq, image: Image, seed: int, device: torch.device) -> Autoencoder:
    """A fresh model on `device`."""
    model = Autoencoder(params.net, params.grids, params.codebook, image, params.output, seed)
    kept = torch.channels_last if params.channels_last else torch.preserve_format
    return distributed.synchronised(model.to(device, memory_format=kept))


def learn(model: Autoencoder, data: torch.Tensor, params: Vq, seed: int, spool: Path | None = None) -> History:
    """Train `model` in place on `data` uint8 [n, channels, side, side]; the record of every step."""
    device, ranged = data.device, images.ranged(params.output)
    source = torch.Generator(device).manual_seed(seed)
    model.start(ranged(draw(data, params.batch, source)), source)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimiser = torch.optim.Adam(weights, params.rate, fused=True)
    forward = torch.compile(model) if params.compile and device.type == "cuda" else model

    def step(i: int) -> Mapping[str, torch.Tensor]:
        x = ranged(distributed.share(draw(data, params.batch, source)))
        with devices.precision(device, params.bf16):
            again, found = forward(x)
        mse = (x - again).square().mean()
        pairs = list(zip(model.quantisers, found, strict=True))
        loss = mse + sum(quantiser.loss(level) for quantiser, level in pairs)
        differentiate(loss, weights)
        fade(optimiser, params.rate, i, params.steps)
        optimiser.step()
        for quantiser, level in pairs:
            quantiser.update(level, source)
        commitment = sum(level.commitment for level in found)
        return {"loss": loss, "mse": mse, "commitment": commitment, "perplexity": model.quantisers[0].perplexity()}

    return fit(
        step, {"model": model, "adam": optimiser, "source": source}, params.steps, params.watch, spool, f"seed {seed}"
    )


@torch.no_grad()
def encoded(model: Autoencoder, data: torch.Tensor, output: str) -> list[torch.Tensor]:
    """The codes [n, grid, grid] of each level of `data` uint8 [n, channels, side, side]; norms as in evaluation."""
    was, ranged = model.training, images.ranged(output)
    model.eval()
    parts = [[level.codes for level in model.encode(ranged(x))] for x in data.split(AT_ONCE)]
    model.train(was)
    return [torch.cat(level) for level in zip(*parts, strict=True)]


@dataclass(frozen=True)
class Made:
    """A finished training of one seed."""

    model: Autoencoder  # for evaluation
    params: Vq
    train: list[torch.Tensor]  # codes of each level, [n, grid, grid] int64
    test: list[torch.Tensor]

    @torch.no_grad()
    def pictured(self, codes: list[torch.Tensor]) -> torch.Tensor:
        """The images in [0, 1], [n, channels, side, side], of codes of each level."""
        parts = zip(*(level.split(AT_ONCE) for level in codes), strict=True)
        return torch.cat([images.whole(self.model.pictured(part), self.params.output) for part in parts])


def told(folder: Path) -> tuple[Vq, Image]:
    """Params of the training in `folder`, and the size of its images; raises `Refusal` where there is none."""
    held = files.read_json(Path(folder) / "model.json")
    if not {"params", "image"} <= set(held):
        raise Refusal(f"{folder} holds no VQ-VAE: name the model of a row of kind vq")
    return typed(Vq, held["params"], str(folder)), tuple(held["image"])


def load(folder: Path, seed: int, device: torch.device | str = "cpu") -> Made:
    """What `train` has written to `folder` for one seed; raises `Refusal` where it is not there."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    params, image = told(folder)
    if seed not in params.seeds:
        raise Refusal(f"{folder} was trained with the seeds {list(params.seeds)}, but {seed} is asked for")
    model = Autoencoder(params.net, params.grids, params.codebook, image, params.output, seed)
    try:
        model.load_state_dict(load_file(Path(folder) / f"seed_{seed}.safetensors"))
        codes = load_file(Path(folder) / f"codes_{seed}.safetensors", device=str(device))
    except (OSError, RuntimeError, SafetensorError) as error:
        raise Refusal(f"{folder} holds no VQ-VAE of seed {seed}: {one_line(error)}; train it again") from error
    train, test = ([codes[f"{part}_{level}"].long() for level in params.levels] for part in ("train", "test"))
    return Made(model.to(device).eval().requires_grad_(False), params, train, test)
