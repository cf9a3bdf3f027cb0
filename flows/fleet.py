"""The machines of all pools as one: stages are placed on workers, watched, and placed again when a worker is lost.

Every worker polls a work queue of its own name, and this module chooses the queue. So a stage that failed for its
machine's sake goes to another one, small GPU stages share the card on which they leave the least over, and a large one
gets its place in the line of a card. Whatever happens to a worker, the server or this process: what was done stands
recorded beside the data (flows/records.py), and asking again finds it.
"""

from __future__ import annotations

import math
import os
import time
from typing import Any
from uuid import UUID

from flows import devices
from flows.graph import Refusal, Stage
from flows.placement import Job, Worker, choose
from flows.records import Records
from flows.saying import say
from flows.stage import AGAIN, ELSEWHERE

SILENCE = float(os.environ.get("QUJING_SILENCE", "45"))
"""Seconds without a sign of life after which a worker counts as lost."""

PATIENCE = float(os.environ.get("QUJING_PATIENCE", "600"))
"""Seconds that a stage waits for any worker that could take it."""

TICK = 0.5
"""Seconds between looks at the server."""

TRIES = 4
"""How often a stage is started at most, where its failure may not be its own."""

PAUSES = (5.0, 20.0, 60.0)
"""Seconds before a stage is tried again after a host or the remote did not answer."""


class Fleet:
    """All jobs of this process; `tick` moves them on. Jobs with the same key are one."""

    def __init__(self, records: Records, parent: UUID | None = None) -> None:
        from prefect.client.orchestration import get_client

        self.records = records
        self.jobs: dict[str, Job] = {}
        self.parent = parent  # the flow run that the stages shall show under
        self._client: Any = get_client(sync_client=True)
        self._deployments: dict[str, UUID] = {}
        self._signs: dict[str, tuple[Any, float]] = {}  # worker -> last heartbeat, and when this process saw it
        self._workers: dict[str, list[Worker]] = {}
        self._busy: dict[UUID, Any] = {}  # the runs under way in our pools
        self._ticked, self._looked, self._away, self._said = 0.0, 0.0, 0.0, 0.0

    def submit(self, stage: Stage, key: str, parameters: dict[str, Any]) -> Job:
        """Have a stage reproduced, unless that is under way."""
        if key not in self.jobs or self.jobs[key].state == "failed":
            self.jobs[key] = Job(stage, key, parameters)
        return self.jobs[key]

    def tick(self) -> None:
        """Look at what runs, place what waits; a server that does not answer is waited for."""
        import httpx
        from prefect.exceptions import PrefectException

        open_ends = any(job.state in ("waiting", "placed") for job in self.jobs.values())
        if not open_ends or time.monotonic() - self._ticked < TICK:
            return
        self._ticked = time.monotonic()
        try:
            self._look()
            self._watch()
            self._place()
            self._away = 0.0
        except (httpx.TransportError, httpx.HTTPStatusError, PrefectException) as error:
            if isinstance(error, httpx.HTTPStatusError) and error.response.status_code < 500:
                raise
            if not self._away:
                say(f"the Prefect server does not answer, and is waited for: {error or type(error).__name__}")
            self._away = time.monotonic()
            self._signs = {name: (sign, math.inf) for name, (sign, _) in self._signs.items()}

    def cancel(self) -> None:
        """Stop all that runs."""
        from prefect.states import Cancelling

        for job in self.jobs.values():
            if job.run and job.state == "placed":
                self._client.set_flow_run_state(job.run, Cancelling(), force=True)

    def _look(self) -> None:
        """Which workers are alive, and what each has to do."""
        pools = {job.pool for job in self.jobs.values() if job.state in ("waiting", "placed")}
        if time.monotonic() - self._looked > 2.0 or not pools <= set(self._workers):
            self._looked = time.monotonic()
            self._workers = {pool: self._alive(pool) for pool in pools}
        named = {worker.name: worker for pool in pools for worker in self._workers[pool]}
        for worker in named.values():
            worker.runs, worker.cores_taken, worker.gib_taken = 0, 0, 0
        self._busy = {run.id: run for run in self._unfinished(pools)}
        for run in self._busy.values():
            if run.work_queue_name in named:
                named[run.work_queue_name].take(run.parameters)

    def _alive(self, pool: str) -> list[Worker]:
        found = []
        queues = {q["name"]: q for q in self._post(f"/work_pools/{pool}/queues/filter", limit=200)}
        for worker in self._client.read_workers_for_work_pool(pool):
            sign, seen = self._signs.get(worker.name, (None, -math.inf))
            if sign != worker.last_heartbeat_time or seen == math.inf:
                fresh = sign is not None or str(worker.status).upper().endswith("ONLINE")
                seen = time.monotonic() if fresh else -math.inf
                self._signs[worker.name] = (worker.last_heartbeat_time, seen)
            if time.monotonic() - seen < SILENCE and worker.name in queues:
                queue = queues[worker.name]
                gib = [device.gib for device in devices.from_text(queue["description"] or "")]
                found.append(Worker(worker.name, queue["concurrency_limit"] or 1, gib))
        return found

    def _unfinished(self, pools: set[str]) -> list[Any]:
        from prefect.client.schemas.filters import FlowRunFilter, WorkPoolFilter, WorkPoolFilterName
        from prefect.client.schemas.objects import StateType

        busy = {"type": {"any_": [StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]}}
        return self._client.read_flow_runs(
            flow_run_filter=FlowRunFilter.model_validate({"state": busy}),
            work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=sorted(pools))),
        )

    def _watch(self) -> None:
        """See what became of the placed jobs."""
        from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
        from prefect.states import Crashed

        placed = {job.run: job for job in self.jobs.values() if job.state == "placed" and job.run}
        alive = {worker.name for workers in self._workers.values() for worker in workers}
        for run in self._busy.values():  # also what another head left behind
            if run.work_queue_name in self._signs and run.work_queue_name not in alive:
                lost: Any = Crashed(message=f"{run.work_queue_name} gave no sign of life for {SILENCE:.0f} s")
                self._client.set_flow_run_state(run.id, lost, force=True)
                if run.id in placed:
                    self._ended(placed[run.id], lost)
        if ended := [run for run in placed if run not in self._busy]:
            for found in self._client.read_flow_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=ended))):
                if found.state.is_completed():
                    self._completed(placed[found.id])
                elif found.state.is_final():
                    self._ended(placed[found.id], found.state)

    def _completed(self, job: Job) -> None:
        job.entry = self.records.find(job.key)
        if job.entry is None:
            self._again(job, f"{job.worker} said it was done, but no record of it is on the remote", 0)
        else:
            job.state = "done"

    def _ended(self, job: Job, state: Any) -> None:
        """A run that ended otherwise: try it elsewhere, try it later, or give up."""
        said = state.message or state.name
        if job.entry or (entry := self.records.find(job.key)):  # it may have got that far
            job.entry, job.state = job.entry or entry, "done"
        elif state.is_cancelled():
            job.state, job.message = "failed", "it was cancelled"
        elif state.is_crashed():
            self._again(job, said, 0)
        elif state.name == ELSEWHERE:
            job.avoid.add(job.worker)
            self._again(job, said, 0)
        elif state.name == AGAIN:
            self._again(job, said, PAUSES[min(job.tries, len(PAUSES)) - 1])
        else:
            job.state, job.message = "failed", said

    def _again(self, job: Job, said: str, pause: float) -> None:
        job.message = said
        if job.tries >= TRIES:
            job.state, job.message = "failed", f"{said} (tried {job.tries} times)"
            return
        say(f"{job.stage.name} on {job.worker}: {said}; it is tried again")
        job.state, job.run, job.since = "waiting", None, time.monotonic()
        job.after = time.monotonic() + pause

    def _place(self) -> None:
        """Give waiting jobs to workers, in the order in which they came."""
        now = time.monotonic()
        for job in self.jobs.values():
            if job.state != "waiting" or now < job.after:
                continue
            workers = self._workers.get(job.pool, [])
            worker, able = choose(job, workers)
            if worker:
                self._start(job, worker)
            elif not able:
                self._nobody(job, workers, now)

    def _nobody(self, job: Job, workers: list[Worker], now: float) -> None:
        """No worker that lives can take the job: refuse it where that cannot change, else wait and say so."""
        need, most = job.parameters["gpu_gib"], max((max(w.gib, default=0) for w in workers), default=0)
        if workers and not any(worker.can(job) for worker in workers):
            devices_said = f"{job.parameters['gpus']} x {need:.0f} GiB of GPU memory"
            job.state = "failed"
            job.message = f"it asks for {devices_said}, and the largest device of the pool `{job.pool}` has {most} GiB"
        elif now - job.since > (SILENCE if job.avoid and workers else PATIENCE):
            job.state = "failed"
            job.message = job.message or f"no worker took it: start one with `make worker QUEUE={job.pool}`"
        elif now - self._said > 60 and not job.avoid:
            self._said = now
            say(f"{job.stage.name} waits for a worker: start one with `make worker QUEUE={job.pool}`")

    def _start(self, job: Job, worker: Worker) -> None:
        job.tries += 1
        run = self._client.create_flow_run_from_deployment(
            self._deployment(job.pool),
            name=job.stage.name,
            parameters=job.parameters,
            work_queue_name=worker.name,
            parent_task_run_id=self._placeholder(job),
            tags=[worker.name],
        )
        job.run, job.worker, job.state = run.id, worker.name, "placed"
        worker.take(job.parameters)

    def _placeholder(self, job: Job) -> UUID | None:
        """The task run by which Prefect shows a flow run below the one that asked for it."""
        from prefect import Task

        if self.parent is None:
            return None
        task = Task(name=job.stage.name, fn=lambda: None)
        dynamic = f"{job.stage.name}-{job.tries}-{job.key[:8]}"
        return self._client.create_task_run(task, self.parent, dynamic, name=job.stage.name).id

    def _deployment(self, pool: str) -> UUID:
        from prefect.exceptions import ObjectNotFound

        if pool not in self._deployments:
            try:
                self._deployments[pool] = self._client.read_deployment_by_name(f"stage/{pool}").id
            except ObjectNotFound as error:
                raise Refusal(
                    f"the server has no deployment stage/{pool}: add it to prefect.yaml, `prefect deploy --all`"
                ) from error
        return self._deployments[pool]

    def _post(self, path: str, **body: Any) -> Any:
        response = self._client._client.post(path, json=body)
        response.raise_for_status()
        return response.json()
