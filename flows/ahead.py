"""A command whose Python programs start at once: `python -m flows.ahead MODULE COMMAND [ARGUMENTS]`.

`make repro` runs the graph so. A process beside it imports MODULE with all that hangs on it, and DVC, and what the
command starts as `python -m ...` is a fork of that, which saves each stage the seconds that torch and MLflow take.
"""

from __future__ import annotations

import os
import runpy
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from flows import warm


def main(arguments: Sequence[str]) -> int:
    """Run the command to its end; returns its exit code."""
    module, *command = arguments
    with tempfile.TemporaryDirectory(prefix="qujing-") as folder:
        address = Path(folder) / "warm"
        forks = get_context("fork").Process(target=warm.serve, args=(address, partial(runpy.run_module, module)))
        forks.start()
        path = os.pathsep.join([str(stand_in(Path(folder) / "bin")), os.environ["PATH"]])
        process = subprocess.Popen(command, env={**os.environ, warm.SOCKET: str(address), "PATH": path})
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal, which tells the command too
        signal.signal(signal.SIGTERM, lambda number, frame: process.send_signal(number))
        try:
            code = process.wait()
        finally:
            forks.terminate()
            forks.join()
    return code if code >= 0 else 128 - code


def stand_in(folder: Path) -> Path:
    """A folder for PATH with a `python` that has the modules it is given run by the warm process."""
    folder.mkdir()
    program, python = folder / "python", shlex.quote(sys.executable)
    program.write_text(
        f'#!/bin/sh\nif [ "$1" = -m ]; then shift; exec {python} -m flows.warm "$@"; fi\nexec {python} "$@"\n'
    )
    program.chmod(0o755)
    return folder


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
