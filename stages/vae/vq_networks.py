"""The networks of a VQ-VAE: an image to a grid of vectors, and its mirror; at one level or at two.

Article: https://kexue.fm/archives/6760, whose encoder this is at one level:

    down    4x4 convolutions by two, a norm and ReLU between; then `blocks` residual ones, a norm before each
    block   x + 1x1(ReLU(norm(3x3(ReLU(x)))))
    up      the same backwards, by transposed convolutions

Two levels, the bottom's vectors made in sight of the top's codes: Razavi et al. 2019 (https://arxiv.org/abs/1906.00446).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn
from torch.nn import functional

from stages.core.errors import Refusal
from stages.core.params import choose
from stages.nets.layers import NORMS, Image
from stages.nets.networks import OUTPUTS
from stages.vae.codebook import Codebook, Quantised, Quantiser


@dataclass(frozen=True)
class Convolutions:
    """Params of encoder and decoder."""

    width: int  # channels
    blocks: int  # residual ones, at each end and level
    norm: Literal["none", "batch", "layer"]  # batch in the article


class Block(nn.Module):
    """x [n, width, h, w] -> x + 1x1(ReLU(norm(3x3(ReLU(x)))))."""

    def __init__(self, net: Convolutions) -> None:
        super().__init__()
        wide = nn.Conv2d(net.width, net.width, 3, padding=1)
        self.body = nn.Sequential(nn.ReLU(), wide, *_norm(net), nn.ReLU(), nn.Conv2d(net.width, net.width, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Both paths, added."""
        return x + self.body(x)


class Autoencoder(nn.Module):
    """Images [n, channels, side, side] -> codes [n, grid, grid] of each level, the bottom first -> images again."""

    def __init__(
        self, net: Convolutions, grids: Sequence[int], codebook: Codebook, image: Image, output: str, seed: int
    ) -> None:
        super().__init__()
        steps = halvings(image, grids)
        self.grids, sources = tuple(grids), [image[0], net.width]
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.down = nn.ModuleList(_down(net, sources[level], count) for level, count in enumerate(steps))
            seen = [net.width] * len(grids)
            seen[0] *= len(grids)  # the bottom sees the top
            self.heads = nn.ModuleList(nn.Conv2d(channels, codebook.dim, 1) for channels in seen)
            self.above = nn.ModuleList(_up(net, codebook.dim, net.width, count) for count in steps[1:])
            self.up = _up(net, codebook.dim * len(grids), image[0], steps[0])
        self.quantisers = nn.ModuleList(Quantiser(codebook) for _ in grids)
        self.last = choose(OUTPUTS, output, "output")()

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, list[Quantised]]:
        """The reconstruction of `x`, with what was quantised at each level."""
        found = self.encode(x)
        return self.decode([level.q for level in found]), found

    def encode(self, x: torch.Tensor) -> list[Quantised]:
        """What `x` [n, channels, side, side] is at each level."""
        maps = self._maps(x)
        top = self.quantisers[-1](self.heads[-1](maps[-1]))
        if len(maps) == 1:
            return [top]
        return [self.quantisers[0](self._bottom(maps, top.q)), top]

    def decode(self, q: Sequence[torch.Tensor]) -> torch.Tensor:
        """The image of vectors [n, d, grid, grid] of each level."""
        wide = [q[0], *(functional.interpolate(level, size=q[0].shape[2:]) for level in q[1:])]
        return self.last(self.up(torch.cat(wide, 1)).float())

    def pictured(self, codes: Sequence[torch.Tensor]) -> torch.Tensor:
        """The image of codes [n, grid, grid] of each level."""
        return self.decode([quantiser.look(k) for quantiser, k in zip(self.quantisers, codes, strict=True)])

    @torch.no_grad()
    def start(self, x: torch.Tensor, source: torch.Generator) -> None:
        """Place the codes by a batch of images: the top's first, for the bottom sees them."""
        maps = self._maps(x)
        top = self.heads[-1](maps[-1])
        self.quantisers[-1].start(top, source)
        if len(maps) > 1:
            self.quantisers[0].start(self._bottom(maps, self.quantisers[-1](top).q), source)

    def _maps(self, x: torch.Tensor) -> list[torch.Tensor]:
        maps = [self.down[0](x)]
        for down in self.down[1:]:
            maps.append(down(maps[-1]))
        return maps

    def _bottom(self, maps: list[torch.Tensor], top: torch.Tensor) -> torch.Tensor:
        """z of the bottom, given its features and the top's vectors."""
        return self.heads[0](torch.cat([maps[0], self.above[0](top)], 1))


def halvings(image: Image, grids: Sequence[int]) -> list[int]:
    """How often the image is halved to the first of `grids`, and that to the next.

    Raises `Refusal` where a grid times a power of two, at least 2, is not what it is made of.
    """
    _, height, width = image
    if height != width or len(grids) not in (1, 2):
        raise Refusal(
            f"a VQ-VAE takes square images and one or two grids, not {height} x {width} and {list(grids)}: "
            "scale the images in preprocess, or mend `grids`"
        )
    found, side = [], height
    for grid in grids:
        count = (side // grid).bit_length() - 1 if grid > 0 else 0
        if count < 1 or grid << count != side:
            raise Refusal(
                f"params.yaml: grids has {grid}, but {side} is no such number times a power of two from 2: "
                f"{side} can become {', '.join(str(side >> n) for n in range(1, 6) if side % 2**n == 0) or 'nothing'}"
            )
        found.append(count)
        side = grid
    return found


def _norm(net: Convolutions) -> list[nn.Module]:
    return choose(NORMS, net.norm, "net.norm")(net.width, False)


def _blocks(net: Convolutions) -> list[nn.Module]:
    return [part for _ in range(net.blocks) for part in (*_norm(net), Block(net))]


def _down(net: Convolutions, channels: int, count: int) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(channels, net.width, 4, stride=2, padding=1)]
    for _ in range(count - 1):
        layers += [*_norm(net), nn.ReLU(), nn.Conv2d(net.width, net.width, 4, stride=2, padding=1)]
    return nn.Sequential(*layers, *_blocks(net))


def _up(net: Convolutions, dim: int, channels: int, count: int) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(dim, net.width, 3, padding=1), *_blocks(net)]
    for _ in range(count - 1):
        layers += [nn.ConvTranspose2d(net.width, net.width, 4, stride=2, padding=1), *_norm(net), nn.ReLU()]
    return nn.Sequential(*layers, nn.ConvTranspose2d(net.width, channels, 4, stride=2, padding=1))
