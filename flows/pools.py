"""Stages on the machines of work pools, decided on here and computed there.

A stage is up to date where its entry of dvc.lock was made from what it would be made from now; it is restored where any
machine ever made it from that, and the remote still has it; else it goes to a worker. Nothing is computed here but the
digests of the code, and no output is fetched.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from flows import graph, records, trees
from flows.fleet import Fleet
from flows.graph import Refusal, Stage
from flows.placement import Job, request
from flows.records import Entry
from flows.saying import say


class Pools:
    """The place to run where there are machines: one commit of the graph at `root`, on the workers of `fleet`."""

    def __init__(
        self,
        root: Path,
        plan: list[Stage],
        fleet: Fleet,
        measured: Mapping[str, Mapping[str, float]],
        environment: dict[str, str] | None = None,
    ) -> None:
        self.root, self.plan, self.fleet = root, plan, fleet
        self._measured, self._environment = measured, environment or {}
        self._lock = root / "dvc.lock"
        for stage in plan:
            if stage.always:
                _digests(root, stage)
        self._before = list(graph.entries(self._lock))
        self._always = {out for stage in plan if stage.always for out in stage.outs}
        self.entries: dict[str, Entry] = graph.entries(self._lock)
        self._stages = {stage.name: stage for stage in plan}
        self._outs: dict[str, str] = {}  # of the stages that stand: path -> md5
        self._keys: dict[str, str] = {}
        self._jobs: dict[str, Job] = {}
        self.commit = trees.snapshot(root)
        if unknown := trees.unknown(root):
            say(f"git does not know {', '.join(unknown)}, so no worker will have it: `git add` what stages need")
        trees.publish(root, self.commit)

    def stands(self, stage: Stage) -> str | None:
        """`up to date` or `restored` where the stage need not run; its entry and outputs count from then on."""
        key = records.key_now(stage, self._outs, self.fleet.records, self.root)
        if key is None:
            raise Refusal(f"{stage.name} reads {', '.join(stage.deps)}, and not all of it is made by a stage")
        self._keys[stage.name] = key
        known = self.entries.get(stage.name)
        if known and records.key_of(known) == key and self._on_remote(stage.name, known):
            return self._stood(stage.name, known, "up to date")
        if found := self.fleet.records.find(key):
            return self._stood(stage.name, found, "restored")
        return None

    def start(self, stage: Stage) -> None:
        """Have a worker reproduce the stage."""
        made = {path for path in stage.deps if not path.startswith(tuple(f"{out}/" for out in self._always))}
        parameters = {
            "name": stage.name,
            "commit": self.commit,
            "key": self._keys[stage.name],
            "entries": {name: self.entries[name] for name in stage.needs if not self._stages[name].always},
            "inputs": sorted({target for path in made for target in self._targets(path)}),
            "files": {path: (self.root / path).read_text() for path in stage.deps if path not in made},
            "environment": self._environment,
            **request(stage, self._measured.get(stage.name, {}).get("gpu_gib")),
        }
        self._jobs[stage.name] = self.fleet.submit(stage, self._keys[stage.name], parameters)

    def ended(self) -> Iterator[tuple[str, str, str]]:
        """The stages that ended since this was asked last, each with what became of it, and why it failed."""
        self.fleet.tick()
        for name, job in list(self._jobs.items()):
            if job.state == "done" and job.entry:
                del self._jobs[name]
                yield name, self._stood(name, job.entry, "run"), ""
            elif job.state == "failed":
                del self._jobs[name]
                yield name, "failed", job.message

    def close(self, interrupted: bool) -> None:
        """Write what stands into dvc.lock, in the order that `dvc repro` leaves; stop what still runs."""
        if interrupted:
            self.fleet.cancel()
        graph.write(self._lock, self.entries, self._before, [stage.name for stage in self.plan])
        trees.withdraw(self.root, self.commit)

    def _stood(self, name: str, entry: Entry, how: str) -> str:
        if how != "up to date" and "params" in entry:
            # the same values, but where params.yaml repeats itself by an alias, DVC writes an alias too
            entry = {**entry, "params": self._stages[name].params}
        self.entries[name] = entry
        self._outs |= {out["path"]: out["md5"] for out in entry.get("outs", [])}
        return how

    def _on_remote(self, name: str, entry: Entry) -> bool:
        """Whether the remote has what an entry of dvc.lock names; what only this machine has is pushed."""
        has = self.fleet.records.has
        if all(has(out["md5"]) for out in entry.get("outs", [])):
            return True
        return graph.dvc(self.root, "push", name).returncode == 0 and all(has(o["md5"]) for o in entry["outs"])

    def _targets(self, path: str) -> list[str]:
        """What `dvc pull` is to be asked for, so that `path` is there: it, or all outputs below it."""
        below = [out for out in self._outs if out.startswith(path + "/")]
        inside = any(path == out or path.startswith(out + "/") for out in self._outs)
        return [path] if inside else below


def measured(root: Path) -> dict[str, dict[str, float]]:
    """What each stage last cost, as MLflow knows: {stage: {"seconds": ..., "gpu_gib": ...}}."""
    import json

    if os.environ.get("QUJING_TRACKING", "").lower() == "off":
        return {}
    command = [sys.executable, "-m", "stages.tracked", "durations"]
    done = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, text=True, check=False)
    return json.loads(done.stdout) if done.returncode == 0 and done.stdout.strip() else {}


def _digests(root: Path, stage: Stage) -> None:
    """Run the stage that needs no input and always runs: what is up to date depends on it."""
    done = graph.dvc(root, "--wait-for-lock", "repro", "--single-item", stage.name)
    if done.returncode:
        raise Refusal(f"{stage.name} failed: {graph.reason(done.stdout + done.stderr)}")


def where(root: Path) -> Any:
    """The DVC remote of the repository; a sentence where there is none."""
    from dvc.config import NoRemoteError

    found = records.Records(root)
    try:
        found.has("0" * 32)
    except NoRemoteError as error:
        raise Refusal(
            "machines hand data on through a DVC remote, and there is none: `dvc remote add -d NAME URL`"
        ) from error
    return found
