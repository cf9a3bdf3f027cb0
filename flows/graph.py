"""The DVC graph, read through DVC's own Python API: stages in the order of `dvc repro`, and which of them are stale."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Any

from flows.quicker import quicken


class Refusal(Exception):
    """What was asked for cannot be done; the sentence says why, and the mend."""


@dataclass(frozen=True)
class Stage:
    """One stage of dvc.yaml, its templates resolved."""

    name: str  # "train@new_words"
    needs: tuple[str, ...]  # stages whose outputs it reads
    always: bool  # runs every time: the digests of the code
    meta: dict[str, Any]  # cores, memory_gib, queue, gpus, gpu_gib, minutes
    cmd: str = ""
    deps: tuple[str, ...] = ()  # paths it reads
    outs: tuple[str, ...] = ()  # paths it makes
    params: dict[str, dict[str, Any]] = field(default_factory=dict)  # {"params.yaml": {"run": {...}}}, as dvc.lock has


def stages(root: Path) -> list[Stage]:
    """All stages of the repository at `root`, in the order in which `dvc repro` would run them."""
    from dvc.dependency import ParamsDependency
    from dvc.repo import Repo
    from dvc.repo.reproduce import collect_stages, get_active_graph, plan_repro

    quicken()  # else params.yaml is read anew for each stage
    with Repo(str(root)) as repo:
        graph = get_active_graph(repo.index.graph)
        plan = plan_repro(graph, collect_stages(repo, [str(root / "dvc.yaml")]))
        return [
            Stage(
                stage.name,
                tuple(sorted(needed.name for needed in graph.successors(stage))),
                stage.always_changed,
                stage.meta or {},
                stage.cmd,
                tuple(sorted(dep.def_path for dep in stage.deps if not isinstance(dep, ParamsDependency))),
                tuple(sorted(out.def_path for out in stage.outs)),
                {
                    dep.def_path: deepcopy(dict(sorted(dep.get_hash().value.items())))  # else YAML ties stages
                    for dep in sorted(stage.deps, key=attrgetter("def_path"))
                    if isinstance(dep, ParamsDependency)
                },
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
    """Run the dvc of this Python, as flows.quicker has it, and catch what it prints."""
    command = [sys.executable, "-m", "flows.quicker", *arguments]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


def entries(lock: Path) -> dict[str, Any]:
    """The entries of dvc.lock by stage, in its order; {} where there is none yet."""
    from dvc.utils.serialize import load_yaml

    return dict(load_yaml(str(lock)).get("stages", {})) if lock.exists() else {}


def write(lock: Path, found: Mapping[str, Any], before: Iterable[str], plan: Iterable[str]) -> None:
    """Write the entries `found` as dvc.lock, in the order that a serial `dvc repro` leaves.

    Entries that stood `before` keep their places, new ones follow in the order of `plan`.
    """
    from dvc.utils.serialize import dump_yaml

    order = dict.fromkeys([*before, *plan])
    if found:
        beside = lock.with_suffix(".beside")
        dump_yaml(str(beside), {"schema": "2.0", "stages": {name: found[name] for name in order if name in found}})
        beside.replace(lock)


def reason(printed: str) -> str:
    """Why a stage failed: the last line of its output that is not DVC's own."""
    lines = [line for line in printed.splitlines() if line.strip() and not line.startswith(("ERROR", "Use `dvc"))]
    own = [line for line in lines if "failed to reproduce" not in line and "failed to run" not in line]
    return (own or lines or ["it printed nothing"])[-1]
