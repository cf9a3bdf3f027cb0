"""Start one stage as several processes: torchrun, told to keep to this machine, and its failures told in a sentence.

The processes run the same command. What the first one prints, makes and finds out counts; the others only compute.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from stages.core import distributed, files
from stages.core.errors import Refusal, Unreachable
from stages.core.progress import say

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

ALONE = {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1", "GLOO_SOCKET_IFNAME": "lo", "NCCL_SOCKET_IFNAME": "lo"}
"""No server of torchrun's, which listens on every network; loopback for the rest, where the environment is silent."""


def launch(size: int, *command: str) -> None:
    """Run `python -m COMMAND` as `size` processes of this machine to their end; when one fails, all end.

    Raises the `Refusal` that a process raised, KeyboardInterrupt when stopped by hand, and SystemExit after a signal or
    after showing the tracebacks of a defect.
    """
    import logging

    from torch.distributed import run as torchrun
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    logging.disable()  # torchrun's own forty lines about a failure
    with tempfile.TemporaryDirectory(prefix="qujing-") as folder:
        os.environ |= {**ALONE, **os.environ, distributed.MEETING: f"file://{folder}/processes"}
        options = [
            f"--nproc-per-node={size}",
            "--rdzv-backend=c10d",
            f"--rdzv-endpoint={folder}/launcher",
            "--rdzv-conf=store_type=file,keep_alive_interval=3600",
            "--rdzv-id=stage",
            "--local-addr=127.0.0.1",
            "--local-ranks-filter=0",
            f"--log-dir={folder}",
        ]
        try:
            torchrun.run(torchrun.parse_args([*options, "-m", *command]))
        except ChildFailedError as error:
            _tell(error.failures.values())
        except SignalException as stopped:
            if stopped.sigval == signal.SIGINT:
                raise KeyboardInterrupt from None
            sys.exit(128 + stopped.sigval)


@contextmanager
def reported() -> Iterator[None]:
    """Around the work of one of the processes: it dies with `launch`, and what it raises is handed to `launch`.

    Has no effect in a process that torchrun did not start.
    """
    if distributed.world()[1] == 1:
        yield
        return
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: torchrun gives each process its own session
    try:
        yield
    except KeyboardInterrupt:
        os._exit(130)
    except Exception as error:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # torchrun's, for another's failure: half a report would break it
        from torch.distributed.elastic.multiprocessing.errors import get_error_handler

        get_error_handler().record_exception(error)
        os._exit(1)  # at once, not after threads that wait for the other processes


@contextmanager
def making(target: Path) -> Iterator[Path]:
    """The path to make `target` at: `files.replacing` in the first process, a folder to throw away in the others."""
    if distributed.world()[0] == 0:
        with files.replacing(target) as out:
            yield out
    else:
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=Path(".spool")) as scratch:
            yield Path(scratch) / target.name


def _tell(failures: Iterable[ProcessFailure]) -> None:
    """Raise the refusal among the failures of processes; of defects show the tracebacks, the cause last, and exit."""
    ended = list(failures)
    told = [failure for failure in ended if failure.exitcode != -signal.SIGTERM] or ended  # torchrun sends SIGTERM
    for failure in told:
        if isinstance(failure.message, dict):
            kind, _, sentence = failure.message["message"].partition(": ")
            if kind in ("Refusal", "Unreachable"):
                raise Unreachable(sentence) if kind == "Unreachable" else Refusal(sentence)
    for failure in sorted(told, key=_when, reverse=True):
        message = failure.message
        text = message["extraInfo"]["py_callstack"] if isinstance(message, dict) else message
        say(f"process {failure.local_rank} of the training: {text.rstrip()}")
    sys.exit(1)


def _when(failure: ProcessFailure) -> float:
    """When the process recorded what it raised; one that a signal ended recorded nothing and was the first."""
    path = Path(failure.error_file)
    return path.stat().st_mtime if path.exists() else 0.0
