"""Generators and critics of every kind and size, one table: a critic returns realness s(x), high on real.

    generator(net, latent, image, output)    z [n, latent] -> [n, channels, height, width]
    critic(net, image, outputs)              x [n, channels, height, width] -> [n], or [n, outputs]

`output` says the range of images: sigmoid [0, 1], tanh [-1, 1], linear for points, which are images (d, 1, 1).
Spectral norm (Miyato et al. 2018, https://arxiv.org/abs/1802.05957): a weight over its largest singular value, of
which every forward pass in training mode makes one step of power iteration.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from stages.core.params import Choices, choose
from stages.nets import dcgan, mlp, residual
from stages.nets.averages import Average
from stages.nets.layers import Image, Network

__all__ = ["Average", "Image", "Network", "critic", "generator"]

KINDS: Choices = {"mlp": mlp, "dcgan": dcgan, "residual": residual}
"""Modules with `up` and `down`; in both the last layer with weights is the last module that has them."""

OUTPUTS: Choices = {"sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "linear": nn.Identity}


def generator(net: Network, latent: int, image: Image, output: str, seed: int = 0) -> nn.Sequential:
    """A generator with weights that `seed` decides; raises `Refusal` for sizes and names that do not fit."""
    last = choose(OUTPUTS, output, "output")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return nn.Sequential(*_finished(choose(KINDS, net.kind, "kind").up(net, latent, image), net), last())


def critic(net: Network, image: Image, outputs: int = 1, seed: int = 0) -> nn.Sequential:
    """A critic, or with `outputs` an encoder, with weights that `seed` decides; errors as in `generator`."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        layers = _finished(choose(KINDS, net.kind, "kind").down(net, image, outputs), net)
    return nn.Sequential(*layers, *([nn.Flatten(0)] if outputs == 1 else []))


def _default(weight: nn.Parameter) -> None:
    """As torch has made it."""


def _normal(weight: nn.Parameter) -> None:
    nn.init.normal_(weight, std=0.02)


def _uniform(weight: nn.Parameter) -> None:
    nn.init.uniform_(weight, -0.05, 0.05)


INITS: Choices = {"default": _default, "normal002": _normal, "uniform005": _uniform}


def _finished(network: nn.Sequential, net: Network) -> nn.Sequential:
    """The network with weights as `net.init` says, biases 0 but for torch's own, and its spectral norms."""
    init = choose(INITS, net.init, "init")
    layers = [m for m in network.modules() if isinstance(m, nn.Linear | nn.Conv2d | nn.ConvTranspose2d)]
    for layer in layers:
        init(layer.weight)
        if layer.bias is not None and net.init != "default":
            nn.init.zeros_(layer.bias)
    for layer in {"spectral": layers, "spectral_hidden": layers[:-1]}.get(net.norm, []):
        spectral_norm(layer)
    return network
