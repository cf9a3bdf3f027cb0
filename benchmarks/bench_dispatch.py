"""What it costs to dispatch a stage, against `dvc repro` on one machine: `python -m benchmarks.bench_dispatch`.

A graph of stages that do nothing, in three layers, is run by `dvc repro` and then over workers that are machines of
their own but for the processor: clones, caches, a Prefect server (SQLite) and an S3 remote on loopback. Two of the
machines' costs that real ones would not share are in it: all of them compute on this one.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import repository
from machines import Machines, toy


def graph(count: int) -> dict[str, dict[str, Any]]:
    """Stages in three layers, each reading one of the layer before."""
    wide = count // 3
    return {f"s{n}": {"needs": [f"s{n - wide}"] if n >= wide else []} for n in range(count)}


def main() -> None:
    """Print both times, the ratio, and where the time of a dispatched stage goes."""
    parse = argparse.ArgumentParser(description=__doc__)
    parse.add_argument("--stages", type=int, default=60)
    parse.add_argument("--workers", type=int, default=3)
    asked = parse.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        machines = Machines(Path(folder))
        try:
            bench(machines, asked.stages, asked.workers)
        finally:
            machines.close()


def bench(machines: Machines, count: int, workers: int) -> None:
    """Run both ways and print."""
    machines.found(lambda root: toy(graph(count), root))
    serial, head = machines.clone("serial"), machines.clone("head")
    began = time.perf_counter()
    repository.dvc(serial, "repro", "-q", **machines.settings)
    alone = time.perf_counter() - began
    machines.deploy(head)
    for number in range(workers):
        machines.worker(f"worker{number}", "--queue", "cpu", "--slots", "1")
    began = time.perf_counter()
    printed = machines.pipeline(head)
    over = time.perf_counter() - began
    assert printed.endswith("exit 0"), printed
    assert (head / "dvc.lock").read_bytes() == (serial / "dvc.lock").read_bytes()
    began = time.perf_counter()
    machines.pipeline(head)
    nothing = time.perf_counter() - began
    print(f"{count} stages that do nothing, the same dvc.lock:")
    print(f"  dvc repro, one machine      {alone:6.1f} s   {alone / count:5.2f} s a stage")
    print(
        f"  {workers} workers on this machine {over:7.1f} s   {over / count:5.2f} s a stage, ratio {over / alone:.2f}"
    )
    print(f"  nothing to do               {nothing:6.1f} s")
    spent = parts(machines)
    print("one dispatched stage, seconds (median, 90 %):")
    for name, values in spent.items():
        print(f"  {name:44} {statistics.median(values):5.2f} {statistics.quantiles(values, n=10)[-1]:6.2f}")


def parts(machines: Machines) -> dict[str, list[float]]:
    """Where the time of each dispatched stage went, from the times of its states."""
    found: dict[str, list[float]] = {
        "until the worker has seen it": [],
        "until its process runs": [],
        "in its process (tree, pull, stage, push, record)": [],
        "of all": [],
    }
    with machines.client() as client:
        for run in (run for run in client.read_flow_runs() if run.work_queue_name):
            answer = client.request("GET", "/flow_run_states/", params={"flow_run_id": str(run.id)}).json()
            at = {state["type"]: state["timestamp"] for state in reversed(answer)}
            times = [_seconds(at[name]) for name in ("SCHEDULED", "PENDING", "RUNNING", "COMPLETED")]
            steps = [after - before for before, after in itertools.pairwise(times)]
            for name, value in zip(found, [*steps, times[-1] - times[0]], strict=True):
                found[name].append(value)
    return found


def _seconds(moment: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(moment.replace("Z", "+00:00")).timestamp()


if __name__ == "__main__":
    main()
