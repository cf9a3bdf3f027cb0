"""From whole rows to the page: which row is below which, by Held and Karp's exact programme over all orders.

Text lines go on from row to row: the phase of the lines grows by H mod P from one row to the next, which the edges, cut
in the gap between two lines, often cannot tell.
"""

from __future__ import annotations

import numpy as np

from stages.classic.shreds import edges, lines
from stages.core.errors import Refusal

STROKES = 50.0  # of the correlation of two edges, the article's: most of a level cut is between lines, and costs all
STEEP = 2.0  # cost of a step of phases that is off by one pixel
MOST_OFF = 8.0  # pixels off, beyond which it is wrong all the same
MOST_ROWS = 16


def below(ink: np.ndarray) -> np.ndarray:
    """What it costs to have row j below row i, of rows as ink [rows, height, width]: [rows, rows]."""
    found = STROKES * edges.correlation(*edges.sides(edges.across(ink)))
    fitted = lines.fit(lines.profile(ink))
    if fitted is not None:
        step = fitted.best[None, :] - fitted.best[:, None]
        off = lines.apart(step, np.full_like(step, ink.shape[1] % fitted.period), fitted.period)
        found = found + STEEP * np.minimum(off, MOST_OFF) ** 2
    return found


def stack(cost: np.ndarray, first: np.ndarray, partner: np.ndarray) -> list[int]:
    """The order of least cost, row by row from the top: `cost` [rows, rows] as of `below`, `first` [rows] at the top.

    `partner[r]` is the row on the other side of the same paper, of which one is taken; r itself on one-sided paper.
    Raises `Refusal` for more rows than all orders can be tried of.
    """
    sheets = sorted({min(r, int(partner[r])) for r in range(len(cost))})
    if len(sheets) > MOST_ROWS:
        raise Refusal(f"{len(sheets)} rows are too many to order exactly; the most is {MOST_ROWS}")
    bit = np.array([1 << sheets.index(min(r, int(partner[r]))) for r in range(len(cost))])
    full = (1 << len(sheets)) - 1
    best = np.full((full + 1, len(cost)), np.inf)  # of the rows in the set, ending with r
    before = np.full((full + 1, len(cost)), -1)
    best[bit, np.arange(len(cost))] = first
    for held in range(1, full):
        ways = best[held][:, None] + cost  # [last, next]
        last = ways.argmin(axis=0)
        for r in np.flatnonzero((bit & held) == 0):
            value = ways[last[r], r]
            if value < best[held | bit[r], r]:
                best[held | bit[r], r], before[held | bit[r], r] = value, last[r]
    r, held, order = int(best[full].argmin()), full, []
    while r >= 0:
        order.append(r)
        r, held = int(before[held, r]), held & ~int(bit[r])
    return order[::-1]
