"""Reproduce one stage in a work tree of a worker: `python -m flows.reproduce STAGE KEY [INPUT ...]`.

Unless it is recorded under KEY meanwhile, pulls the inputs (paths of outputs of other stages), runs the stage, pushes
what it made, and records it; all through DVC, in one process that does nothing else. Exit code 0, 75 where another try
may help (the remote did not answer, or the stage said so), 1 where the stage failed.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from flows import graph
from flows.records import Records, Unreachable

TRIES = 3
"""How often a transfer is tried while the remote answers; while it does not, it is waited for."""


def main(arguments: Sequence[str]) -> int:
    """Do it, print what happens, and return the exit code."""
    from dvc.exceptions import DvcException

    name, key, *inputs = arguments
    logging.getLogger().handlers.clear()  # Prefect's, by which DVC would say everything twice
    logging.getLogger("dvc.repo.scm_context").setLevel(logging.WARNING)
    try:
        reproduce(Path.cwd(), name, key, inputs)
    except Unreachable as error:
        print(error)
        return os.EX_TEMPFAIL
    except (DvcException, OSError) as error:
        cause = error.__cause__ or error
        print(f"{name}: {cause}")
        return os.EX_TEMPFAIL if f"exited with {os.EX_TEMPFAIL}" in str(cause) else 1
    return 0


def reproduce(root: Path, name: str, key: str, inputs: Sequence[str]) -> None:
    """Pull `inputs`, run the stage, push its outputs, and only then record its entry of dvc.lock."""
    from dvc.repo import Repo

    with Repo(str(root)) as repo:
        records = Records(root, repo)
        if records.find(key):
            print(f"{name} stands already")
            return
        if inputs:
            _transfer(lambda: repo.pull(targets=list(inputs)), records)
        repo.reproduce(name, single_item=True)
        _transfer(lambda: repo.push(targets=[name]), records)
        records.keep(graph.entries(root / "dvc.lock")[name])


def _transfer(transfer: Callable[[], object], records: Records) -> None:
    """Pull or push; between tries, wait until the remote answers."""
    for left in reversed(range(TRIES)):
        try:
            transfer()
            return
        except Exception as error:
            if not left or "No space left" in str(error):
                raise
            print(f"will try again: {error}")
            records.has("0" * 32)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
