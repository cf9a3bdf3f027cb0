"""Closed forms of a list of quadratic recurrences, and how far off they are.

Article: https://kexue.fm/archives/3064; the constants are those of OEIS A003095, A003096, A100523 and of Sylvester's
sequence, for which a_n = floor(E^(2^(n + 1)) + 1/2).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import mpmath

from stages.classic.recurrences import series
from stages.classic.recurrences.quadratic import Recurrence, number
from stages.classic.recurrences.solve import Solution, off, solve
from stages.core import claims, files, tables
from stages.core.claims import Claim
from stages.core.systems import Findings, Inputs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ARCHIVE = 3064


@dataclass(frozen=True)
class Orbit:
    """a' = A a^2 + B a + C from a_0; numbers as texts, so that 1/3 and 0.1 are exact."""

    A: str
    B: str
    C: str
    start: str
    kind: str  # that it is expected to be of
    k: str  # the constant as published, "" where there is none


@dataclass(frozen=True)
class Recurrences:
    """Params of the solutions."""

    orbits: dict[str, Orbit]
    growth: tuple[str, ...]  # α of logistic growth a' = a + α a - a^2
    digits: int
    terms: int  # of bounded orbits that formulas are compared with
    escaping: int  # likewise, of those that escape: their digits double each time


@dataclass(frozen=True)
class EvaluateRecurrences:
    """Params of the evaluation."""

    data: str
    within: float  # distance of a formula from the terms, relative where these are above 1
    digits: int  # of a published constant that must agree


def train(inputs: Inputs, params: Recurrences, out: Path) -> Findings:
    """Solve all of them; writes `out`/solutions.parquet."""
    import pyarrow as pa

    rows = list(_solutions(params))
    tables.write(pa.Table.from_pylist(rows), out / "solutions.parquet")
    files.write_json({"digits": params.digits}, out / "model.json")
    return Findings(metrics={"solved": float(sum(row["kind"] != "none" for row in rows))})


def _solutions(params: Recurrences) -> Iterator[dict]:
    for name, orbit in params.orbits.items():
        recurrence = Recurrence(*map(number, (orbit.A, orbit.B, orbit.C, orbit.start)))
        solution = solve(recurrence, params.digits, params.terms)
        yield {**_row(recurrence, solution, params), "name": name, "expected": orbit.kind, "published": orbit.k}
    for alpha in params.growth:
        recurrence = Recurrence(*map(number, ("-1", str(1 + number(alpha)), "0", "0.3")))
        found = series.poincare(recurrence, params.digits, params.terms)
        solution = Solution("poincare_series", f"logistic growth by {alpha}", series=found)
        yield {
            **_row(recurrence, solution, params),
            "name": f"growth by {alpha}",
            "expected": solution.kind,
            "published": "",
        }


def _row(recurrence: Recurrence, solution: Solution, params: Recurrences) -> dict:
    escaping = solution.kind == "rounded_power" or abs(recurrence.normal(recurrence.start)) > 2
    terms = params.escaping if escaping else params.terms
    found = solution.rounded
    with mpmath.workdps(params.digits):
        k = mpmath.nstr(+found.k, params.digits) if found else ""
    worst = None if solution.kind == "none" else off(recurrence, solution, terms, params.digits)
    return {
        "name": "",
        **{key: str(getattr(recurrence, key)) for key in ("A", "B", "C", "start")},
        "kind": solution.kind,
        "formula": solution.formula,
        "first": solution.first,
        "k": k,
        "off": worst,
        "terms": terms,
        "expected": "",
        "published": "",
    }


def evaluate(model: Path, inputs: Inputs, params: EvaluateRecurrences) -> Findings:
    """Kinds against those that are expected, constants against those published, formulas against the terms."""
    import pyarrow as pa

    rows = tables.read(model / "solutions.parquet").to_pylist()
    known = [row for row in rows if row["off"] is not None]
    worst = {
        kind: max(row["off"] for row in known if row["kind"] == kind) for kind in sorted({r["kind"] for r in known})
    }
    return Findings(
        metrics={"orbits": float(len(rows)), **{f"off.{kind}": value for kind, value in worst.items()}},
        claims=list(_claims(rows, worst, params)),
        tables={"solutions": pa.Table.from_pylist([_shown(row) for row in rows])},
        figures={"orbits": _figure(rows)},
    )


def _shown(row: dict) -> dict:
    """A row for people: constants to twelve digits."""
    law = f"{row['A']} a^2 + {row['B']} a + {row['C']}, a0 = {row['start']}"
    formula = re.sub(r"(\.\d{11})\d+", r"\1...", row["formula"])
    return {"name": row["name"], "a'": law, "kind": row["kind"], "formula": formula, "off": row["off"]}


def _claims(rows: list[dict], worst: dict[str, float], params: EvaluateRecurrences) -> Iterator[Claim]:
    def claim(text: str, how: str, value: float, target: float, direction: claims.Direction = "equal") -> Claim:
        return claims.check(ARCHIVE, text, how, value, target, direction, params.data)

    right = sum(row["kind"] == row["expected"] for row in rows)
    yield claim("orbits whose kind of formula is right", "against theory", right, len(rows))
    published = [row for row in rows if row["published"]]
    same = sum(row["k"][: params.digits + 1] == row["published"][: params.digits + 1] for row in published)
    how = f"{params.digits} digits against OEIS and the article"
    yield claim("constants that are those published", how, same, len(published))
    for kind, value in worst.items():
        yield claim(
            f"formula off the terms: {kind}", "largest distance, relative above 1", value, params.within, "at most"
        )


def _figure(rows: list[dict]) -> Figure:
    """The orbits in their normal form: what each kind looks like."""
    from matplotlib.figure import Figure

    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    across = min(4, len(kinds))
    down = -(-len(kinds) // across)
    figure = Figure(figsize=(2.4 * across, 2.2 * down), layout="constrained")
    for place, kind in enumerate(kinds, 1):
        axes = figure.add_subplot(down, across, place)
        for row in rows:
            if row["kind"] == kind:
                a, b, c, start = (float(number(row[key])) for key in ("A", "B", "C", "start"))
                values = [start]
                while len(values) < 25 and abs(values[-1]) < 1e6:
                    values.append((a * values[-1] + b) * values[-1] + c)
                axes.plot(values, ".-", linewidth=0.6, markersize=3)
        axes.set(title=kind, xlabel="n", yscale="symlog")
        axes.title.set_fontsize(8)
        axes.tick_params(labelsize=6)
    return figure
