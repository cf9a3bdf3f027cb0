"""A judge that is Inception v3, so that its Frechet distance is the FID of papers; features.py is the usual judge.

Paper: https://arxiv.org/abs/1706.08500. FIDs of papers are of 50,000 samples, and of images at least 32 pixels wide;
of digits they mean nothing (https://github.com/mseitzer/pytorch-fid/issues/12).
A row of kind inception names the file of the weights as its `against`: *.safetensors, or what torch.save wrote.
"""

from __future__ import annotations

import pickle
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from stages.core import devices
from stages.core.errors import Refusal, one_line
from stages.core.systems import Findings, Inputs
from stages.nets import features, images
from stages.nets.inception import Inception


@dataclass(frozen=True)
class Fid:
    """Params of the judge."""

    reference: int  # most training images that generated ones are held against
    seed: int  # by which they are drawn
    device: str


def train(inputs: Inputs, params: Fid, out: Path) -> Findings:
    """The judge of the data set `inputs.input` with the weights in `inputs.against`; nothing is trained.

    Raises `Refusal` where one of the two is missing, and for a file with other weights.
    """
    if inputs.input is None or inputs.against is None:
        raise Refusal("params.yaml: kind inception needs an `input`, the images, and an `against`, the file of weights")
    device = devices.pick(params.device)
    data, net = images.load(inputs.input, device), read(inputs.against).to(device)
    judge = features.judging(net, data, features.IMAGENET, params.reference, params.seed)
    features.save(judge, {"task": features.IMAGENET, **asdict(params)}, inputs.input, out)
    return Findings(metrics=judge.scale)


def read(path: Path) -> Inception:
    """The network with the weights in the file `path`, in evaluation; raises `Refusal` that names `against`."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise Refusal(f"params.yaml: against is {path}, but there is no such file: name one with Inception's weights")
    net = Inception()
    try:
        whole = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
        net.load_state_dict(whole)
    except (OSError, RuntimeError, TypeError, SafetensorError, pickle.UnpicklingError) as error:
        raise Refusal(f"{path} (`against`) holds no weights of the FID's Inception v3: {one_line(error)}") from error
    return net.requires_grad_(False)
