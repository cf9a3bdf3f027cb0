"""What codes without a decoder are worth: classes by a linear probe and by neighbours, against those of no training.

Articles: https://kexue.fm/archives/6024, https://kexue.fm/archives/6088. The articles show neighbours by cosine;
those of raw pixels may be better, so a probe decides. Codes are mu.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from stages.core import devices, files, tables, targets
from stages.core.errors import Refusal
from stages.core.params import typed
from stages.core.systems import Findings, Inputs
from stages.core.targets import Target
from stages.nets import curves, images
from stages.nets.layers import Image
from stages.vae import probes
from stages.vae.infomax import Encoder, Infomax, Model

if TYPE_CHECKING:
    from matplotlib.figure import Figure

AT_ONCE = 1000  # images encoded at a time
SHOWN = 8  # test images with their neighbours


@dataclass(frozen=True)
class EvaluateInfomax:
    """Params of the evaluation."""

    archive: int  # number of the article
    data: str  # what the claims say they were measured on
    samples: int  # training images that codes are learnt from, at most
    device: str
    targets: tuple[Target, ...]


def evaluate(model: Path, inputs: Inputs, params: EvaluateInfomax) -> Findings:
    """Metrics of each seed's codes, and the promises held against them.

    probe, accuracy of a linear probe on the test images; retrieval, the share of the 9 nearest by cosine that have the
    class; both also as untrained_NAME, of the encoder before its training, pixels_NAME, and NAME_gain over untrained;
    code_mean and code_std, over all images and numbers. Raises `Refusal` where there are no labels, and for a target
    of a metric that there is none of.
    """
    if inputs.truth is None:
        raise Refusal("params.yaml: codes are judged by a `truth`, the data set whose classes they are to know")
    device = devices.pick(params.device)
    data = images.load(inputs.truth, device)
    if min(data.train_labels.min(), data.test_labels.min()) < 0:
        raise Refusal(f"{inputs.truth} has images without labels: codes are judged by classes")
    made = files.read_json(model / "model.json")
    how, image = typed(Infomax, made["params"], str(model / "model.json")), tuple(made["image"])
    pixels = classes(data, lambda x: x.flatten(1), params.samples)
    rows = {}
    for seed in how.seeds:
        encoder, fresh = load(model, how, image, seed, device), Model(how, image, seed).encoder.eval().to(device)
        found, before = (classes(data, one, params.samples) for one in (mode(encoder), mode(fresh)))
        rows[seed] = {**found, **moments(encoder, data.train[: params.samples])}
        rows[seed] |= {f"untrained_{name}": value for name, value in before.items()}
        rows[seed] |= {f"pixels_{name}": value for name, value in pixels.items()}
        rows[seed] |= {f"{name}_gain": found[name] - before[name] for name in found}
    shown = {
        "neighbours": neighbours(data, mode(load(model, how, image, how.seeds[0], device))),
        "curves": curves.curves(tables.read(model / "history.parquet")),
    }
    claims = targets.judged(rows, params.targets, params.archive, params.data)
    return Findings(targets.summary(rows), claims, {"seeds": targets.table(rows)}, shown)


def load(model: Path, params: Infomax, image: Image, seed: int, device: torch.device | str) -> Encoder:
    """The trained encoder of one seed, in evaluation mode."""
    from safetensors.torch import load_file

    found = Encoder(params, image)
    found.load_state_dict(load_file(model / f"seed_{seed}.safetensors"))
    return found.eval().requires_grad_(False).to(device)


def mode(encoder: Encoder) -> Callable[[torch.Tensor], torch.Tensor]:
    """What makes codes mu [n, latent] of images [n, c, h, w] in [0, 1]."""
    return lambda x: encoder.encode(x).mode()


@torch.no_grad()
def codes(pixels: torch.Tensor, encode: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """The codes [n, latent] of bytes [n, c, h, w]."""
    return torch.cat([encode(images.unit(part)) for part in pixels.split(AT_ONCE)])


def classes(data: images.Images, encode: Callable[[torch.Tensor], torch.Tensor], samples: int) -> dict[str, float]:
    """probe and retrieval (by cosine) of the test images, learnt from the first `samples` training images."""
    train, test = (codes(part, encode) for part in (data.train[:samples], data.test))
    labels, truth = data.train_labels[:samples], data.test_labels
    turned = probes.neighbours(functional.normalize(train), labels, functional.normalize(test), truth)
    return {"probe": probes.linear(train, labels, test, truth), "retrieval": turned["retrieval"]}


def moments(encoder: Encoder, pixels: torch.Tensor) -> dict[str, float]:
    """code_mean and code_std of mu over all of `pixels` and all numbers: 0 and 1 where codes are as the prior's."""
    mu = codes(pixels, mode(encoder)).double()
    return {"code_mean": mu.mean().item(), "code_std": mu.std().item()}


def neighbours(data: images.Images, encode: Callable[[torch.Tensor], torch.Tensor]) -> Figure:
    """Some test images, each followed by its 9 nearest training images by the cosine of codes."""
    train, test = (functional.normalize(codes(part, encode)) for part in (data.train, data.test[:SHOWN]))
    near = (test @ train.T).topk(probes.NEAREST).indices  # [SHOWN, 9]
    rows = torch.cat([data.test[: len(near), None], data.train[near]], 1)
    return images.grid(images.unit(rows.flatten(0, 1)), 1 + probes.NEAREST)
