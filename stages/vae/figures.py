"""Pictures of a VAE: samples, reconstructions, ways between images, and what each number of a code does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from stages.nets import images
from stages.nets.codes import Gaussian
from stages.vae import probes
from stages.vae.model import Autoencoder

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN, COLUMNS = 64, 8  # samples, as the GANs show them
PAIRS = 32
WAYS = 8
FRAMES = 10


@torch.no_grad()
def all_of(model: Autoencoder, x: torch.Tensor) -> dict[str, Figure]:
    """Every picture of `model`, for test images `x` [n, c, h, w] in [0, 1], n at least PAIRS and twice WAYS."""
    z = model.head.prior(SHOWN, torch.Generator(x.device).manual_seed(0))
    code = model.encode(x)
    again = model.images(code.mode())
    pairs = torch.stack([x[:PAIRS], again[:PAIRS]], 1).flatten(0, 1)
    ways = probes.slerp(code.mode()[:WAYS], code.mode()[WAYS : 2 * WAYS], FRAMES).transpose(0, 1)  # [ways, frames, :]
    return {
        "samples": images.grid(model.images(z), COLUMNS),
        "reconstructions": images.grid(pairs, 2 * COLUMNS),
        "interpolation": images.grid(model.images(ways).flatten(0, 1), FRAMES),
        "traversal": images.grid(model.images(traversal(model, x)).flatten(0, 1), FRAMES),
    }


def traversal(model: Autoencoder, x: torch.Tensor) -> torch.Tensor:
    """Codes of `x[0]` with one number after another, those of most KL first, led from -2.5 to 2.5.

    On a sphere they are turned from one end of each axis to the other. [numbers, FRAMES, latent], 16 numbers at most.
    """
    code = model.encode(x)
    mode = code.mode()[0]
    if not isinstance(code, Gaussian):
        axes = torch.eye(len(mode), device=x.device, dtype=mode.dtype)[:16]
        return probes.slerp(-axes + 0.1 * mode, axes + 0.1 * mode, FRAMES).transpose(0, 1)
    most = code.kl_each().mean(0).topk(min(16, len(mode))).indices
    found = mode.repeat(len(most), FRAMES, 1)
    line = torch.linspace(-2.5, 2.5, FRAMES, device=x.device)
    found[torch.arange(len(most))[:, None], torch.arange(FRAMES)[None], most[:, None]] = line.to(found.dtype)
    return found
