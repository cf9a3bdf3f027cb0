"""The locked packages start the pages of MLflow."""

import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from socket import socket
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from repository import environment


def free_port() -> int:
    with closing(socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def test_mlflow_answers_within_a_minute(tmp_path):
    """As `make ui` starts it; Prefect's server is started by the tests of flows."""
    port = free_port()
    program = str(Path(sys.executable).parent / "mlflow")
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [program, "ui", "--host", "127.0.0.1", "--workers", "1", "--port", str(port)],
            cwd=tmp_path,
            env=environment(tmp_path),
            stdout=log,
            stderr=log,
        )
    try:
        for _ in range(180):
            assert process.poll() is None, (tmp_path / "log").read_text()
            try:
                with urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as answer:
                    assert answer.status == 200
                    return
            except (URLError, OSError):
                time.sleep(0.5)
        pytest.fail((tmp_path / "log").read_text())
    finally:
        process.terminate()
        process.wait(timeout=30)
