"""Outputs that are either whole or absent, and digests that DVC would give."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stages.core.errors import Refusal


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield a path beside `target` to write (a file, or a folder you make there); rename it over `target` at the end.

    On any exception, a full disk included, what was written is removed and `target` stays as it was.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}.{os.getpid()}.partial")
    remove(beside)
    try:
        yield beside
        if not beside.exists():
            raise Refusal(f"nothing was written for {target}")
        if target.is_dir():
            remove(target)
        beside.replace(target)
    except OSError as error:
        if error.errno is None:
            raise
        raise Refusal(f"cannot write {target}: {error.strerror}; free some space or mend the rights there") from error
    finally:
        remove(beside)


def remove(path: Path) -> None:
    """Remove a file or a folder with all it holds; a missing one is fine."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_json(value: Any, path: Path) -> None:
    """Write `value` as JSON that is the same bytes for the same value: sorted keys, UTF-8, one final newline."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, indent=2, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """The value of a JSON file; raises `Refusal` where it is missing or broken."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise Refusal(f"{path} is missing: run the stage that makes it (`dvc repro`)") from error
    except ValueError as error:
        raise Refusal(f"{path} is not valid JSON: {error}") from error


def digest(path: Path) -> str:
    """The md5 that DVC gives to a file, or `<md5>.dir` for a folder (32 or 36 characters).

    A folder's is the md5 of the JSON list of its files' {md5, relpath}, sorted by relpath.
    """
    path = Path(path)
    if not path.is_dir():
        return _md5(path)
    names = sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
    listing = [{"md5": _md5(path / name), "relpath": name} for name in names]
    return hashlib.md5(json.dumps(listing).encode()).hexdigest() + ".dir"


def _md5(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "md5").hexdigest()
