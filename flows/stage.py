"""One stage on the machine it lands on: the flow behind the deployments `stage/cpu`, `stage/gpu`, ...

The worker's clone gives it a work tree of the run's commit. It pulls the inputs, reproduces the stage, pushes what came
out and records its entry of dvc.lock, from which whoever asked for it goes on.
"""

from __future__ import annotations

import json
import os
import re
import socket
import threading
from collections import deque
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.artifacts import create_link_artifact
from prefect.logging import get_run_logger
from prefect.states import Completed, Failed, State

from flows import devices, graph, trees, warm
from flows.devices import NoDevice
from flows.trees import GitError

AGAIN = "Unreachable"
"""The name of a failed state after which another try may help: a host or the DVC remote did not answer."""

ELSEWHERE = "Unfit machine"
"""The name of a failed state after which another machine may help: a full disk, no such commit, other packages."""


@flow(name="stage", persist_result=False, validate_parameters=False)
def stage(
    name: str,
    commit: str,
    key: str,
    entries: dict[str, Any],
    inputs: list[str],
    files: dict[str, str],
    cores: float = 1,
    gpus: int = 1,
    gpu_gib: float = 0,
    environment: dict[str, str] | None = None,
) -> State:
    """Reproduce the stage `name` of `commit`, whose inputs are as `entries` of dvc.lock say; returns a Prefect state.

    `key` is what the record of it will be found under, `inputs` are the outputs to pull, `files` small files to write
    (digests of code); it needs `cores`, `gpus` and `gpu_gib` of each, and sees `environment` besides the worker's.
    """
    home, log = Path(os.environ.get("QUJING_HOME", ".")).resolve(), get_run_logger()
    here, own = socket.gethostname(), devices.of_worker()
    measured = home / ".spool/measured" / f"{name}.json"
    try:
        with trees.alone(home, name), trees.tree(home, commit) as tree:
            if _packages(home) != _packages(tree):
                message = (
                    f"{home} on {here} has another requirements.lock than the commit: update it and run make there"
                )
                return Failed(name=ELSEWHERE, message=message)
            for path, text in files.items():
                (tree / path).parent.mkdir(parents=True, exist_ok=True)
                (tree / path).write_text(text)
            graph.write(tree / "dvc.lock", entries, entries, [])
            measured.unlink(missing_ok=True)
            with devices.held(own, gpu_gib, gpus) if own else nullcontext("") as visible:
                more = {**(environment or {}), "CUDA_VISIBLE_DEVICES": visible}
                code, printed = _logged(["flows.reproduce", name, key, *inputs], tree, more, log)
    except (GitError, NoDevice, OSError) as error:
        return Failed(name=ELSEWHERE, message=f"{here}: {error}")
    if code == 0:
        return Completed(message=f"{here}: {_told(measured, name, printed)}")
    full = "No space left" in printed
    state = AGAIN if code == os.EX_TEMPFAIL else ELSEWHERE if full else "Failed"
    return Failed(name=state, message=f"{here}: {graph.reason(printed)}")


def _logged(arguments: list[str], cwd: Path, more: dict[str, str], log: Any) -> tuple[int, str]:
    """Run a program, its output line by line into the log of the run; returns its exit code and its last lines."""
    reading, writing = os.pipe()
    last: deque[str] = deque(maxlen=200)

    def read() -> None:
        with open(reading, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                last.append(line.rstrip("\n"))
                log.info(last[-1])

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        code = warm.run(arguments, cwd, writing, more)
    finally:
        os.close(writing)
    reader.join(timeout=10)
    return code, "\n".join(last)


def _told(measured: Path, name: str, printed: str) -> str:
    """What the stage measured of itself, as a phrase; links the run to MLflow's where there is one."""
    if not measured.exists():
        return "restored from its cache" if "is cached" in printed else "done"
    facts = json.loads(measured.read_text())
    if facts.get("run"):
        slug = "mlflow-" + re.sub("[^a-z0-9]+", "-", name.lower())
        create_link_artifact(facts["run"], link_text=f"{name} in MLflow", key=slug)
    gpu = f", {facts['gpu_gib']:.1f} GiB of GPU memory" if facts.get("gpu_gib") else ""
    return f"{facts['seconds']:.1f} s, {facts['peak_gib']:.1f} GiB{gpu}"


def _packages(root: Path) -> str:
    lock = root / "requirements.lock"
    return lock.read_text() if lock.exists() else ""
