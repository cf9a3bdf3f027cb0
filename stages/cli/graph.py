"""Commands on the graph: what came out, what would run, what moved a metric, what is missing."""

from __future__ import annotations

import subprocess
import sys
from typing import Annotated

import typer

from stages.cli.app import app, refusing


@app.command()
def claims() -> None:
    """Show the ledger of claims and the metrics of the last run of the graph.

    Example: `qujing claims`
    """
    from stages.report import terminal

    with refusing():
        terminal.show()


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Show which stages would run, why, and about how long they took last time.

    Example: `qujing status`
    """
    raise typer.Exit(flows("status", *["--json"] * as_json))


@app.command()
def bisect(
    metric: Annotated[str, typer.Argument(help="NAME.KEY: the number KEY of metrics/NAME.json.")],
    good: Annotated[str, typer.Argument(help="An earlier commit, where the metric was as it should be.")],
    bad: Annotated[str, typer.Argument(help="A later commit, where it is not.")] = "HEAD",
) -> None:
    """Find the commit that moved a metric, and what in it: code, params, graph, data or environment.

    Results that any machine ever made are looked up; only what is still open is computed, beside your work tree.

    Example: `qujing bisect new_words.f1 v0.1 HEAD`
    """
    raise typer.Exit(flows("bisect", metric, good, bad))


def flows(name: str, *arguments: str) -> int:
    """Run a program of `flows`, which nothing here imports; its exit code."""
    return subprocess.run([sys.executable, "-m", f"flows.{name}", *arguments], check=False).returncode


@app.command()
def doctor() -> None:
    """Look at what is installed, reachable and configured, and say the mend for what is not.

    Example: `qujing doctor`
    """
    from rich.console import Console
    from rich.table import Table

    from stages.doctor import examine

    findings = examine()
    table = Table("", "what", "found", "mend")
    for name, (fine, found, mend) in findings.items():
        table.add_row("[green]fine[/]" if fine else "[red]mend[/]", name, found, "" if fine else mend)
    Console().print(table)
    raise typer.Exit(0 if all(fine for fine, _, _ in findings.values()) else 1)
