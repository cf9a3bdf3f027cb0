"""Data sets of images in memory: bytes on the device, made numbers where they are used; and pictures of many images."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from stages.core.errors import Refusal, one_line

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INCHES = 0.6
"""The side of one image in a grid."""


@dataclass(frozen=True)
class Images:
    """A data set: images uint8 [n, channels, height, width] and labels int64 [n], -1 for unknown."""

    train: torch.Tensor
    train_labels: torch.Tensor
    test: torch.Tensor
    test_labels: torch.Tensor

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        return tuple(self.train.shape[1:])

    @property
    def classes(self) -> int:
        """How many classes the train labels have; 0 where none is known."""
        return int(self.train_labels.max()) + 1


def load(folder: Path, device: torch.device | str = "cpu") -> Images:
    """The data set in `folder`/images.safetensors; raises `Refusal` where it is missing or of another form."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = Path(folder) / "images.safetensors"
    try:
        held = load_file(path, device=str(device))
        return Images(**held)
    except FileNotFoundError as error:
        raise Refusal(f"{path} is missing: run the stage that makes it (`dvc repro`)") from error
    except (SafetensorError, TypeError) as error:
        raise Refusal(f"{path} is no data set of images: {one_line(error)}; make it again") from error


def unit(x: torch.Tensor) -> torch.Tensor:
    """Bytes as numbers in [0, 1]."""
    return x / 255


def symmetric(x: torch.Tensor) -> torch.Tensor:
    """Bytes as numbers in [-1, 1]."""
    return x / 127.5 - 1


def ranged(output: str) -> Callable[[torch.Tensor], torch.Tensor]:
    """What brings bytes into the range of a generator that ends in `output`; what is made of no bytes stays."""
    return {"sigmoid": unit, "tanh": symmetric}.get(output, torch.clone)


def whole(made: torch.Tensor, output: str) -> torch.Tensor:
    """What a generator that ends in `output` has made, in [0, 1]."""
    return ((made + 1) / 2 if output == "tanh" else made).clamp(0, 1)


def grid(images: torch.Tensor, columns: int) -> Figure:
    """One picture of `images` [n, 1 or 3, height, width] in [0, 1], row by row; what is out of range is cut off."""
    from matplotlib.figure import Figure

    n, channels, height, width = images.shape
    rows = math.ceil(n / columns)
    spare = images.new_ones(rows * columns - n, channels, height, width)
    cells = torch.cat([images.detach(), spare]).clamp(0, 1)
    cells = torch.nn.functional.pad(cells, (0, 1, 0, 1), value=1.0)  # a white line between them
    cells = cells.reshape(rows, columns, channels, height + 1, width + 1)
    whole = cells.permute(0, 3, 1, 4, 2).reshape(rows * (height + 1), columns * (width + 1), channels)
    figure = Figure(figsize=(columns * INCHES, rows * INCHES * height / width))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    pixels = whole.float().cpu().numpy()
    axes.imshow(pixels[..., 0] if channels == 1 else pixels, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    return figure
