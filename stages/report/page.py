"""The static page: reports/index.html with its pictures, and the ledger as reports/claims.csv."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from stages.core import files, params
from stages.report import collect, picture


def write(out: Path) -> None:
    """Write the report into the folder `out`, replaced as a whole."""
    import jinja2
    import pyarrow.csv as csv

    values = params.load()
    systems = values["systems"]
    ledger = collect.ledger(systems)
    evaluated = collect.sections("evaluate", systems)
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["number"] = number
    with files.replacing(out) as beside:
        (beside / "figures").mkdir(parents=True)
        csv.write_csv(ledger, beside / "claims.csv")
        (beside / "graph.svg").write_text(picture.svg(values), encoding="utf-8")
        for section in evaluated:
            for name, path in section.figures.items():
                shutil.copyfile(path, beside / "figures" / f"{section.key}-{name}.png")
        page = environment.get_template("page.html.jinja").render(
            claims=ledger.to_pylist(),
            graph=picture.svg(values),
            crawled=collect.sections("crawl", values["rounds"]),
            corpora=collect.sections("preprocess", values["corpora"]),
            families=_by_family(evaluated),
        )
        (beside / "index.html").write_text(page, encoding="utf-8")


def number(value: Any) -> str:
    """A number for people: four significant places, thousands apart; texts as they are, nothing for None."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.1f}"


def _by_family(sections: list[collect.Section]) -> dict[str, list[collect.Section]]:
    families: dict[str, list[collect.Section]] = {}
    for section in sections:
        families.setdefault(section.family, []).append(section)
    return families
