"""Everything the report shows, read from results/ for the rows that params.yaml has now."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.core import claims, files, tables

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_SHOWN = 30
"""Rows of a table that the page shows; the whole table is in results/."""


@dataclass(frozen=True)
class Section:
    """One stage's findings."""

    key: str
    family: str
    kind: str
    metrics: dict[str, float]
    tables: dict[str, list[dict[str, Any]]]
    figures: dict[str, Path]


def sections(phase: str, rows: dict[str, Any], root: Path = Path("results")) -> list[Section]:
    """The findings of one phase, in the order of params.yaml; rows that have not run are left out."""
    found = []
    for key, row in rows.items():
        folder = root / phase / key
        if (folder / "metrics.json").exists():
            shown = {path.stem: _shown(path) for path in sorted(folder.glob("*.parquet")) if path.stem != "claims"}
            drawn = Path("plots") / key if phase == "evaluate" else folder
            figures = {path.stem: path for path in sorted(drawn.glob("*.png"))}
            metrics = files.read_json(folder / "metrics.json")
            found.append(Section(key, row.get("family", "corpora"), row["kind"], metrics, shown, figures))
    return found


def ledger(systems: dict[str, Any], root: Path = Path("results")) -> pa.Table:
    """All claims of the systems that params.yaml has, in its order."""
    import pyarrow as pa

    found = [tables.read(path) for key in systems if (path := root / "evaluate" / key / "claims.parquet").exists()]
    return pa.concat_tables(found) if found else claims.schema().empty_table()


def _shown(path: Path) -> list[dict[str, Any]]:
    return tables.read(path).slice(0, ROWS_SHOWN).to_pylist()
