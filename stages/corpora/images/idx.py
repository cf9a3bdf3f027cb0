"""Images in idx files, the form of MNIST, Fashion-MNIST and their kin, compressed or not.

Form: http://yann.lecun.com/exdb/mnist/ (big-endian: two zero bytes, type, dimensions; then each size; then the data).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stages.core.errors import Refusal, one_line
from stages.core.systems import Findings
from stages.corpora.images.dataset import Part, save, split
from stages.corpora.readers import open_bytes
from stages.corpora.segmentation import find

UNSIGNED_BYTE = 8


@dataclass(frozen=True)
class Idx:
    """Params of a data set in idx files."""

    train: tuple[str, str]  # names of the files of images and labels in the input folder
    test: tuple[str, ...]  # likewise; () where `test_share` of the train files is the test
    test_share: float
    seed: int  # of that share
    classes: tuple[str, ...]  # names of labels 0, 1, ...


def idx(source: Path | None, params: Idx, out: Path) -> Findings:
    """Write the images and labels of the idx files in the folder `source` to `out`.

    Raises `Refusal` that names the file for one that is missing, cut off or none, for a label without a name, and
    where images and labels, or train and test, do not fit together.
    """
    if source is None:
        raise Refusal("params.yaml: a data set of idx files needs an `input`: the folder they lie in")
    if len(params.test) not in (0, 2):
        raise Refusal(f"params.yaml: test is {list(params.test)}, but it must name images and labels, or be []")
    train = _part(source, params.train, params.classes)
    if params.test:
        test = _part(source, params.test, params.classes)
    else:
        train, test = split(train, params.test_share, params.seed)
    if train.images.shape[1:] != test.images.shape[1:]:
        sizes = ["x".join(map(str, part.images.shape[2:])) for part in (train, test)]
        raise Refusal(f"{source}: train images are {sizes[0]} pixels and test images {sizes[1]}; name files of one set")
    return save(train, test, params.classes, ", ".join([*params.train, *params.test]), out)


def _part(folder: Path, names: tuple[str, ...], classes: tuple[str, ...]) -> Part:
    paths = [find(folder, name) for name in names]
    images, labels = read(paths[0], 3), read(paths[1], 1).astype(np.int64)
    if len(images) != len(labels):
        raise Refusal(
            f"{paths[0]} has {len(images)} images, but {paths[1]} {len(labels)} labels; name files of one set"
        )
    if len(labels) and labels.max() >= len(classes):
        raise Refusal(f"{paths[1]} has label {labels.max()}, but params.yaml names only {len(classes)} classes")
    return Part(images[:, None], labels)


def read(path: Path, dimensions: int) -> np.ndarray:
    """The array of unsigned bytes, of so many dimensions, in an idx file; raises `Refusal` where it is none."""
    try:
        with open_bytes(path) as stream:
            content = stream.read()
    except (OSError, EOFError) as error:
        raise Refusal(f"{path} cannot be read: {one_line(error)}; get it again") from error
    start = 4 + 4 * dimensions
    if content[:4] != bytes([0, 0, UNSIGNED_BYTE, dimensions]) or len(content) < start:
        kind = "images" if dimensions == 3 else "labels"
        raise Refusal(f"{path} is no idx file of {kind}: it begins with {content[:4].hex(' ') or 'nothing'}")
    shape = [int(size) for size in np.frombuffer(content, ">u4", dimensions, 4)]
    if len(content) - start != np.prod(shape, dtype=np.int64) or 0 in shape:
        sizes = " x ".join(map(str, shape))
        raise Refusal(f"{path} has {len(content) - start} bytes of data, but its head says {sizes}; get it again")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
