"""The whole graph on this machine, stages side by side: `python -m flows.beside`, which `make repro` runs.

It does what `dvc repro` does, on all cores: a stage is a `dvc repro --single-item` of its own, begun as soon as its
inputs stand and cores and memory are free. Prefect has no part in it; dvc.lock ends as one `dvc repro` leaves it.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from flows import graph, local
from flows.budget import Budget
from flows.graph import Stage
from flows.local import Local
from flows.progress import Progress, drive, stop
from flows.saying import say

OWN = (
    "Running stage", "> ", "Updating lock", "Generating lock", "To track", "\tgit add", "Use `dvc", "Stage '",
    "To enable", "\tdvc config",
)  # fmt: skip
"""How DVC begins the lines that nobody misses."""


@dataclass
class Running:
    """A stage at work, and what it printed."""

    stage: Stage
    process: subprocess.Popen[str]
    printed: list[str] = field(default_factory=list)
    listener: threading.Thread = field(init=False)


class Beside(Local):
    """The place to run without Prefect: processes that are looked at now and then."""

    def __init__(self, root: Path, plan: list[Stage]) -> None:
        self._budget = Budget()
        self._waiting: list[Stage] = []
        self._running: list[Running] = []
        super().__init__(root, plan, self._alone)

    def start(self, stage: Stage) -> None:
        """Run the stage after those that wait already, as soon as cores and memory are free."""
        self._waiting.append(stage)

    def ended(self) -> Iterator[tuple[str, str, str]]:
        """The stages that ended since this was asked last, each with what became of it, and why it failed."""
        while self._waiting and self._budget.take(*local.needs(self._waiting[0])):
            self._run(self._waiting.pop(0))
        for run in [run for run in self._running if run.process.poll() is not None]:
            self._running.remove(run)
            self._budget.give(*local.needs(run.stage))
            yield run.stage.name, *self._told(run)

    def close(self, interrupted: bool) -> None:
        """Stop what still runs, and bring dvc.lock into the order that `dvc repro` leaves."""
        if interrupted:
            for run in self._running:
                run.process.send_signal(signal.SIGINT)
            for run in self._running:
                run.process.wait()
        self.order()

    def _alone(self, stage: Stage) -> None:
        self._run(stage)
        run = self._running.pop()
        run.process.wait()
        _, why = self._told(run)
        if why:
            raise graph.Refusal(f"{stage.name} failed: {why}")

    def _run(self, stage: Stage) -> None:
        process = subprocess.Popen(
            local.command(stage), cwd=self.root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True,
        )  # fmt: skip
        run = Running(stage, process)
        run.listener = threading.Thread(target=_listen, args=(run,), daemon=True)
        run.listener.start()
        self._running.append(run)

    def _told(self, run: Running) -> tuple[str, str]:
        """What became of a stage that has ended, and why it failed."""
        run.listener.join()
        printed = "".join(run.printed)
        return ("failed", graph.reason(printed)) if run.process.returncode else (local.outcome(printed), "")


def _listen(run: Running) -> None:
    """Pass on what a stage prints, under its name."""
    assert run.process.stdout is not None
    for line in run.process.stdout:
        run.printed.append(line)
        if line.strip() and not line.startswith(OWN):
            say(f"{run.stage.name}: {line.rstrip().removeprefix(f'{run.stage.name}: ')}")


def main() -> int:
    """Bring the graph of this folder up to date; exit code 0, 1 where a stage failed, 130 when stopped by hand."""
    signal.signal(signal.SIGINT, stop)
    root = Path.cwd()
    plan = graph.stages(root)
    try:
        run = Progress(plan, Beside(root, plan))
        drive([run])
    except KeyboardInterrupt:
        say("stopped; run it again to go on")
        return 130
    except graph.Refusal as refusal:
        say(str(refusal))
        return 1
    say(run.message())
    return 1 if run.open_ends else 0


if __name__ == "__main__":
    sys.exit(main())
