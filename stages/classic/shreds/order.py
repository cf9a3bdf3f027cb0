"""Which piece follows which: joints that are beyond doubt first, then the best rows of all by integer programming.

A row is a path of exactly `columns` pieces, every piece is in one row, and the sum of costs is least. With z[c, p] = 1
where chain c begins in column p, and y[c, d, p] = 1 where chain d follows it there:

    sum_p z[c, p] = 1,  sum_d y[c, d, p] = z[c, p] unless c ends the row,  sum_c y[c, d, q - len c] = z[d, q] for q > 0

so that columns only grow along a path: no cycles, and no row too long or too short. Two-sided paper has its rows twice,
once from behind: z[c, p] and that of the turned chain at columns - len c - p are one variable, and so are joints.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from stages.core.errors import Refusal

Chain = tuple[int, ...]
NEAR = 12  # joints tried after and before each chain
SECONDS = 60.0  # for the programme; what is best by then is taken


def greedy(cost: np.ndarray, start: int) -> list[int]:
    """The article's chain: from `start` always to the unused piece of the least cost."""
    chain, free = [start], np.ones(len(cost), dtype=bool)
    free[start] = False
    while free.any():
        chain.append(int(np.where(free, cost[chain[-1]], np.inf).argmin()))
        free[chain[-1]] = False
    return chain


def turned(chain: Chain, back: np.ndarray) -> Chain:
    """The chain seen from behind."""
    return tuple(int(back[i]) for i in reversed(chain))


class Chains:
    """Chains that grow by joints; on two-sided paper each joint makes the one behind it too."""

    def __init__(self, count: int, columns: int, back: np.ndarray) -> None:
        self.columns, self.back = columns, back
        self.of: dict[int, Chain] = {i: (i,) for i in range(count)}  # the chain of each piece

    def fits(self, i: int, j: int) -> bool:
        """Whether j may follow i: an end and a beginning of two chains that are short enough together."""
        a, b = self.of[i], self.of[j]
        whole = a is not b and a[-1] == i and b[0] == j and len(a) + len(b) <= self.columns
        return whole and (self.back[i] < 0 or not {int(self.back[k]) for k in a} & set(b))

    def join(self, i: int, j: int) -> None:
        """Let j follow i, which `fits`."""
        self._join(i, j)
        if self.back[i] >= 0 and self.of[int(self.back[j])] is not self.of[int(self.back[i])]:
            self._join(int(self.back[j]), int(self.back[i]))

    def _join(self, i: int, j: int) -> None:
        chain = self.of[i] + self.of[j]
        self.of.update(dict.fromkeys(chain, chain))

    def all(self) -> list[Chain]:
        """The chains, in the order of their first pieces."""
        return sorted(set(self.of.values()))

    def joints(self) -> set[tuple[int, int]]:
        """All pairs (left piece, right piece) that are joined."""
        return {joint for chain in self.all() for joint in pairwise(chain)}


def merge(chains: Chains, cost: np.ndarray, margin: float, inked: np.ndarray) -> int:
    """Join what is each other's best by `margin` of cost before the next best; returns how many joints that made.

    `inked` [n, n] tells the pairs with ink on both edges: blank ones fit everywhere, and are left to the programme.
    """
    made = 0
    while True:
        chosen = chains.all()
        ends, begins = np.array([c[-1] for c in chosen]), np.array([c[0] for c in chosen])
        free = cost[np.ix_(ends, begins)].copy()
        np.fill_diagonal(free, np.inf)
        if len(chosen) < 3:
            return made
        after, before = free.argmin(axis=1), free.argmin(axis=0)
        second_after, second_before = np.partition(free, 1, axis=1)[:, 1], np.partition(free, 1, axis=0)[1]
        found = 0
        for a, b in enumerate(after):
            i, j, best = int(ends[a]), int(begins[b]), free[a, b]
            sure = before[b] == a and min(second_after[a], second_before[b]) - best >= margin
            if np.isfinite(best) and sure and inked[i, j] and chains.fits(i, j):
                chains.join(i, j)
                found += 1
        if not found:
            return made
        made += found


def rows(chains: Chains, cost: np.ndarray, places: np.ndarray) -> list[Chain]:
    """The rows of least total cost, by scipy's `milp` (HiGHS).

    `cost` [n, n] is what it costs to lay j after i (infinite: never), `places` [n, columns] to lay i in a column.
    Raises `Refusal` where the pieces make no whole rows.
    """
    for near in (NEAR, 4 * NEAR, len(cost)):
        found = _programme(chains, cost, places, near)
        if found is not None:
            return found
    raise Refusal("these pieces make no whole rows with these constraints: take a must_link or cannot_link back")


def _programme(chains: Chains, cost: np.ndarray, places: np.ndarray, near: int) -> list[Chain] | None:
    from scipy import optimize, sparse

    columns, chosen = chains.columns, chains.all()
    lengths = [len(chain) for chain in chosen]
    number = {chain: c for c, chain in enumerate(chosen)}
    two_sided = chains.back[0] >= 0
    behind = [number[turned(chain, chains.back)] for chain in chosen] if two_sided else []
    variables: dict[tuple[int, ...], int] = {}
    weights: list[float] = []

    def variable(key: tuple[int, ...], weight: float) -> int:
        """The variable of (c, p) or (c, d, p), one for both sides of the paper; costs of both sides add up."""
        *ends, p = key
        if two_sided:
            length = sum(lengths[c] for c in ends)
            key = min(key, (*(behind[c] for c in reversed(ends)), columns - length - p))
        at = variables.setdefault(key, len(weights))
        if at == len(weights):
            weights.append(0.0)
        weights[at] += weight
        return at

    z = {}
    for c, chain in enumerate(chosen):
        for p in range(columns - lengths[c] + 1):
            z[c, p] = variable((c, p), float(sum(places[i, p + k] for k, i in enumerate(chain))))
    whole = len(weights)  # what comes after is whole by itself: at each column ends meet beginnings one to one
    equations: list[tuple[list[int], list[float], float]] = [
        ([z[c, p] for p in range(columns - lengths[c] + 1)], [1.0] * (columns - lengths[c] + 1), 1.0)
        for c in range(len(chosen))
    ]
    out: dict[tuple[int, int], list[int]] = {key: [] for key in z}
    into: dict[tuple[int, int], list[int]] = {key: [] for key in z}
    for c, d in _candidates(chosen, cost, near):
        for p in range(columns - lengths[c] - lengths[d] + 1):
            y = variable((c, d, p), float(cost[chosen[c][-1], chosen[d][0]]))
            out[c, p].append(y)
            into[d, p + lengths[c]].append(y)
    for (c, p), at in z.items():
        if p + lengths[c] < columns:
            equations.append(([at, *out[c, p]], [-1.0, *[1.0] * len(out[c, p])], 0.0))
        if p > 0:
            equations.append(([at, *into[c, p]], [-1.0, *[1.0] * len(into[c, p])], 0.0))
    line = np.repeat(np.arange(len(equations)), [len(e[0]) for e in equations])
    entries = (np.concatenate([e[1] for e in equations]), (line, np.concatenate([e[0] for e in equations])))
    matrix = sparse.csr_array(entries, shape=(len(equations), len(weights)))
    right = np.array([e[2] for e in equations])
    found = optimize.milp(
        np.array(weights),
        integrality=(np.arange(len(weights)) < whole).astype(int),
        bounds=optimize.Bounds(0, 1),
        constraints=optimize.LinearConstraint(matrix, right, right),
        options={"time_limit": SECONDS},
    )
    return None if found.x is None else _paths(chosen, lengths, columns, z, out, into, found.x)


def _candidates(chosen: list[Chain], cost: np.ndarray, near: int) -> list[tuple[int, int]]:
    """The pairs of chains whose joint is among the `near` best after the first or before the second."""
    ends, begins = np.array([c[-1] for c in chosen]), np.array([c[0] for c in chosen])
    between = cost[np.ix_(ends, begins)].copy()
    np.fill_diagonal(between, np.inf)
    after = between.argsort(axis=1, kind="stable").argsort(axis=1, kind="stable") < near
    before = between.argsort(axis=0, kind="stable").argsort(axis=0, kind="stable") < near
    return [(int(c), int(d)) for c, d in np.argwhere((after | before) & np.isfinite(between))]


def _paths(
    chosen: list[Chain],
    lengths: list[int],
    columns: int,
    z: dict[tuple[int, int], int],
    out: dict[tuple[int, int], list[int]],
    into: dict[tuple[int, int], list[int]],
    x: np.ndarray,
) -> list[Chain]:
    used = x > 0.5
    after = {}
    for (d, q), came in into.items():
        for y in came:
            if used[y] and used[z[d, q]]:
                after[y, q] = d
    paths = []
    for c in range(len(chosen)):
        if not used[z[c, 0]]:
            continue
        path, p = chosen[c], lengths[c]
        while p < columns:
            c = next(after[y, p] for y in out[c, p - lengths[c]] if (y, p) in after)
            path += chosen[c]
            p += lengths[c]
        paths.append(path)
    return paths
