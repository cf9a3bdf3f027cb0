"""`dvc`, quicker at dvc.lock: `python -m flows.lockfile repro` is `dvc repro`.

After every stage DVC reads dvc.lock in a way that would keep its comments, and there are none: of a lock of a hundred
stages that takes a second, ten times as long as to read it plainly. What is written is the same, byte for byte.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def main(arguments: Sequence[str]) -> int:
    """Run DVC's command line; returns its exit code."""
    import dvc.dvcfile
    from dvc.cli import main as command
    from dvc.utils.serialize import dump_yaml, load_yaml, modify_yaml

    @contextmanager
    def modified(path: str, fs: Any = None) -> Iterator[dict[str, Any]]:
        if Path(path).name != dvc.dvcfile.LOCK_FILE:
            with modify_yaml(path, fs=fs) as data:
                yield data
            return
        data = load_yaml(path, fs=fs) if Path(path).exists() else {}
        yield data
        dump_yaml(path, data, fs=fs)

    dvc.dvcfile.modify_yaml = modified
    return command(list(arguments))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
