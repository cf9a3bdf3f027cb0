"""What codes are worth, of the models that have an encoder: O-GAN and BiGAN.

    reconstruction  G(code(x)),     O-GAN: code = N(E(x)),  BiGAN: code = E(x)

Label agreement: how often the classifier sees the true class in a reconstruction; 1-NN: how often the nearest code of
another image has its class. Pixels alone say little: reconstructions keep the meaning and not the strokes.
"""

from __future__ import annotations

import torch

from stages.core.params import Choices
from stages.gan.o_gan import normalised, rho
from stages.gan.plain import Plain
from stages.gan.train import noise
from stages.nets import features, images

CODES: Choices = {
    "o_gan": lambda game, x: normalised(game.nets["D"](x)),
    "bigan": lambda game, x: game.nets["E"](x),
}


@torch.no_grad()
def measured(game: Plain, judge: features.Judge, seed: int) -> dict[str, float]:
    """Metrics on the test images and on fresh noise."""
    code, ranged = CODES[game.params.game], images.ranged(game.params.output)
    x, labels = ranged(judge.images.test), judge.images.test_labels
    z = noise(game.params, len(x), torch.Generator().manual_seed(2000 + seed))
    again, of_fake, of_x = game.nets["G"](code(game, x)), code(game, game.nets["G"](z)), code(game, x)
    seen = judge.probabilities(images.whole(again, game.params.output)).argmax(dim=1)
    far = torch.cdist(of_x, of_x).fill_diagonal_(torch.inf)
    middle = ranged(judge.images.train).mean(dim=0)
    return {
        "agreement": (seen == labels).float().mean().item(),
        "nearest_code": (labels[far.argmin(dim=1)] == labels).float().mean().item(),
        "pixel_mse": (again - x).square().mean().item(),
        "pixel_mse_of_mean": (x - middle).square().mean().item(),
        "rho": rho(z, of_fake).mean().item(),
        "z_cycle": (z - of_fake).square().mean().item(),
        "code_mean": of_x.mean().item(),
        "code_deviation": of_x.std(dim=0).mean().item(),
    }
