"""Python programs that start at once: `python -m flows.warm MODULE [ARGUMENTS]`.

A worker starts one process that has imported Prefect and DVC (`serve`), `flows.ahead` one that has imported what
stages import. Each program is a fork of it, and saves the seconds that the imports cost. Where no such process runs,
the program is started like any other. A program runs in a session of its own; when its caller dies or is told to stop,
so is everything that it started.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import gc
import json
import os
import random
import runpy
import select
import signal
import socket
import subprocess
import sys
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

SOCKET = "QUJING_WARM"
"""The variable that says where the warm process listens."""

GRACE = 15.0
"""Seconds that a program has between being told to stop and being killed."""


def run(
    arguments: Sequence[str],
    cwd: Path | None = None,
    output: int | None = None,
    more: Mapping[str, str] | None = None,
    forward: bool = False,
) -> int:
    """Run `python -m ARGUMENTS` to its end and return its exit code (128 + N where signal N ended it).

    `output` is a file descriptor for all that it prints, `more` is added to its environment. It is stopped when this
    process dies or leaves the call; with `forward` SIGTERM and SIGINT are passed on to it, and it is waited for.
    """
    folder, environment = str(cwd or Path.cwd()), {**os.environ, **(more or {})}
    address = os.environ.get(SOCKET)
    out, err = (1, 2) if output is None else (output, output)
    if address is None or not Path(address).exists():
        command = [sys.executable, "-m", *arguments]
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=out, stderr=err, start_new_session=True, preexec_fn=die_along
        )
        try:
            if forward:
                _forward(partial(os.killpg, process.pid))
            return _shell_code(process.wait())
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL if process.poll() is not None else signal.SIGTERM)
            process.wait()
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(address)
        request = json.dumps({"arguments": list(arguments), "cwd": folder, "environment": environment}).encode()
        fds = array.array("i", [0, out, err])
        line.sendmsg([len(request).to_bytes(4, "big")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
        line.sendall(request)
        if forward:
            _forward(lambda number: line.send(bytes([number])))
        answer = line.recv(1)
        return answer[0] if answer else 1


def _forward(send: Callable[[int], object]) -> None:
    """Let `send` have the signals that would stop this process."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: send(number))


def serve(address: Path, load: Callable[[], object] | None = None) -> NoReturn:
    """Import what programs need (`load`, or else Prefect) and DVC, then fork one for each request on `address`."""
    die_along()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal; whoever asked for a program passes it on
    (load or _prefect)()
    _dvc()
    gc.collect()
    gc.freeze()  # else each fork, tidying up, would look at all that was imported, and copy it
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    address.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(address))
        door.listen(64)
        while True:
            line, _ = door.accept()
            with line:
                if os.fork() == 0:
                    door.close()
                    os._exit(_attend(line))


def _dvc() -> None:
    """Import DVC, and the S3 client where it is installed."""
    import dulwich.client
    import dulwich.worktree
    import dvc.cachemgr
    import dvc.data_cloud
    import dvc.repo.artifacts
    import dvc.repo.datasets
    import dvc.repo.graph
    import dvc.repo.index
    import dvc.repo.metrics
    import dvc.repo.params
    import dvc.repo.plots
    import dvc.repo.pull
    import dvc.repo.push
    import dvc.repo.reproduce
    import dvc.repo.stage
    import dvc.repo.trie
    import dvc.repo.worktree
    import dvc.rwlock
    import dvc.scm
    import dvc.utils.strictyaml
    import dvc_data.hashfile.status
    import dvc_data.hashfile.tree
    import dvc_data.index.checkout
    import dvc_data.index.fetch
    import dvc_data.index.push
    import dvc_render.vega
    import fsspec.implementations.memory
    import networkx
    import platformdirs
    import ruamel.yaml
    import scmrepo.git

    with contextlib.suppress(ImportError):
        import dvc_s3
        import s3fs


def _prefect() -> None:
    """Import what a worker runs."""
    import prefect.artifacts
    import prefect.events
    import prefect.flow_engine

    import flows.stage


def _attend(line: socket.socket) -> int:
    """Fork the program that a request asks for, pass signals on to it, and answer with its exit code."""
    die_along()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    head, ancillary, *_ = line.recvmsg(4, socket.CMSG_SPACE(3 * 4))
    fds = array.array("i")
    fds.frombytes(ancillary[0][2])
    request = b""
    while len(request) < int.from_bytes(head, "big"):
        request += line.recv(1 << 16)
    program = os.fork()
    if program == 0:
        line.close()
        os._exit(_become(json.loads(request), fds))
    for fd in fds:
        os.close(fd)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(program, signal.SIGTERM))
    ended, told = os.pidfd_open(program), False
    while True:
        watched: list[Any] = [ended] if told else [ended, line]
        ready, *_ = select.select(watched, [], [], GRACE if told else None)
        if ended in ready:
            break
        if line in ready:
            number = line.recv(1)
            told = not number
            _tell(program, number[0]) if number else os.kill(program, signal.SIGTERM)
        else:
            os.kill(program, signal.SIGKILL)
    _, status = os.waitpid(program, 0)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(program, signal.SIGKILL)  # what it left behind
    with contextlib.suppress(OSError):
        line.send(bytes([_shell_code(os.waitstatus_to_exitcode(status))]))
    return 0


def _tell(program: int, number: int) -> None:
    """Send a signal to the program and to what it started, as a terminal does: DVC leaves SIGINT to its stage."""
    try:
        os.killpg(program, number)
    except ProcessLookupError:  # not yet a session of its own
        os.kill(program, number)


def _become(request: dict[str, Any], fds: Sequence[int]) -> int:
    """Turn this fork into the program: its session, folder, environment and output."""
    os.setsid()
    die_along()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, fd in enumerate(fds):
        os.dup2(fd, number)
        os.close(fd)
    os.chdir(request["cwd"])
    sys.path[0] = request["cwd"]
    os.environ.clear()
    os.environ.update(request["environment"])
    module, *rest = request["arguments"]
    sys.argv = [module, *rest]
    random.seed()
    warnings.filterwarnings("ignore", message=".*found in sys.modules", category=RuntimeWarning)
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        return 0
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def die_along() -> None:
    """Ask Linux to send this process SIGTERM when its parent dies."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def _shell_code(code: int) -> int:
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    die_along()
    sys.exit(run(sys.argv[1:], forward=True))
