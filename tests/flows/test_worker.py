"""The program on every machine: it ends when it is told to."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from machines import until

from flows import worker as program


def test_started_in_the_background_it_ends_on_sigterm(server, tmp_path):
    """A shell without job control starts it with SIGINT ignored, which is what stops Prefect's worker below it."""
    log = tmp_path / "log"
    with log.open("w") as out:
        worker = subprocess.Popen(
            [sys.executable, "-m", "flows.worker", "--queue", "cpu", "--name", "behind"],
            cwd=tmp_path,
            env={**os.environ, **server.settings, "PYTHONPATH": str(Path(program.__file__).parents[1])},
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
            stdout=out,
            stderr=out,
        )
    until(lambda: "Worker 'behind' started" in log.read_text(), what="the worker")
    worker.terminate()
    assert worker.wait(timeout=20) == 0
