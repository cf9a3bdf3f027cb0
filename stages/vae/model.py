"""An autoencoder with a posterior: encoder -> head -> code -> z -> decoder -> likelihood."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from stages.core.params import Choices, choose
from stages.nets import images, networks, posteriors
from stages.nets.codes import Code
from stages.nets.layers import Image
from stages.vae import likelihoods
from stages.vae.settings import Vae

AT_ONCE = 500  # images, without gradients


def _grey(pixels: torch.Tensor, source: torch.Generator) -> torch.Tensor:
    return images.unit(pixels)


def _threshold(pixels: torch.Tensor, source: torch.Generator) -> torch.Tensor:
    return (pixels > 127).float()


def _dynamic(pixels: torch.Tensor, source: torch.Generator) -> torch.Tensor:
    return torch.bernoulli(images.unit(pixels), generator=source)


BINARY: Choices = {"none": _grey, "threshold": _threshold, "dynamic": _dynamic}


class Autoencoder(nn.Module):
    """The four parts as `params` describe them, with weights that `seed` decides, for images (c, h, w)."""

    def __init__(self, params: Vae, image: Image, seed: int) -> None:
        super().__init__()
        self.head, self.likelihood = posteriors.make(params.posterior), likelihoods.make(params.likelihood)
        c, h, w = image
        out = (self.likelihood.channels(c), h, w)
        self.encoder = networks.critic(params.encoder, image, self.head.size, 2 * seed)
        self.decoder = networks.generator(params.decoder, params.posterior.latent, out, "linear", 2 * seed + 1)
        self.fast = {"encoder": self.encoder, "decoder": self.decoder}  # perhaps compiled
        self.binary, self.kept = choose(BINARY, params.binary, "binary"), torch.contiguous_format
        if params.channels_last:
            self.kept = torch.channels_last
            self.to(memory_format=self.kept)

    def look(self, pixels: torch.Tensor, source: torch.Generator) -> torch.Tensor:
        """What the model is given of bytes [n, c, h, w]: numbers in [0, 1]."""
        return self.binary(pixels, source).contiguous(memory_format=self.kept)

    def encode(self, x: torch.Tensor) -> Code:
        """p(z|x) of `x` [n, c, h, w] in [0, 1]."""
        return self.head(_by_parts(self.fast["encoder"], x))

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        """What the likelihood takes, float32 [..., channels, h, w], of `z` [..., latent]."""
        return _by_parts(self.fast["decoder"], z.flatten(0, -2)).unflatten(0, z.shape[:-1]).float()

    def images(self, z: torch.Tensor) -> torch.Tensor:
        """The images in [0, 1], [..., c, h, w], of `z` [..., latent]."""
        return self.likelihood.mean(self.decode(z))

    def log_prob(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        """log q(x|z) in nats, [k, n], of `x` [n, c, h, w] and `z` [k, n, latent]."""
        return self.likelihood.log_prob(self.decode(z), x)


def _by_parts(net: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """net(x), where no gradient is wanted some rows at a time: memory stays bounded."""
    return net(x) if torch.is_grad_enabled() else torch.cat([net(part) for part in x.split(AT_ONCE)])


def load(model: Path, params: Vae, image: Image, seed: int, device: torch.device | str = "cpu") -> Autoencoder:
    """The trained model of one seed, in evaluation mode."""
    from safetensors.torch import load_file

    found = Autoencoder(params, image, seed)
    found.load_state_dict(load_file(model / f"seed_{seed}.safetensors"))
    return found.eval().requires_grad_(False).to(device)
