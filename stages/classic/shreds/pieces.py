"""Pieces of a page: a folder of pictures of one size, dark on white, each known by its file's name.

Two-sided paper has two pictures a piece, NAMEa and NAMEb; which of the two is in front nobody knows.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stages.core.errors import Refusal

PICTURES = {".bmp", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".gif", ".pgm", ".webp"}
BLANK = 0.3  # ink of a pixel that is still paper, or dust on it


@dataclass(frozen=True)
class Pieces:
    """`ink` is [pieces, height, width], 0 for white and 1 for black; `back[i]` is the other side of i, -1 for none."""

    names: tuple[str, ...]
    ink: np.ndarray
    back: np.ndarray

    @property
    def two_sided(self) -> bool:
        """Whether every picture has another side."""
        return bool((self.back >= 0).all())

    def margins(self, side: str) -> np.ndarray:
        """Blank columns at the `left` or `right` edge, rows at the `top` or `bottom`, of each piece."""
        dark = self.ink > BLANK
        lines = dark.any(axis=1) if side in ("left", "right") else dark.any(axis=2)  # [pieces, columns or rows]
        lines = lines[:, ::-1] if side in ("right", "bottom") else lines
        return np.where(lines.any(axis=1), lines.argmax(axis=1), lines.shape[1])


def load(folder: Path) -> Pieces:
    """The pictures of `folder`, sorted by name; raises `Refusal` for none, unlike sizes and what is no picture."""
    from PIL import Image, UnidentifiedImageError

    folder = Path(folder)
    if not folder.is_dir():
        raise Refusal(f"{folder} is no folder: name the one that holds the pictures of the pieces")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES)
    if len(paths) < 2:
        raise Refusal(f"{folder} holds {len(paths)} pictures of pieces ({', '.join(sorted(PICTURES))}): two are needed")
    ink, sizes = [], {}
    for path in paths:
        try:
            with Image.open(path) as picture:
                opaque = picture.convert("RGBA")
        except (UnidentifiedImageError, OSError) as error:
            raise Refusal(f"{path} is not a picture that can be read: remove it or save it again") from error
        white = Image.new("RGBA", opaque.size, "white")
        grey = np.asarray(Image.alpha_composite(white, opaque).convert("L"))  # [height, width]
        sizes.setdefault(grey.shape, path)
        if len(sizes) > 1:
            (h, w), (first_h, first_w) = grey.shape, next(iter(sizes))
            raise Refusal(f"{path} is {w}x{h}, {paths[0].name} {first_w}x{first_h}: pieces of one cut have one size")
        ink.append(1 - grey.astype(np.float32) / 255)
    names = [path.stem for path in paths]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise Refusal(f"{folder} has two pictures named {twice}: a piece is known by its name, so rename one")
    return Pieces(tuple(names), np.stack(ink), backs(names))


def backs(names: list[str]) -> np.ndarray:
    """The place of each picture's other side, by names that end in a and b; all -1 where one of them has none."""
    place = {name: i for i, name in enumerate(names)}
    other = [place.get(name[:-1] + {"a": "b", "b": "a"}.get(name[-1:], ""), -1) for name in names]
    found = np.array([-1 if other[i] == i else other[i] for i in range(len(names))])
    return found if (found >= 0).all() else np.full(len(names), -1)
