"""The ledger and the metrics of every system, printed as tables."""

from __future__ import annotations

from pathlib import Path

from stages.core import params
from stages.report import collect
from stages.report.page import number


def show() -> None:
    """Print the claims, then each evaluated system's metrics, then where to look further."""
    from rich.console import Console
    from rich.table import Table

    values = params.load()
    console = Console()
    ledger = Table("", "system", "claim", "value", "target", "data", title="claims", title_justify="left")
    for row in collect.ledger(values["systems"]).to_pylist():
        sign = {"at least": "≥", "at most": "≤", "equal": "="}[row["direction"]]
        mark = "[green]yes[/]" if row["passed"] else "[red]no[/]"
        ledger.add_row(
            mark, row["system"], row["claim"], number(row["value"]), f"{sign} {number(row['target'])}", row["data"]
        )
    console.print(ledger)
    results = Table("system", "metric", "value", title="results", title_justify="left")
    for section in collect.sections("evaluate", values["systems"]):
        for name, value in section.metrics.items():
            results.add_row(section.key, name, number(value))
        results.add_section()
    console.print(results)
    console.print(f"page: {Path('reports/index.html').resolve()}")
    console.print("runs: make ui      metrics: dvc metrics show      what would run: qujing status")
