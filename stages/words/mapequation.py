"""The map equation: clusters of a graph whose number nobody sets, by the shortest description of a random walk.

Article: https://kexue.fm/archives/7006 (minimum entropy, part V); Rosvall & Bergstrom 2008
(https://doi.org/10.1073/pnas.0706851105); code of the author: https://github.com/bojone/infomap.

    p      stationary law of a walk that follows links and with probability tau jumps to any node
    q_i    = tau (n - n_i) / n sum over a in i of p_a + (1 - tau) sum over a in i, b not in i of p_a p(a -> b)
    L      = q H(Q) + sum p_i° H(P_i),     q = sum q_i,   p_i° = q_i + sum over a in i of p_a            bits a step
           = [q] - 2 sum [q_i] + sum [q_i + p_i] - sum over nodes [p_a],      [x] = x log2 x

Nodes move one by one, in a seeded random order, to the neighbouring module that shortens L most; then modules move as
nodes did, until nothing does; then single nodes again, from the modules found. The numbers: a ring of 4 cliques is
split into its cliques, and L is that of the package `infomap` to 1e-9 for the same partition.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log2

import numpy as np
from scipy.sparse import coo_array, csr_array

JUMP = 0.15  # tau, https://kexue.fm/archives/7006
LEAST = 1e-10  # bits by which a move must shorten L
STEPS = 1000  # of the power iteration, at most


@dataclass(frozen=True)
class Flow:
    """A random walk on n nodes, which may stand for several nodes each.

    `links` [n, n] is the rate of steps along links, without loops; `visits` [n], `jumps` [n] the rate of jumps that
    start in a node, `sizes` [n] the nodes it stands for; `nodes` is the sum of all [p_a] over single nodes.
    """

    links: csr_array
    visits: np.ndarray
    jumps: np.ndarray
    sizes: np.ndarray
    nodes: float

    def joined(self, modules: np.ndarray) -> Flow:
        """The flow between modules 0, 1, ..."""
        n = int(modules.max()) + 1
        links = self.links.tocoo()
        row, column = modules[links.row], modules[links.col]
        out = row != column
        between = coo_array((links.data[out], (row[out], column[out])), shape=(n, n)).tocsr()
        visits, jumps, sizes = (np.bincount(modules, x, n) for x in (self.visits, self.jumps, self.sizes))
        return Flow(between, visits, jumps, sizes, self.nodes)


def flow(graph: csr_array, jump: float = JUMP) -> Flow:
    """The stationary walk on a graph of weights [n, n] (from row to column).

    An undirected graph is a symmetric one; with `jump` 0 it needs no iteration. A node without links always jumps.
    """
    graph = csr_array(graph).astype(np.float64)
    n, out = graph.shape[0], np.asarray(graph.sum(axis=1)).ravel()
    leaves = np.where(out > 0, jump, 1.0)
    steps = csr_array(graph.multiply(((1 - leaves) / np.where(out > 0, out, 1))[:, None]))
    p = out / out.sum() if jump == 0 and out.any() else np.full(n, 1 / n)
    for _ in range(STEPS):
        after = steps.T @ p + (leaves * p).sum() / n
        after /= after.sum()
        done, p = np.abs(after - p).sum() < 1e-15, after
        if done:
            break
    links = csr_array(steps.multiply(p[:, None])).tocoo()
    other = links.row != links.col
    links = coo_array((links.data[other], (links.row[other], links.col[other])), shape=(n, n)).tocsr()
    return Flow(links, p, leaves * p, np.ones(n), float(sum(map(_plogp, p.tolist()))))


def exits(walk: Flow, modules: np.ndarray) -> np.ndarray:
    """q_i of each module 0, 1, ..."""
    whole = walk.joined(modules)
    return np.asarray(whole.links.sum(axis=1)).ravel() + whole.jumps * (1 - whole.sizes / walk.sizes.sum())


def code_length(walk: Flow, modules: np.ndarray) -> float:
    """L in bits a step of the partition `modules` [n] (numbers 0, 1, ...)."""
    q = exits(walk, modules)
    inside = np.bincount(modules, walk.visits, q.size)
    return _length(q.tolist(), inside.tolist()) - walk.nodes


def infomap(walk: Flow, seed: int = 0) -> np.ndarray:
    """The module of each node, [n] int64, numbered by first appearance; two levels, greedy."""
    draw = np.random.default_rng(seed)
    modules = np.arange(walk.visits.size)
    shortest = code_length(walk, modules)
    while True:
        modules = _renumbered(_moved(walk, modules, draw))  # single nodes, at first each in a module of its own
        while True:
            whole = walk.joined(modules)
            above = _renumbered(_moved(whole, np.arange(whole.visits.size), draw))
            if above.max() + 1 == whole.visits.size:
                break
            modules = above[modules]
        length = code_length(walk, modules)
        if length > shortest - LEAST:
            return _renumbered(modules)
        shortest = length


def _moved(walk: Flow, modules: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """Nodes moved to neighbouring modules until no move shortens L.

    After the first round only nodes beside one that moved are looked at again.
    """
    modules, n, nodes = modules.copy(), walk.visits.size, float(walk.sizes.sum())
    out, into = walk.links, csr_array(walk.links.T)
    leaving = np.asarray(out.sum(axis=1)).ravel()
    sums = [np.bincount(modules, x, n) for x in (walk.visits, walk.jumps, walk.sizes)]
    links = exits(walk, modules) - (sums[1] * (1 - sums[2] / nodes))[: int(modules.max()) + 1]
    links = np.append(links, np.zeros(n - links.size))

    def rates(exit_: np.ndarray, visits: np.ndarray, jumps: np.ndarray, sizes: np.ndarray):
        q = np.maximum(exit_ + jumps * (1 - sizes / nodes), 0)
        return q, _terms(q, visits)

    total = float(rates(links, *sums)[0].sum())
    waiting = np.ones(n, dtype=bool)
    while waiting.any():
        now, waiting = draw.permutation(np.flatnonzero(waiting)), np.zeros(n, dtype=bool)
        for node in now.tolist():
            here, (toward, from_) = modules[node], (_row(side, node) for side in (out, into))
            near, place = np.unique(
                np.concatenate([[here], modules[toward[0]], modules[from_[0]]]), return_inverse=True
            )
            if near.size == 1:
                continue
            k = toward[0].size
            to = np.bincount(place[1 : k + 1], toward[1], near.size)
            back = np.bincount(place[k + 1 :], from_[1], near.size)
            mine, own = np.array([walk.visits[node], walk.jumps[node], walk.sizes[node]]), place[0]
            held = [x[near] for x in sums]
            old_q, old = rates(links[near], *held)
            sign = np.where(np.arange(near.size) == own, -1.0, 1.0)  # taken out of its own, put into another
            change = np.where(sign > 0, leaving[node] - to - back, to + back - leaving[node])
            new_q, new = rates(links[near] + change, *(x + sign * m for x, m in zip(held, mine, strict=True)))
            q = total + (new_q[own] - old_q[own]) + (new_q - old_q)
            difference = _plogp_all(q) - _plogp(total) + (new[own] - old[own]) + (new - old)
            difference[own] = 0
            best = int(np.argmin(difference))
            if difference[best] < -LEAST:
                for i in (own, best):
                    links[near[i]] += change[i]
                    for x, m in zip(sums, mine, strict=True):
                        x[near[i]] += sign[i] * m
                total, modules[node] = float(q[best]), near[best]
                waiting[toward[0]] = waiting[from_[0]] = True
    return modules


def _row(matrix: csr_array, row: int) -> tuple[np.ndarray, np.ndarray]:
    part = slice(matrix.indptr[row], matrix.indptr[row + 1])
    return matrix.indices[part], matrix.data[part]


def _terms(q: np.ndarray, visits: np.ndarray) -> np.ndarray:
    return _plogp_all(q + np.maximum(visits, 0)) - 2 * _plogp_all(q)


def _length(q: list[float], inside: list[float]) -> float:
    return _plogp(sum(q)) + sum(_plogp(a + b) - 2 * _plogp(a) for a, b in zip(q, inside, strict=True))


def _plogp(x: float) -> float:
    return x * log2(x) if x > 0 else 0.0


def _plogp_all(x: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x * np.log2(np.where(x > 0, x, 1)), 0.0)


def _renumbered(modules: np.ndarray) -> np.ndarray:
    _, first, which = np.unique(modules, return_index=True, return_inverse=True)
    rank = np.empty(first.size, dtype=np.int64)
    rank[np.argsort(first)] = np.arange(first.size)
    return rank[which]


def word_clusters(vectors: np.ndarray, nearest: int = 50, least: float = 0.6, seed: int = 0) -> np.ndarray:
    """Modules of words, [n]: a link to each of the `nearest` words of cosine >= `least`, weighted by it.

    `vectors` [n, d] are those of the most frequent words (10,000 in the author's demonstration). A word near to none
    is a module of its own.
    """
    from stages.words.similar import nearest as neighbours

    n = len(vectors)
    ids, cosines = neighbours(vectors, np.arange(n), min(nearest, n - 1))
    near = cosines >= least
    source = np.repeat(np.arange(n), near.sum(axis=1))
    graph = coo_array((cosines[near].astype(np.float64), (source, ids[near])), shape=(n, n))
    return infomap(flow(graph.tocsr()), seed)
