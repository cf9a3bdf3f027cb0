"""The locked packages start both servers."""

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


@pytest.mark.parametrize(
    ("command", "health"),
    [
        (["prefect", "server", "start", "--host", "127.0.0.1"], "/api/health"),
        (["mlflow", "ui", "--host", "127.0.0.1", "--workers", "1"], "/health"),
    ],
    ids=["prefect", "mlflow"],
)
def test_a_server_answers_within_a_minute(tmp_path, command, health):
    port = free_port()
    program = str(Path(sys.executable).parent / command[0])
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [program, *command[1:], "--port", str(port)],
            cwd=tmp_path,
            env=environment(tmp_path),
            stdout=log,
            stderr=log,
        )
    try:
        for _ in range(180):
            assert process.poll() is None, (tmp_path / "log").read_text()
            try:
                with urlopen(f"http://127.0.0.1:{port}{health}", timeout=2) as answer:
                    assert answer.status == 200
                    return
            except (URLError, OSError):
                time.sleep(0.5)
        pytest.fail((tmp_path / "log").read_text())
    finally:
        process.terminate()
        process.wait(timeout=30)
