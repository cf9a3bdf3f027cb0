"""A folder or an archive of pictures into a data set: cut to a square about the middle, and made one size.

    folder, tar (compressed or not) or zip -> files that by their names are pictures -> upright, on white -> resized

The same pictures are the same data set wherever they lie: they are taken in order of name.
"""

from __future__ import annotations

import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np

from stages.core import tables
from stages.core.errors import Refusal, one_line
from stages.core.progress import counting
from stages.core.systems import Findings
from stages.corpora.images.dataset import UNKNOWN, Part, save, split

AT_ONCE = 256
"""Pictures whose files are in memory at a time."""

UNSAFE = {"EPS"}
"""Formats that Pillow hands to another program to be run."""

BROKEN = (OSError, EOFError, RuntimeError, tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError)
"""What reading an archive raises where it is cut off, damaged, locked or packed in an unknown way."""


@dataclass(frozen=True)
class Pictures:
    """Params of a data set of pictures."""

    size: int  # height and width, pixels
    colour: bool  # three channels, or one of grey
    labels: Literal["none", "folder"]  # whether the folder that a picture lies in is its class
    test_share: float
    seed: int  # of that share
    workers: int  # threads


@dataclass(frozen=True)
class Small:
    """A picture uint8 [channels, size, size], and whether it had to be made larger for it."""

    pixels: np.ndarray
    enlarged: bool


def pictures(source: Path | None, params: Pictures, out: Path) -> Findings:
    """Write the pictures in the folder or archive `source` to `out`; what is broken is counted and told in a table.

    Raises `Refusal` where there is no picture, and for an archive that cannot be read to its end.
    """
    import pyarrow as pa

    if source is None:
        raise Refusal("params.yaml: a data set of pictures needs an `input`: a folder, a tar or a zip archive")
    if params.size < 1 or params.workers < 1:
        raise Refusal(f"params.yaml: size is {params.size} and workers is {params.workers}: both must be at least 1")
    found: dict[str, Small | str] = {}
    others = 0
    make = partial(small, size=params.size, colour=params.colour)
    with ThreadPoolExecutor(params.workers) as pool, counting("pictures", unit="pictures") as advance:
        files = members(Path(source))
        while several := list(islice(files, AT_ONCE)):
            held = {name: content for name, content in several if content is not None}
            found.update(zip(held, pool.map(make, held.values()), strict=True))
            others += len(several) - len(held)
            advance(len(held))
    good = [(name, one) for name, one in sorted(found.items()) if isinstance(one, Small)]
    broken = [{"name": name, "why": why} for name, why in sorted(found.items()) if isinstance(why, str)]
    if not good:
        raise Refusal(f"{source} holds no picture that can be read: {len(broken)} broken ones, {others} other files")
    labels, classes = _labels([name for name, _ in good], params.labels)
    whole = Part(np.stack([one.pixels for _, one in good]), labels)
    findings = save(*split(whole, params.test_share, params.seed), classes, source.name, out)
    counts = {"broken": len(broken), "others": others, "enlarged": sum(one.enlarged for _, one in good)}
    columns = tables.schema(name=(pa.string(), "file"), why=(pa.string(), "what is wrong with it"))
    told = {"broken": pa.Table.from_pylist(broken, schema=columns)} if broken else {}
    return replace(findings, metrics=findings.metrics | {k: float(v) for k, v in counts.items()}, tables=told)


def members(source: Path) -> Iterator[tuple[str, bytes | None]]:
    """Name and content of every file in a folder, tar or zip archive; None for one that by its name is no picture.

    Raises `Refusal` for a source that is none of these, and for one that cannot be read to its end.
    """
    is_picture = pattern()
    try:
        if source.is_dir():
            for path in sorted(path for path in source.rglob("*") if path.is_file()):
                name = path.relative_to(source).as_posix()
                yield name, path.read_bytes() if is_picture(name) else None
        elif source.is_file() and zipfile.is_zipfile(source):
            with zipfile.ZipFile(source) as archive:
                for entry in archive.infolist():
                    if not entry.is_dir():
                        yield entry.filename, archive.read(entry) if is_picture(entry.filename) else None
        elif source.is_file() and tarfile.is_tarfile(source):
            with tarfile.open(source, "r|*") as archive:
                for entry in archive:
                    if entry.isfile():
                        name = entry.name.removeprefix("./")
                        yield name, archive.extractfile(entry).read() if is_picture(name) else None
        else:
            raise Refusal(f"{source} is neither a folder nor a tar or zip archive: name one that holds pictures")
    except BROKEN as error:
        raise Refusal(f"{source} cannot be read to its end: {one_line(error)}; get it again") from error


def pattern() -> Callable[[str], bool]:
    """Whether a file is a picture by its name: an ending that Pillow knows, and nothing hidden."""
    from PIL import Image

    endings = {ending for ending, form in Image.registered_extensions().items() if form in Image.OPEN}

    def matches(name: str) -> bool:
        path = PurePosixPath(name)
        hidden = any(part.startswith((".", "__MACOSX")) for part in path.parts)
        return path.suffix.lower() in endings and not hidden

    return matches


def small(content: bytes, size: int, colour: bool) -> Small | str:
    """The picture in the file `content`, or what is wrong with it."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(content), formats=sorted(set(Image.OPEN) - UNSAFE)) as image:
            enlarged = min(image.size) < size
            image.draft(None, (2 * size, 2 * size))  # lets the decoder of JPEG pass over detail that nobody will see
            upright = ImageOps.exif_transpose(image)
            if upright.mode.startswith("I;16"):  # which convert() would cut off at 255
                upright = Image.fromarray(np.rint(np.asarray(upright) / 257).astype(np.uint8))
            if upright.has_transparency_data:
                upright = upright.convert("RGBA")
                upright = Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright)
            fitted = ImageOps.fit(upright.convert("RGB" if colour else "L"), (size, size), Image.Resampling.LANCZOS)
    except UnidentifiedImageError:  # whose own message holds an address in memory
        return "no picture"
    except Exception as error:  # each of Pillow's forty decoders fails in its own way
        return one_line(error)
    return Small(np.asarray(fitted).reshape(size, size, -1).transpose(2, 0, 1), enlarged)


def _labels(names: list[str], kind: str) -> tuple[np.ndarray, list[str]]:
    """Labels [n] of pictures by their names, and the names of the classes; UNKNOWN for one that lies in no folder."""
    folders = [PurePosixPath(name).parent.name if kind == "folder" else "" for name in names]
    classes = sorted(set(folders) - {""})
    place = {name: label for label, name in enumerate(classes)} | {"": UNKNOWN}
    return np.array([place[folder] for folder in folders], dtype=np.int64), classes
