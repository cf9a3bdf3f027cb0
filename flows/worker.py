"""A machine that takes stages: `python -m flows.worker --queue gpu --gpu 0` (or `make worker QUEUE=gpu GPU=0`).

It polls the work pool of its queue for runs that were placed on it, and is a plain Prefect process worker otherwise.
Needs of the machine: this clone with its packages, git access to `origin`, the DVC remote, PREFECT_API_URL, and
MLFLOW_TRACKING_URI (or QUJING_TRACKING=off).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from multiprocessing import Process
from pathlib import Path
from typing import Any

from flows import devices, warm
from flows.devices import Device, NoDevice

HEARTBEAT = "10"
"""Seconds between the signs of life of a worker; the environment may say otherwise."""


def main(arguments: list[str]) -> int:
    """Start the worker and stay until it is stopped; returns the exit code."""
    parse = argparse.ArgumentParser(prog="python -m flows.worker", description=__doc__)
    parse.add_argument(
        "--queue", default="cpu", help="the work pool: what stages say in meta.queue, or `head` for flows"
    )
    parse.add_argument("--gpu", default="", help="indices of this machine's GPUs, as in 0,1; with --queue gpu")
    parse.add_argument("--gib", type=int, help="memory of each GPU where nvidia-smi is not to be asked")
    parse.add_argument(
        "--slots", type=int, help="stages at once: by default the cores, on GPUs as many as memory takes"
    )
    parse.add_argument("--name", default="", help="of the worker; by default host, queue and GPUs")
    asked = parse.parse_args(arguments)
    if not os.environ.get("PREFECT_API_URL"):
        print("PREFECT_API_URL is not set: `make server` prints it", file=sys.stderr)
        return 1
    indices = [index for index in asked.gpu.split(",") if index]
    try:
        own = devices.found(indices, asked.gib) if indices else []
    except NoDevice as error:
        print(error, file=sys.stderr)
        return 1
    name = asked.name or "-".join([socket.gethostname(), asked.queue, *indices])
    slots = asked.slots or (16 * len(own) if own else os.cpu_count() or 1)
    hold = Path(".spool") / f"worker-{name}.lock"
    hold.parent.mkdir(exist_ok=True)
    with hold.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"a worker named {name} runs already: stop it, or give this one another --name", file=sys.stderr)
            return 1
        return work(asked.queue, name, slots, own)


def work(queue: str, name: str, slots: int, own: list[Device]) -> int:
    """Register what this machine has, then run Prefect's worker and the warm process beside it until one ends."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # started with `&` it would be ignored, here and below
    os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "INFO"  # what stages print is their log
    announce(queue, name, slots, own)
    with tempfile.TemporaryDirectory(prefix="qujing-") as folder:
        address = Path(folder) / "warm"
        os.environ |= {
            "QUJING_HOME": str(Path.cwd()),
            "QUJING_DEVICES": devices.to_text(own),
            warm.SOCKET: str(address),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }
        os.environ.setdefault("PREFECT_WORKER_QUERY_SECONDS", "1")
        os.environ.setdefault("PREFECT_WORKER_HEARTBEAT_SECONDS", HEARTBEAT)
        forks = Process(target=warm.serve, args=(address,), name="warm")
        forks.start()
        while forks.is_alive() and not address.exists():
            time.sleep(0.05)
        queues = ["--work-queue", name] if queue != "head" else []
        command = [sys.executable, "-m", "prefect", "worker", "start", "--type", "process", "--pool", queue]
        command += ["--name", name, "--limit", str(slots), *queues]
        worker = subprocess.Popen(command, preexec_fn=warm.die_along)
        signal.signal(signal.SIGTERM, lambda number, frame: worker.send_signal(signal.SIGINT))
        try:
            print(f"{name} takes up to {slots} stages of `{queue}`; Ctrl-C stops it", flush=True)
            while worker.poll() is None and forks.is_alive():
                time.sleep(0.5)
            return worker.poll() or 0
        except KeyboardInterrupt:
            return 130
        finally:
            _stop(worker)
            forks.terminate()
            forks.join()


def announce(queue: str, name: str, slots: int, own: list[Device]) -> None:
    """Make the pool, this worker's own queue in it and its devices known to the Prefect server; all may stand.

    What the server takes to run here ended with the worker of this name before, and is told so.
    """
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.client.schemas.filters import FlowRunFilter
    from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
    from prefect.states import Crashed

    devices.register(own)

    left = {"work_queue_name": {"any_": [name]}, "state": {"type": {"any_": ["PENDING", "RUNNING", "CANCELLING"]}}}

    async def register() -> None:
        async with get_client() as client:
            with contextlib.suppress(ObjectAlreadyExists):
                await client.create_work_pool(WorkPoolCreate(name=queue, type="process"))
            said = devices.to_text(own)
            try:
                found = await client.read_work_queue_by_name(name, work_pool_name=queue)
                await client.update_work_queue(found.id, concurrency_limit=slots, description=said)
            except ObjectNotFound:
                await client.create_work_queue(name, work_pool_name=queue, concurrency_limit=slots, description=said)
            for run in await client.read_flow_runs(flow_run_filter=FlowRunFilter.model_validate(left)):
                await client.set_flow_run_state(run.id, Crashed(message=f"{name} was started anew"), force=True)

    if queue != "head":
        asyncio.run(register())


def _stop(worker: subprocess.Popen[Any]) -> None:
    """Let Prefect's worker end what it runs, and make sure of it."""
    if worker.poll() is None:
        worker.send_signal(signal.SIGINT)
    try:
        worker.wait(timeout=30)
    except subprocess.TimeoutExpired:
        worker.kill()
        worker.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
