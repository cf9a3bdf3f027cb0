"""Shredded paper: an edge cost learned on made pages, and other made pages restored with it, with no help.

Articles: https://kexue.fm/archives/3134, https://kexue.fm/archives/4100. The author's greedy chain gets 83% (Chinese)
and 76% (English) of the neighbours of cross-cut pages without help.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean

import numpy as np

from stages.classic.shreds import edges, learned, made, order, page, sheet
from stages.classic.shreds.pieces import Pieces
from stages.classic.shreds.settings import Learning
from stages.core.systems import Findings, Inputs
from stages.core.targets import Target, judged

ARCHIVE = 3134


@dataclass(frozen=True)
class EvaluateShreds:
    """Params of the evaluation: cross-cut pages of each script, two-sided sheets, the seed of all, and promises."""

    pages: int
    sheets: int
    seed: int
    data: str
    targets: tuple[Target, ...]


def train(inputs: Inputs, params: Learning, out: Path) -> Findings:
    """Learn the edge cost; writes `out`/scorer.safetensors."""
    scorer, history = learned.learn(params, inputs.spool)
    scorer.save(out)
    weights = dict(zip(("network", "misfit"), map(float, scorer.weights), strict=True))
    return Findings(metrics={f"weight.{name}": value for name, value in weights.items()}, history=history)


def evaluate(model: Path, inputs: Inputs, params: EvaluateShreds) -> Findings:
    """Strips, cross-cut pages and two-sided sheets: shares of right neighbours, and of pages that are whole."""
    import pyarrow as pa

    scorer = learned.load(model)
    rows, figures = [], {}
    for script in made.SCRIPTS:
        for k in range(params.pages):
            chance = np.random.default_rng([params.seed, made.SCRIPTS.index(script), k])
            text = made.page(script, chance)
            for cut, name in ((made.STRIPS, "strips"), (made.CROSS, "cross")):
                pieces, table = made.shreds([text], cut, chance)
                restored = page.restore(pieces, scorer if name == "cross" else None)
                rows.append({"cut": name, "script": script, "page": k, **score(pieces, restored, table)})
                if name == "cross" and k == 0:
                    figures[f"contact_{script}"] = sheet.contact(pieces, restored)
    for k in range(params.sheets):
        chance = np.random.default_rng([params.seed, 2, k])
        style = made.style("latin", chance)
        pieces, table = made.shreds([made.written(style, chance) for _ in range(2)], made.CROSS, chance)
        restored = page.restore(pieces, scorer)
        rows.append({"cut": "two_sided", "script": "latin", "page": k, **score(pieces, restored, table)})
    found = {}
    for cut in dict.fromkeys(row["cut"] for row in rows):
        for key in ("neighbours", "whole", "vertical", "merge_precision", "greedy", "confidence"):
            found[f"{cut}.{key}"] = fmean(float(row[key]) for row in rows if row["cut"] == cut)
    claims = judged({0: found}, params.targets, ARCHIVE, params.data)
    return Findings(found, claims, {"pages": pa.Table.from_pylist(rows)}, figures)


def score(pieces: Pieces, restored: page.Restored, table: np.ndarray) -> dict[str, float]:
    """The shares of right neighbours, of rows that are over their right next one, and whether the page is whole.

    Pieces of one and the same picture, blank ones say, may stand for each other. `greedy` is the article's chain from
    the true first piece of every row, the mean share of its right neighbours.
    """
    kind = alike(pieces)
    fronts = [table] + ([pieces.back[table[:, ::-1]]] if pieces.two_sided else [])
    truth = Counter(joint for front in fronts for row in kind[front].tolist() for joint in pairwise(row))
    joints = Counter(joint for side in restored.sides for row in kind[side].tolist() for joint in pairwise(row))
    found = [tuple(row) for row in kind[restored.sides[0]].tolist()]
    pages = [[tuple(row) for row in kind[front].tolist()] for front in fronts]
    steps = {step for rows in pages for step in pairwise(rows)}
    vertical = [step in steps for step in pairwise(found)]
    merged = [(kind[i], kind[j]) in truth for i, j in restored.merged]
    cost = edges.distance(*edges.sides(pieces.ink))
    chains = [order.greedy(cost, int(row[0])) for row in table]
    return {
        "neighbours": (truth & joints).total() / truth.total(),
        "whole": float(found in pages),
        "vertical": fmean(vertical) if vertical else 1.0,
        "merge_precision": fmean(merged) if merged else 1.0,
        "greedy": fmean(sum(joint in truth for joint in pairwise(kind[c])) / truth.total() for c in chains),
        "confidence": restored.confidence,
    }


def alike(pieces: Pieces) -> np.ndarray:
    """A number for each piece, [pieces], the same for pieces of the same picture, on both sides where there are two."""
    held: dict[bytes, int] = {}
    kind = np.array([held.setdefault(ink.tobytes(), i) for i, ink in enumerate(pieces.ink)])
    return kind * len(kind) + kind[pieces.back] if pieces.two_sided else kind
