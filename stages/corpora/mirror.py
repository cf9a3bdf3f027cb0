"""The mirror: a folder of files that were downloaded before, looked into before any address is asked.

The environment variable QUJING_MIRROR names it. A file is found by its name, however deep it lies, perhaps packed as
.xz or .gz, and only its checksum says that it is the right one.
"""

from __future__ import annotations

import gzip
import hashlib
import lzma
import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from stages.core.errors import Refusal

VARIABLE = "QUJING_MIRROR"
PACKED = {"": open, ".xz": lzma.open, ".gz": gzip.open}


def find(names: Iterable[str], sha256: str) -> Path | None:
    """The file of the mirror that has one of the names and, as it is or unpacked, the checksum; None for none.

    Raises `Refusal` where QUJING_MIRROR names no folder.
    """
    folder = os.environ.get(VARIABLE)
    if not folder:
        return None
    if not Path(folder).is_dir():
        raise Refusal(f"{VARIABLE} is '{folder}', which is no folder: correct it or unset it")
    packed = {f"{name}{suffix}" for name in names for suffix in PACKED}
    candidates = (path for path in sorted(Path(folder).rglob("*")) if path.name in packed and path.is_file())
    return next((path for path in candidates if _opened(path, sha256)), None)


def copy(path: Path, target: Path, sha256: str) -> None:
    """Copy a file that was found to `target`, unpacked where the checksum is that of its content."""
    with (_opened(path, sha256) or open)(path, "rb") as stream, target.open("wb") as written:
        shutil.copyfileobj(stream, written, 1 << 20)


def _opened(path: Path, sha256: str):
    """How to open the file so that what is read has the checksum: as it is, or unpacked; None for neither."""
    for opener in dict.fromkeys([open, PACKED.get(path.suffix, open)]):
        with suppress(OSError, EOFError, lzma.LZMAError), opener(path, "rb") as stream:
            if hashlib.file_digest(stream, "sha256").hexdigest() == sha256:
                return opener
    return None
