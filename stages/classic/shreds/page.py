"""A page from its pieces, with no help: costs, sure joints, rows, their order, and how sure each joint is.

Article: https://kexue.fm/archives/3134. On two-sided paper, u before v on one side is v' before u' on the other, so

    E2(u, v) = E(u, v) + E(v', u')
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from stages.classic.shreds import edges, order, rows
from stages.classic.shreds.learned import Scorer
from stages.classic.shreds.pieces import Pieces
from stages.core.errors import Refusal

SURE = 4.0  # of cost (nats) between the best joint and the next, to take it at once
TOP = 3.0  # of cost that a row gains at the top by each blank pixel above its text
WIDEST = 40  # pixels of a margin that count
SHAPE = math.sqrt(2)  # height by width of a page, where nobody tells how many rows it has


@dataclass(frozen=True)
class Asked:
    """What a person knows: rows and columns (0: found from the shape), neighbours for certain, and what none are.

    Strips of `pages` pages may be mixed: each page is one row then, and rows have no order.
    """

    rows: int = 0
    columns: int = 0
    pages: int = 1
    must: tuple[tuple[str, str], ...] = ()
    cannot: tuple[tuple[str, str], ...] = ()


KNOWN = Asked()


@dataclass(frozen=True)
class Restored:
    """`sides`: for each side of the page its table of pieces, [rows, columns]; `sure`: P of each joint in it.

    `sure` [rows, columns - 1] is the share of the joint among all joints of its two pieces, 0..1; `merged` joints were
    taken at once.
    """

    sides: tuple[np.ndarray, ...]
    sure: tuple[np.ndarray, ...]
    merged: tuple[tuple[int, int], ...]

    @property
    def confidence(self) -> float:
        """The mean of `sure` over all joints."""
        return float(np.mean([side.mean() for side in self.sure]))


def restore(pieces: Pieces, scorer: Scorer | None, asked: Asked = KNOWN) -> Restored:
    """The page of `pieces`; without a scorer (enough for strips) by the difference of edges.

    Raises `Refusal` where the number of pieces makes no page, or constraints contradict one another.
    """
    height, columns = shape(pieces, asked)
    cost = scorer.cost(pieces) if scorer else differences(pieces)
    if pieces.two_sided:
        cost[np.arange(len(cost)), pieces.back] = np.inf
        cost = cost + cost[np.ix_(pieces.back, pieces.back)].T
    chains = order.Chains(len(cost), columns, pieces.back)
    constrain(chains, cost, pieces, asked)
    inked = (pieces.margins("right") == 0)[:, None] & (pieces.margins("left") == 0)
    before = chains.joints()
    if height > 1:
        order.merge(chains, cost, SURE, inked)
    merged = chains.joints() - before
    both = 1 + pieces.two_sided
    found = order.rows(chains, cost / both, margins(pieces, height * both, columns))
    sides = stacked(pieces, found, asked.pages == 1)
    return Restored(sides, tuple(sure(side, cost) for side in sides), tuple(sorted(merged)))


def differences(pieces: Pieces) -> np.ndarray:
    """The cost by the difference of edges alone, 1 for a usual best joint; the diagonal is infinite."""
    cost = edges.smooth(*edges.sides(pieces.ink))
    np.fill_diagonal(cost, np.inf)
    return cost / max(1e-9, float(cost.min(axis=1).mean()))


def shape(pieces: Pieces, asked: Asked) -> tuple[int, int]:
    """Rows and columns: as asked, else those that bring the page nearest to 1 : sqrt 2."""
    count = len(pieces.names) // (1 + pieces.two_sided)
    height, width = pieces.ink.shape[1:]
    number, columns = asked.rows, asked.columns
    if asked.pages > 1:
        if number:
            raise Refusal(f"{asked.pages} mixed pages of {number} rows cannot be parted: give strips, or page by page")
        number = asked.pages
    if not number and not columns:
        divisors = [d for d in range(1, count + 1) if count % d == 0]
        number = min(divisors, key=lambda d: abs(math.log(d * height / (count / d * width) / SHAPE)))
    number = number or count // columns
    columns = columns or count // number
    if number * columns != count or columns < 2:
        raise Refusal(f"{count} pieces are not {number} rows of {columns}: look for missing or strange pictures")
    return number, columns


def constrain(chains: order.Chains, cost: np.ndarray, pieces: Pieces, asked: Asked) -> None:
    """Join what must be joined, and make what cannot be cost without end; raises `Refusal` for a contradiction."""
    place = {name: i for i, name in enumerate(pieces.names)}
    for pair in (*asked.must, *asked.cannot):
        for name in pair:
            if name not in place:
                raise Refusal(f"there is no piece named '{name}' to link: names are like '{pieces.names[0]}'")
    for a, b in asked.cannot:
        cost[place[a], place[b]] = np.inf
        if pieces.two_sided:
            cost[pieces.back[place[b]], pieces.back[place[a]]] = np.inf
    for a, b in asked.must:
        i, j = place[a], place[b]
        if (a, b) in asked.cannot or not chains.fits(i, j):
            raise Refusal(f"'{a}' cannot have '{b}' at its right: another constraint, or the width, forbids it")
        chains.join(i, j)


def margins(pieces: Pieces, number: int, columns: int) -> np.ndarray:
    """What it costs to lay a piece in a column, [pieces, columns]: in the first and last, the margin that it lacks.

    `number` rows begin with a margin, so that the width of the narrowest is told by the pieces.
    """
    found = np.zeros((len(pieces.names), columns))
    for side, column in (("left", 0), ("right", -1)):
        blank = np.minimum(pieces.margins(side), WIDEST)
        found[:, column] = np.maximum(0, np.sort(blank)[-number] - blank)
    return found


def stacked(pieces: Pieces, found: list[order.Chain], ordered: bool = True) -> tuple[np.ndarray, ...]:
    """The rows from top to bottom, for each side of the page; as they are unless they are to be `ordered`."""
    place = {row: r for r, row in enumerate(found)}
    two_sided = pieces.two_sided
    partner = np.array([place[order.turned(row, pieces.back)] if two_sided else r for r, row in enumerate(found)])
    way = [r for r in range(len(found)) if r <= partner[r]]
    if ordered:
        # [rows, height, width]
        whole = np.stack([np.concatenate(list(pieces.ink[list(row)]), axis=1) for row in found])
        cost = rows.below(whole)
        dark = Pieces(tuple(map(str, range(len(found)))), whole, partner)
        first = -TOP * np.minimum(dark.margins("top"), WIDEST)
        if two_sided:
            cost, first = cost + cost[np.ix_(partner, partner)], first + first[partner]
        way = rows.stack(cost, first, partner)
    front = np.array([found[r] for r in way])
    return (front, np.array([found[partner[r]] for r in way])) if two_sided else (front,)


def sure(table: np.ndarray, cost: np.ndarray) -> np.ndarray:
    """P of each joint of a table among all that its two pieces could make, the less of both: [rows, columns - 1]."""
    from scipy import special

    after, before = special.softmax(-cost, axis=1), special.softmax(-cost, axis=0)
    i, j = table[:, :-1], table[:, 1:]
    return np.minimum(after[i, j], before[i, j])
