"""Latent MCMC after training: does the critic know better than the generator what is likely?

Article: https://kexue.fm/archives/6331; papers and equations: stages/nets/latent.py and, of the chain, langevin.py.

    z from the prior, moved by MALA on V(z), then x = G(z): measured beside x of the z that the chain began with

The same chain with beta 0 is the control. With potential `energy` it is a walk without bounds that makes z longer, and
where samples are too much alike that alone brings the distance down: what the energy is worth is the difference.
The number: none in the article, only that samples get better. Here more of them are good, and they are less even.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from stages.core.errors import Refusal
from stages.gan.plain import Plain
from stages.nets import images, latent, quality
from stages.nets.features import Judge
from stages.nets.latent import Latent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OF_IMAGES = ("plain", "meg")
"""Games whose critic gives one number to an image and nothing else."""

MEASURED = ("fd", "precision", "recall", "coverage")


def moved(game: Plain, z: torch.Tensor, params: Latent, seed: int) -> tuple[torch.Tensor, float]:
    """Samples [n, channels, height, width] in [0, 1] where chains from `z` [n, latent] end, and the share accepted.

    Raises `Refusal` for a game whose critic sees more than images, and for a prior that is not normal.
    """
    if game.params.game not in OF_IMAGES:
        raise Refusal(f"a chain needs a critic of images, as games {' and '.join(OF_IMAGES)} have: set `chain` to null")
    if game.params.prior != "normal":
        raise Refusal(f"a chain takes z from the normal prior, not the {game.params.prior} one: set `chain` to null")
    source = torch.Generator().manual_seed(3000 + seed)
    ends, accepted = latent.sample(game.nets["G"], game.nets["D"], z, params, source)
    with torch.no_grad():
        return images.whole(game.nets["G"](ends), game.params.output), accepted.item()


def measured(game: Plain, judge: Judge, z: torch.Tensor, params: Latent, seed: int) -> dict[str, float]:
    """Metrics of the chain from `z` [n, latent] as chain_NAME, and of its control without the energy as idle_NAME."""
    with_it, accepted = moved(game, z, params, seed)
    without, _ = moved(game, z, replace(params, beta=0.0), seed)
    found = {"chain_accepted": accepted}
    for name, samples in {"chain": with_it, "idle": without}.items():
        whole = quality.compare(judge, judge.reference, judge.features(samples), seed)
        found |= {f"{name}_{metric}": whole[metric] for metric in MEASURED}
    return found


def pairs(game: Plain, z: torch.Tensor, params: Latent, seed: int) -> Figure:
    """Rows in twos: above samples of `z` [10 n, latent] as they are, below those of the chains that began there."""
    with torch.no_grad():
        plain = images.whole(game.nets["G"](z), game.params.output)
    both = torch.stack([plain.unflatten(0, (-1, 10)), moved(game, z, params, seed)[0].unflatten(0, (-1, 10))], dim=1)
    return images.grid(both.flatten(0, 2), 10)
