"""Crawl again and reproduce what that changes: the flow `refresh`, on a schedule.

Each chain of crawls in params.yaml (manual_1, manual_2 after it, ...) gets its next round, and whatever read the last
round reads the new one. A round asks only for what changed since the one before, so an unchanged site costs a few
requests and leaves every later stage as it was.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.states import Completed, State

from flows import branches, graph
from flows.editing import edited, move_tail
from flows.pipeline import bring
from flows.records import Entry, Records

CRAWLS = ("crawl", "embedded")
"""The kinds of rounds that are asked for again; a download is named by its content."""


@flow(name="refresh", persist_result=False)
def refresh(branch: str = "main", push: bool = True, here: bool = False) -> State:
    """Add a round to every crawl of the branch, bring its graph up to date, compare with before, and commit."""
    with branches.tip(branch) as root:
        lock = root / "dvc.lock"
        before = graph.entries(lock)
        added = next_rounds(root / "params.yaml")
        state = bring(root, here).state()
        if state.is_failed():
            return state
        rows = moved(before, graph.entries(lock), Records(root))
        create_table_artifact(key="comparison", table=rows, description="Metrics before and after this refresh.")
        said = branches.save(root, f"Refresh: {', '.join(added) or 'no crawl to repeat'}", branch, push)
        changed = sum(row["before"] != row["after"] for row in rows)
        return Completed(message=f"{state.message}; new: {', '.join(added) or 'none'}; {changed} metrics moved; {said}")


def next_rounds(path: Path) -> list[str]:
    """Add the next round of every chain of crawls to params.yaml; returns the new names.

    The row is that of the newest round, which it comes after; corpora and systems that read that one read the new one.
    """
    added = {}
    with edited(path) as values:
        rounds = values["rounds"]
        followed = {row["after"] for row in rounds.values()}
        for name, row in list(rounds.items()):
            numbered = re.fullmatch(r"(.+)_(\d+)", name)
            if numbered and row["kind"] in CRAWLS and f"rounds/{name}" not in followed:
                new = f"{numbered[1]}_{int(numbered[2]) + 1}"
                if not row["crawl"].anchor.value:
                    row["crawl"].yaml_set_anchor(name, always_dump=True)
                after = type(row)(kind=row["kind"], crawl=row["crawl"], after=f"rounds/{name}")
                move_tail(row, after)
                rounds.insert(list(rounds).index(name) + 1, new, after)
                added[f"rounds/{name}"] = f"rounds/{new}"
        for row in [*values["corpora"].values(), *values["systems"].values()]:
            for place in ("input", "against", "truth"):
                if row.get(place) in added:
                    row[place] = added[row[place]]
    return [new.removeprefix("rounds/") for new in added.values()]


def moved(before: Mapping[str, Entry], after: Mapping[str, Entry], records: Records) -> list[dict[str, Any]]:
    """The metrics of two versions of dvc.lock side by side."""
    old, new = metrics(before, records), metrics(after, records)
    return [{"metric": name, "before": old.get(name), "after": new.get(name)} for name in sorted({*old, *new})]


def metrics(entries: Mapping[str, Entry], records: Records) -> dict[str, float]:
    """All metrics that the entries name, as "new_words.f1"; what is not on the remote is left out."""
    found: dict[str, float] = {}
    for entry in entries.values():
        for out in entry.get("outs", []):
            if out["path"].startswith("metrics/") and records.has(out["md5"]):
                values = json.loads(records.read(out["md5"]))
                found |= {f"{Path(out['path']).stem}.{name}": value for name, value in values.items()}
    return found
