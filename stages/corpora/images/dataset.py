"""A data set of images: what every kind of source writes, and what a training reads.

images.safetensors   train, test: uint8 [n, channels, height, width]; train_labels, test_labels: int64 [n], or -1
dataset.json         where they came from, their names of classes, shape and counts
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stages.core import files
from stages.core.errors import Refusal, one_line
from stages.core.systems import Findings

UNKNOWN = -1
"""The label of an image whose class nobody said."""


@dataclass(frozen=True)
class Part:
    """Images uint8 [n, channels, height, width] with their labels int64 [n]."""

    images: np.ndarray
    labels: np.ndarray

    def at(self, rows: np.ndarray) -> Part:
        """Those at `rows`."""
        return Part(self.images[rows], self.labels[rows])


@dataclass(frozen=True)
class Dataset:
    """What `save` has written."""

    train: Part
    test: Part
    names: list[str]  # of the classes


def load(folder: Path) -> Dataset:
    """The data set in `folder`; raises `Refusal` where it is missing or broken."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    names = files.read_json(folder / "dataset.json")["names"]
    try:
        held = load_file(folder / "images.safetensors")
        parts = [Part(held[name], held[f"{name}_labels"]) for name in ("train", "test")]
    except (OSError, KeyError, SafetensorError) as error:
        raise Refusal(f"{folder} is no data set of images: {one_line(error)}; make it again") from error
    return Dataset(*parts, names)


def split(part: Part, share: float, seed: int) -> tuple[Part, Part]:
    """(train, test): `share` of the images, drawn by `seed`, are the test; both in their old order.

    Raises `Refusal` for a share that leaves nothing for one of the two.
    """
    n = len(part.images)
    test = np.zeros(n, dtype=bool)
    test[np.random.default_rng(seed).permutation(n)[: round(share * n)]] = True
    if not 0 < test.sum() < n:
        raise Refusal(
            f"params.yaml: test_share is {share}, which makes {test.sum()} of {n} images the test: leave some to each"
        )
    return part.at(~test), part.at(test)


def save(train: Part, test: Part, classes: Sequence[str], source: str, out: Path) -> Findings:
    """Write the data set to `out`; counts of images and classes are what was found out."""
    from safetensors.numpy import save_file

    _, channels, height, width = train.images.shape
    held = {
        "train": train.images,
        "train_labels": train.labels,
        "test": test.images,
        "test_labels": test.labels,
    }
    out.mkdir(parents=True)
    save_file({name: np.ascontiguousarray(array) for name, array in held.items()}, out / "images.safetensors")
    counts = {"train": len(train.images), "test": len(test.images), "classes": len(classes)}
    shape = {"channels": channels, "height": height, "width": width}
    files.write_json({"source": source, "names": list(classes), **counts, **shape}, out / "dataset.json")
    return Findings(metrics={name: float(count) for name, count in (counts | shape).items()})
