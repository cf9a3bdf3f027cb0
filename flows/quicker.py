"""`dvc`, quicker at its YAML: `python -m flows.quicker repro` is `dvc repro`.

After every stage DVC reads the whole of dvc.lock, changes one entry, and writes the whole of it; and it reads the whole
of params.yaml three times, and walks through all of it for every key. With a hundred stages that takes two seconds a
stage. Here each is parsed once while it stays as it is, keys are looked up, and only the entry that changed is put into
words anew. What is written is the same, byte for byte.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

HEAD = "schema: '2.0'\nstages:\n"
ANCHOR, ALIAS = r"(?<=[:-] &)id\d+\b", r"(?<=[:-] \*)id\d+\b"


def main(arguments: Sequence[str]) -> int:
    """Run DVC's command line; returns its exit code."""
    from dvc.cli import main as command

    quicken()
    return command(list(arguments))


@cache
def quicken() -> None:
    """Make the DVC of this process so."""
    import dpath
    import dvc.dependency.param
    import dvc.dvcfile
    from dvc.fs import LocalFileSystem
    from dvc.utils.serialize import load_path, modify_yaml

    lock = Lock()

    @contextmanager
    def modified(path: str, fs: Any = None) -> Iterator[dict[str, Any]]:
        change = lock.modified(path) if Path(path).name == dvc.dvcfile.LOCK_FILE else modify_yaml(path, fs=fs)
        with change as data:
            yield data

    @cache
    def unchanged(path: str, changed: int, size: int) -> Any:
        return load_path(path, LocalFileSystem())

    def load(path: str, fs: Any, **options: Any) -> Any:
        if options or not isinstance(fs, LocalFileSystem):
            return load_path(path, fs, **options)
        state = os.stat(path)
        return unchanged(path, state.st_mtime_ns, state.st_size)

    dvc.dvcfile.modify_yaml = modified
    dvc.dependency.param.load_path = load
    dvc.dependency.param.dpath = SimpleNamespace(get=_value, search=dpath.search)


def _value(config: Any, path: str, separator: str) -> Any:
    """What dpath.get gives; for a plain path without a walk through all keys there are. Raises KeyError for none."""
    import dpath

    found = config
    for key in path.split(separator):
        if not isinstance(found, dict) or key not in found:
            return dpath.get(config, path, separator=separator)
        found = found[key]
    return found


class Lock:
    """A dvc.lock as text and as data, which agree until another process writes the file."""

    def __init__(self) -> None:
        self.text = ""
        self.data: dict[str, Any] = {}

    @contextmanager
    def modified(self, path: str) -> Iterator[dict[str, Any]]:
        """The data of the lock at `path`, to put new entries of stages into; then it is written."""
        from dvc.utils.serialize import dumps_yaml, parse_yaml

        text = Path(path).read_text(encoding="utf-8") if Path(path).exists() else ""
        if text != self.text:
            self.text, self.data = text, parse_yaml(text, path)
        before, entries = dict(self.data.get("stages", {})), dict(_entries(text))
        yield self.data
        stages = self.data["stages"]
        for name, entry in stages.items():
            if name not in entries or entry is not before.get(name):
                entries[name] = dumps_yaml({"stages": {name: entry}}).removeprefix("stages:\n")
        if self.data == {"schema": "2.0", "stages": stages}:
            self.text = HEAD + _numbered([entries[name] for name in stages])
        else:
            self.text = dumps_yaml(self.data)
        Path(path).write_text(self.text, encoding="utf-8")


def _entries(text: str) -> Iterator[tuple[str, str]]:
    """The name and the lines of every stage of a lock as DVC writes it; not of one that shares values with others."""
    if text.startswith(HEAD):
        for entry in re.split(r"(?m)^(?=  \S)", text.removeprefix(HEAD))[1:]:
            if set(re.findall(ANCHOR, entry)) == set(re.findall(ALIAS, entry)):
                yield entry.split(":\n", 1)[0].strip(), entry


def _numbered(entries: Sequence[str]) -> str:
    """The entries one after another, the YAML anchors of values that stand in them twice numbered through."""
    done = 0
    found: list[str] = []
    for entry in entries:
        names = sorted(re.findall(ANCHOR, entry), key=lambda name: int(name[2:]))
        new = {name: f"id{done + place:03d}" for place, name in enumerate(names, 1)}
        parts = re.split(f"({ANCHOR}|{ALIAS})", entry) if new else [entry]
        found += [new.get(part, part) for part in parts]
        done += len(names)
    return "".join(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
