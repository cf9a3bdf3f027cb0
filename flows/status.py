"""What would run, why, and about how long it took last time: `python -m flows.status`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from flows import graph

SECONDS = Path(".spool/seconds")
"""Where the runner leaves how long each stage last took on this machine."""


def reasons(root: Path) -> dict[str, str]:
    """For each stage that would run, in order, why: its own changes, or the stages it comes after."""
    changed = graph.stale(root)
    found: dict[str, str] = {}
    for stage in graph.stages(root):
        after = [name for name in stage.needs if name in found]
        if stage.always:
            continue
        if stage.name in changed:
            found[stage.name] = _why(changed[stage.name])
        elif after:
            found[stage.name] = "perhaps, after " + ", ".join(after)
    return found


def _why(entries: list[Any]) -> str:
    """DVC's status of one stage as a phrase: "changed systems.x.train.order; missing models/x"."""
    said: dict[str, list[str]] = {}
    for entry in entries:
        if isinstance(entry, str):
            said.setdefault(entry, [])
            continue
        for things in entry.values():
            for name, state in things.items():
                if isinstance(state, dict):
                    for key, inner in state.items():
                        said.setdefault(inner, []).append(key)
                else:
                    said.setdefault({"deleted": "missing"}.get(state, state), []).append(name)
    return "; ".join(f"{state} {', '.join(names)}".strip() for state, names in said.items())


def main() -> int:
    """Print the table; exit code 0."""
    from rich.console import Console
    from rich.table import Table

    subprocess.run([sys.executable, "-m", "stages.code"], check=True)
    table = Table("stage", "why", "last took")
    total, unknown = 0.0, 0
    for name, why in reasons(Path(".")).items():
        last = SECONDS / name
        seconds = float(last.read_text()) if last.exists() else None
        total, unknown = total + (seconds or 0), unknown + (seconds is None)
        table.add_row(name, why, "unknown" if seconds is None else f"{seconds:.0f} s")
    console = Console()
    if not table.row_count:
        console.print("Everything is up to date.")
        return 0
    console.print(table)
    console.print(
        f"{table.row_count} stages, about {total:.0f} s" + (f" and {unknown} never timed here" * bool(unknown))
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
