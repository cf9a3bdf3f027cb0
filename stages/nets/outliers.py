"""Does an energy know what is no datum? Area under the ROC curve of energies of data against four kinds of strangers.

    noise      uniform pixels
    permuted   all images by one permutation of the pixels
    shuffled   each image by a permutation of its own
    inverted   white for black

AUROC = P(U(stranger) > U(datum)) + P(=) / 2: 1 where every stranger lies higher, 0.5 where nothing is told apart.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

Energy = Callable[[torch.Tensor], torch.Tensor]


def strangers(images: torch.Tensor, seed: int) -> dict[str, torch.Tensor]:
    """The four kinds made of `images` uint8 [n, channels, height, width], of that shape each."""
    source = torch.Generator(images.device).manual_seed(seed)
    flat = images.flatten(2)  # pixels move, channels of a pixel stay together
    n, _, size = flat.shape
    one = torch.randperm(size, generator=source, device=images.device)
    each = torch.rand(n, size, generator=source, device=images.device).argsort(dim=1)
    noise = torch.randint(0, 256, images.shape, generator=source, device=images.device, dtype=torch.uint8)
    found = {"permuted": flat[:, :, one], "shuffled": flat.gather(2, each[:, None].expand_as(flat))}
    return {"noise": noise, "inverted": 255 - images, **{name: x.view_as(images) for name, x in found.items()}}


@torch.no_grad()
def aurocs(
    energy: Energy, images: torch.Tensor, ranged: Callable[[torch.Tensor], torch.Tensor], seed: int
) -> dict[str, float]:
    """auroc_KIND for each kind; `energy` is low on data, `ranged` brings uint8 into the range it takes."""
    data = energy(ranged(images))
    return {f"auroc_{kind}": auroc(data, energy(ranged(x))) for kind, x in strangers(images, seed).items()}


def auroc(low: torch.Tensor, high: torch.Tensor) -> float:
    """P(h > l) + P(h = l) / 2 of h in `high` [m] and l in `low` [n]."""
    ordered = low.sort().values
    below = torch.searchsorted(ordered, high, right=False) + torch.searchsorted(ordered, high, right=True)
    return (below.double().mean() / (2 * len(low))).item()
