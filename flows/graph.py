"""The DVC graph, read through DVC's own Python API: stages in the order of `dvc repro`, and which of them are stale."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Stage:
    """One stage of dvc.yaml, its templates resolved."""

    name: str  # "train@new_words"
    needs: tuple[str, ...]  # stages whose outputs it reads
    always: bool  # runs every time: the digests of the code
    meta: dict[str, Any]  # cores, memory_gib, queue, gpu_gib, minutes


def stages(root: Path) -> list[Stage]:
    """All stages of the repository at `root`, in the order in which `dvc repro` would run them."""
    from dvc.repo import Repo
    from dvc.repo.reproduce import collect_stages, get_active_graph, plan_repro

    with Repo(str(root)) as repo:
        graph = get_active_graph(repo.index.graph)
        plan = plan_repro(graph, collect_stages(repo, ["dvc.yaml"]))
        return [
            Stage(
                stage.addressing,
                tuple(sorted(needed.addressing for needed in graph.successors(stage))),
                stage.always_changed,
                stage.meta or {},
            )
            for stage in plan
        ]


def stale(root: Path) -> dict[str, Any]:
    """What `dvc status` finds changed, by stage: {} means that everything stands as dvc.lock says."""
    done = dvc(root, "status", "--json")
    if done.returncode:
        raise RuntimeError(f"dvc status failed: {done.stderr.strip()}")
    return json.loads(done.stdout or "{}")


def dvc(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the dvc of this Python and catch what it prints."""
    command = [sys.executable, "-m", "dvc", *arguments]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


def reorder(lock: Path, before: list[str], plan: list[str]) -> None:
    """Bring the entries of dvc.lock into the order that a serial `dvc repro` leaves.

    Entries that stood `before` keep their places, new ones follow in the order of `plan`.
    """
    from dvc.utils.serialize import dump_yaml, load_yaml

    if not lock.exists():
        return
    content = load_yaml(str(lock))
    entries = content.get("stages", {})
    order = [*before, *(name for name in plan if name not in before)]
    content["stages"] = {name: entries[name] for name in order if name in entries}
    dump_yaml(str(lock), content)


def entries(lock: Path) -> list[str]:
    """The names in dvc.lock, in its order."""
    from dvc.utils.serialize import load_yaml

    return list(load_yaml(str(lock)).get("stages", {})) if lock.exists() else []
