"""The static pages: reports/index.html, one page a family, their pictures, and the ledger as reports/claims.csv."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.core import files, params
from stages.report import collect, picture

ALIKE = ("samples", "kl")
"""Figures that the rows of a kind show side by side: they are of the same noise, or on the same scale."""


@dataclass(frozen=True)
class Compared:
    """The rows of one kind, side by side."""

    sections: list[collect.Section]
    names: list[str]  # of metrics that two or more have
    figures: list[str]


def write(out: Path) -> None:
    """Write the report into the folder `out`, replaced as a whole."""
    import jinja2
    import pyarrow.csv as csv

    values = params.load()
    systems = values["systems"]
    ledger = collect.ledger(systems)
    evaluated = collect.sections("evaluate", systems)
    families = list(dict.fromkeys(section.family for section in evaluated))
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["number"] = number
    environment.globals |= {"families": families, "homes": {section.key: section.family for section in evaluated}}
    with files.replacing(out) as beside:
        (beside / "figures").mkdir(parents=True)
        csv.write_csv(ledger, beside / "claims.csv")
        (beside / "graph.svg").write_text(picture.svg(values), encoding="utf-8")
        for section in evaluated:
            for name, path in section.figures.items():
                shutil.copyfile(path, beside / "figures" / f"{section.key}-{name}.png")
        index = environment.get_template("index.html.jinja").render(
            claims=ledger.to_pylist(),
            graph=picture.svg(values),
            crawled=collect.sections("crawl", values["rounds"]),
            corpora=collect.sections("preprocess", values["corpora"]),
        )
        (beside / "index.html").write_text(index, encoding="utf-8")
        for family in families:
            mine = [section for section in evaluated if section.family == family]
            keys = {section.key for section in mine}
            claims = [claim for claim in ledger.to_pylist() if claim["system"] in keys]
            page = environment.get_template("family.html.jinja").render(
                family=family, sections=mine, claims=claims, compared=compared(mine)
            )
            (beside / f"{family}.html").write_text(page, encoding="utf-8")


def compared(sections: list[collect.Section]) -> dict[str, Compared]:
    """The kinds of which there are two rows or more, each with what these have in common."""
    found = {}
    for kind in dict.fromkeys(section.kind for section in sections):
        mine = [section for section in sections if section.kind == kind]
        if len(mine) > 1:
            counts = Counter(name for section in mine for name in section.metrics if not name.endswith("_deviation"))
            names = sorted(name for name, count in counts.items() if count > 1)
            figures = [name for name in ALIKE if any(name in section.figures for section in mine)]
            found[kind] = Compared(mine, names, figures)
    return found


def number(value: Any) -> str:
    """A number for people: four significant places, thousands apart; texts as they are, nothing for None."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.1f}"
