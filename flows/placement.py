"""What a stage asks of a machine, what a worker has, and which worker gets which stage."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from flows.graph import Stage
from flows.records import Entry

MARGIN = 1.15
"""What is asked of a GPU for the peak that was measured last."""


@dataclass
class Job:
    """A stage that somebody waits for."""

    stage: Stage
    key: str
    parameters: dict[str, Any]
    state: str = "waiting"  # waiting, placed, done, failed
    message: str = ""  # why it failed
    entry: Entry | None = None  # of dvc.lock, when done
    worker: str = ""
    run: UUID | None = None  # the flow run it is placed as
    tries: int = 0
    avoid: set[str] = field(default_factory=set)  # workers that are unfit for it
    since: float = field(default_factory=time.monotonic)  # when it began to wait
    after: float = 0.0  # when it may be tried again

    @property
    def pool(self) -> str:
        """The work pool it goes to."""
        return str(self.stage.meta.get("queue", "cpu"))


@dataclass
class Worker:
    """What a worker has, and what is placed on it now."""

    name: str
    slots: int
    gib: list[int]  # of each of its GPUs
    cores_taken: float = 0
    gib_taken: float = 0
    runs: int = 0

    def can(self, job: Job) -> bool:
        """Whether the job would fit if the worker were free."""
        need = job.parameters["gpu_gib"]
        return not need or sum(gib >= math.ceil(need) for gib in self.gib) >= job.parameters["gpus"]

    def left(self, job: Job) -> float:
        """What would be left with the job on it, GiB of its GPUs or cores; negative where it would wait."""
        if self.runs >= self.slots:
            return -math.inf
        if job.parameters["gpu_gib"]:
            return sum(self.gib) - self.gib_taken - math.ceil(job.parameters["gpu_gib"]) * job.parameters["gpus"]
        return math.inf if self.gib else self.slots - self.cores_taken - min(job.parameters["cores"], self.slots)

    def take(self, parameters: dict[str, Any]) -> None:
        """Count what a run with these parameters takes."""
        self.runs += 1
        self.cores_taken += min(parameters.get("cores", 1), self.slots)
        self.gib_taken += math.ceil(parameters.get("gpu_gib", 0)) * parameters.get("gpus", 1)


def choose(job: Job, workers: Sequence[Worker]) -> tuple[Worker | None, bool]:
    """The worker to place the job on now, if any, and whether there is any that could take it at some time.

    Where it fits: the GPU on which it leaves the least over, the CPU worker with the most cores free. A job that wants
    a GPU and fits nowhere gets in line at one where nobody is in line yet, so that small ones cannot overtake it for
    ever.
    """
    able = [worker for worker in workers if worker.can(job) and worker.name not in job.avoid]
    able = [worker for worker in able if worker.name != job.worker] or able  # rather not where it was lost
    fitting = [worker for worker in able if worker.left(job) >= 0]
    if fitting:
        return min(fitting, key=lambda w: (w.left(job) if w.gib else -w.left(job), w.name)), True
    in_line = [worker for worker in able if worker.gib_taken <= sum(worker.gib) and worker.runs < worker.slots]
    if in_line and job.parameters["gpu_gib"]:
        return max(in_line, key=lambda w: (w.left(job), w.name)), True
    return None, bool(able)


def request(stage: Stage, measured: float | None) -> dict[str, Any]:
    """What a stage asks of a machine; of a GPU, what was measured last and a margin where there was a measurement."""
    asked = float(stage.meta.get("gpu_gib") or 0)
    gib = math.ceil(measured * MARGIN) if asked and measured else asked
    return {"cores": stage.meta.get("cores", 1), "gpus": int(stage.meta.get("gpus") or 1), "gpu_gib": gib}
