"""What would run, why, and about how long: `python -m flows.status [--json]` (or `qujing status`).

A stage surely runs when its code, params, graph or data changed, or an output is gone; perhaps when one before it runs,
for that may make the same bytes again. What is only not here, but in the cache or on the DVC remote, does not run.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from flows import graph, known, why
from flows.graph import Stage
from flows.recipes import related

MEASURED = Path(".spool/measured")
"""Where the runner leaves what each stage last cost on this machine, for stages that MLflow knows nothing of."""

SHOWN = 6
"""Reasons of one stage that the table shows."""


@dataclass(frozen=True)
class Line:
    """One stage that is not as dvc.lock says."""

    stage: str
    state: str  # run, perhaps, pull (it lies on the remote), checkout (it lies in the cache)
    why: tuple[str, ...]
    seconds: float | None  # that it took last time


def lines(
    plan: Sequence[Stage],
    locked: Mapping[str, Any],
    changed: Mapping[str, Any],
    last: Mapping[str, float],
    there: Callable[[set[str]], set[str]],
) -> list[Line]:
    """The stages of `plan` that are not up to date, in order.

    `changed` is what `dvc status` says, `last` seconds by stage; `there` tells which md5s the remote has.
    """
    digests = {out for stage in plan if stage.always for out in stage.outs}
    made = {out for stage in plan for out in stage.outs}
    firm, lost = {}, {}
    for stage in plan:
        if not stage.always:
            firm[stage.name] = _reasons(stage, locked.get(stage.name), changed.get(stage.name, []), digests, made)
            lost[stage.name] = _lost(locked.get(stage.name), changed.get(stage.name, []))
    asked = {md5 for name, outs in lost.items() if not firm[name] for md5, cached in outs.values() if not cached}
    on_remote = there(asked) if asked else set()
    found: dict[str, Line] = {}
    for stage in plan:
        name, seconds = stage.name, last.get(stage.name)
        if stage.always:
            continue
        gone = [out for out, (md5, cached) in lost[name].items() if not cached and md5 not in on_remote]
        after = [need for need in stage.needs if need in found and found[need].state in ("run", "perhaps")]
        if firm[name] or gone:
            found[name] = Line(name, "run", firm[name] or (f"output {', '.join(gone)} missing",), seconds)
        elif after:
            found[name] = Line(name, "perhaps", (f"after {', '.join(after)}",), seconds)
        elif lost[name]:
            here = all(cached for _, cached in lost[name].values())
            place = ("in the cache", "dvc checkout") if here else ("on the remote", "dvc pull")
            found[name] = Line(name, place[1].split()[1], (f"not here, {place[0]}: {place[1]}",), seconds)
    return list(found.values())


def _reasons(stage: Stage, entry: Any, said: list[Any], digests: set[str], made: set[str]) -> tuple[str, ...]:
    """Why it surely runs: () where it does not, or where only outputs are gone."""
    if entry is None:
        return ("new stage",)
    old, deps, outs = why.locked(stage.name, entry), _of("changed deps", said), _of("changed outs", said)
    code = {path for path in deps if any(related(out, path) for out in digests)}
    found = [f"code of {stage.name}"] if code else []
    found += [f"params {line}" for line in why.params(old.params, stage.params)] + why.graph(old, stage)
    for path, state in deps.items():
        if state == "modified" and path in old.deps and path not in code:
            found.append(f"data {path}")
        elif state == "deleted" and not any(related(out, path) for out in made):
            found.append(f"data {path} missing")
    found += [f"output {out} changed" for out, state in outs.items() if state == "modified"]
    return tuple(found)


def _lost(entry: Any, said: list[Any]) -> dict[str, tuple[str, bool]]:
    """Outputs that are not where they were: path -> md5, and whether the cache has it."""
    md5s = {out["path"]: out["md5"] for out in (entry or {}).get("outs", [])}
    states = _of("changed outs", said).items()
    return {path: (md5s[path], state == "deleted") for path, state in states if path in md5s and state != "modified"}


def _of(kind: str, said: list[Any]) -> dict[str, Any]:
    return next((part[kind] for part in said if isinstance(part, dict) and kind in part), {})


def seconds(plan: Sequence[Stage], found: Sequence[Line]) -> dict[str, float]:
    """Seconds of what surely runs, of what perhaps runs, and of both side by side: the longest path."""
    costs = {line.stage: line.seconds or 0.0 for line in found if line.state in ("run", "perhaps")}
    ends: dict[str, float] = {}
    for stage in plan:
        before = max((ends.get(need, 0.0) for need in stage.needs), default=0.0)
        ends[stage.name] = before + costs.get(stage.name, 0.0)
    sums = {state: sum(line.seconds or 0.0 for line in found if line.state == state) for state in ("run", "perhaps")}
    return {**sums, "side_by_side": max(ends.values(), default=0.0)}


def durations(answer: str) -> dict[str, float]:
    """Seconds by stage: what `python -m stages.tracked durations` printed, and what was left on this machine."""
    here = {path.stem: json.loads(path.read_text()) for path in MEASURED.glob("*.json")}
    return {stage: cost["seconds"] for stage, cost in {**here, **json.loads(answer or "{}")}.items()}


def main(arguments: Sequence[str]) -> int:
    """Print the table, or JSON with `--json`; exit code 0, 1 where the graph cannot be read."""
    root = Path(".").resolve()
    asked = subprocess.Popen([sys.executable, "-m", "stages.tracked", "durations"], stdout=subprocess.PIPE, text=True)
    digests = subprocess.Popen([sys.executable, "-m", "stages.code"])
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        plan, locked = graph.stages(root), graph.entries(root / "dvc.lock")
        if digests.wait():
            return 1
        with Repo(str(root)) as repo:
            changed = repo.status()
    except DvcException as error:
        print(f"status: {error}", file=sys.stderr)
        return 1
    if all(stage.always for stage in plan if stage.name in changed):
        asked.kill()  # nothing is to be timed
    last = durations(asked.communicate()[0])
    found = lines(plan, locked, changed, last, lambda md5s: known.there(root, md5s))
    if "--json" in arguments:
        print(json.dumps({"stages": [asdict(line) for line in found], "seconds": seconds(plan, found)}, indent=2))
    else:
        show(found, seconds(plan, found))
    return 0


def show(found: Sequence[Line], took: Mapping[str, float]) -> None:
    """Print what would run as a table, what is only not here in a line."""
    from rich.console import Console
    from rich.table import Table

    console, table = Console(highlight=False), Table("stage", "why", "last took")
    runs = [line for line in found if line.state in ("run", "perhaps")]
    for line in runs:
        said = [*line.why[:SHOWN], *[f"and {len(line.why) - SHOWN} more"] * (len(line.why) > SHOWN)]
        reasons = ("perhaps, " if line.state == "perhaps" else "") + "\n".join(said)
        table.add_row(line.stage, reasons, "unknown" if line.seconds is None else f"{line.seconds:.0f} s")
    if runs:
        console.print(table)
        console.print(totals(runs, took), soft_wrap=True)
    for state, place in {"checkout": "in the cache: dvc checkout", "pull": "on the remote: dvc pull"}.items():
        if count := sum(line.state == state for line in found):
            console.print(f"{count} stages are up to date, their outputs not here but {place}")
    if not found:
        console.print("Everything is up to date.")


def totals(runs: Sequence[Line], took: Mapping[str, float]) -> str:
    """One sentence: how many stages, and how long."""
    timed = [line for line in runs if line.seconds is not None]
    parts = []
    for state, what in {"run": "to run", "perhaps": "more perhaps"}.items():
        if count := sum(line.state == state for line in runs):
            cost = f", about {took[state]:.0f} s" * any(line.state == state for line in timed)
            parts.append(f"{count} {what}{cost}")
    if len(timed) > 1:
        parts.append(f"about {took['side_by_side']:.0f} s side by side")
    if len(timed) < len(runs):
        parts.append(f"{len(runs) - len(timed)} never timed, not counted")
    return "; ".join(parts)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
