"""Processes that shall run until they are told to stop: started, waited for, started again when they die, stopped."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from flows import warm

QUICK = 30.0
"""A service that lived for less seconds than this died quickly."""

PATIENCE = 5
"""Quick deaths in a row after which a service is given up."""

START = 180.0
"""Seconds that a service may take until it answers: the first start makes its database."""

GRACE = 15.0
"""Seconds that a service has between being told to stop and being killed."""


class Died(Exception):
    """A service cannot be kept running; the sentence has the last lines of its log."""


@dataclass
class Service:
    """One process with the processes that it starts, in a session of their own; its output is added to `log`."""

    name: str
    command: Sequence[str]
    environment: dict[str, str]
    log: Path
    answers: Callable[[], bool]
    stop_signal: signal.Signals = signal.SIGTERM
    user: str | None = None  # to run as, where it is not the present one
    process: subprocess.Popen[bytes] | None = None
    began: float = 0.0
    deaths: int = 0  # quick ones in a row

    def start(self) -> None:
        """Start it and wait until it answers; raises `Died` where it does not."""
        self.launch()
        self.wait()

    def launch(self) -> None:
        """Start its process."""
        self.began = time.monotonic()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=self.log.parent,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=warm.die_along,
                user=self.user,
                group=self.user,
                extra_groups=() if self.user else None,
            )

    def wait(self) -> None:
        """Wait until it answers; raises `Died` where it ends before, or is silent for too long."""
        assert self.process, "launch comes first"
        while not self.answers():
            if self.process.poll() is not None:
                raise Died(f"{self.name} ended with exit code {self.process.returncode}: {self.last_lines()}")
            if time.monotonic() - self.began > START:
                raise Died(f"{self.name} did not answer within {START:.0f} s: {self.last_lines()}")
            time.sleep(0.2)

    def revive(self) -> None:
        """Start it again after it died; raises `Died` after too many quick deaths in a row."""
        while True:
            self.sweep()
            lived = time.monotonic() - self.began
            self.deaths = self.deaths + 1 if lived < QUICK else 0
            if self.deaths >= PATIENCE:
                raise Died(f"{self.name} died {self.deaths} times, each within {QUICK:.0f} s: {self.last_lines()}")
            print(f"{self.name} died after {lived:.0f} s and is started again, see {self.log}", flush=True)
            try:
                return self.start()
            except Died:
                time.sleep(min(2.0**self.deaths, 10))

    def dead(self) -> bool:
        """Whether its process has ended."""
        return self.process is None or self.process.poll() is not None

    def tell(self) -> None:
        """Tell it to stop."""
        if self.process and not self.dead():
            self.process.send_signal(self.stop_signal)

    def stop(self) -> None:
        """Tell it to stop and wait for it, and leave none of its processes behind."""
        self.tell()
        if self.process:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(GRACE)
            self.sweep()

    def sweep(self) -> None:
        """Kill what is left of its processes."""
        if self.process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def last_lines(self) -> str:
        """The end of its log."""
        return "\n" + "\n".join(self.log.read_text(errors="replace").splitlines()[-12:])


def supervise(services: Sequence[Service]) -> None:
    """Start what died again, for ever; raises `Died` where that is in vain, and what a signal's handler raises."""
    while True:
        for service in services:
            if service.dead():
                service.revive()
        time.sleep(0.5)


def stop(services: Sequence[Service]) -> None:
    """Stop all, the last started first, without being interrupted."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    for service in reversed(services):
        service.stop()
