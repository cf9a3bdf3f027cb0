"""The map equation: its value by definition and by the peer, cliques found, and nothing hangs on the numbering."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy.sparse import coo_array, csr_array

from stages.words import mapequation
from stages.words.mapequation import code_length, flow, infomap


def ring(cliques: int = 4, size: int = 10) -> np.ndarray:
    """Cliques joined to a ring by single edges, [n, n]."""
    graph = np.kron(np.eye(cliques), np.ones((size, size)))
    for i in range(cliques):
        a, b = (i + 1) * size - 1, (i + 1) % cliques * size
        graph[a, b] = graph[b, a] = 1
    np.fill_diagonal(graph, 0)
    return graph


def random_graph(seed: int, n: int = 40) -> np.ndarray:
    draw = np.random.default_rng(seed)
    graph = (draw.random((n, n)) < 0.1) * draw.random((n, n))
    graph[3] = 0  # a node that leads nowhere
    np.fill_diagonal(graph, 0)
    return graph


def by_definition(graph: np.ndarray, modules: np.ndarray, jump: float) -> float:
    """L from the article's formulas, with dense matrices and entropies."""
    n, out = len(graph), graph.sum(axis=1)
    follow = np.divide(graph, out[:, None], out=np.zeros_like(graph), where=out[:, None] > 0)
    tau = np.where(out > 0, jump, 1.0)
    steps = (1 - tau)[:, None] * follow + tau[:, None] / n
    values, vectors = np.linalg.eig(steps.T)
    p = np.real(vectors[:, np.argmax(np.real(values))])
    p /= p.sum()
    q, inside = [], []
    for i in range(modules.max() + 1):
        mine = modules == i
        links = ((1 - tau) * p)[mine] @ follow[mine][:, ~mine].sum(axis=1)
        q.append((tau * p)[mine].sum() * (n - mine.sum()) / n + links)
        inside.append(np.append(q[-1], p[mine]))

    def weighted_entropy(rates: np.ndarray) -> float:
        share = rates[rates > 0] / rates.sum()
        return -rates.sum() * (share * np.log2(share)).sum()

    return weighted_entropy(np.array(q)) + sum(map(weighted_entropy, inside))


@pytest.mark.parametrize("seed", range(3))
def test_the_code_length_is_that_of_the_definition(seed):
    graph = random_graph(seed)
    modules = np.arange(40) % 4
    assert code_length(flow(csr_array(graph)), modules) == pytest.approx(by_definition(graph, modules, 0.15), abs=1e-9)


@pytest.mark.parametrize("jump", [0.0, 0.15])
def test_a_ring_of_cliques_is_split_into_its_cliques(jump):
    walk = flow(csr_array(ring()), jump)
    for seed in range(5):
        assert (infomap(walk, seed) == np.arange(40) // 10).all()
    assert code_length(walk, np.arange(40) // 10) < code_length(walk, np.zeros(40, dtype=int))


def test_nothing_hangs_on_the_numbers_of_the_nodes():
    draw = np.random.default_rng(5)
    graph, order = ring(6, 7), draw.permutation(42)
    walk, other = flow(csr_array(graph)), flow(csr_array(graph[np.ix_(order, order)]))
    modules = infomap(walk)
    assert code_length(other, modules[order]) == pytest.approx(code_length(walk, modules), abs=1e-9)
    found = infomap(other)
    assert len(set(zip(found.tolist(), modules[order].tolist(), strict=True))) == 6
    assert infomap(walk, 1).tolist() == infomap(walk, 1).tolist()


def test_joined_flows_keep_the_code_length():
    """Moving modules as nodes changes L by what it changes for their nodes."""
    walk = flow(csr_array(random_graph(8)))
    small, large = np.arange(40) // 4, np.arange(10) // 2
    assert code_length(walk.joined(small), large) == pytest.approx(code_length(walk, large[small]), abs=1e-12)


def test_no_move_of_a_single_node_makes_it_shorter():
    walk = flow(csr_array(random_graph(9)))
    modules = infomap(walk)
    shortest = code_length(walk, modules)
    for node in range(40):
        for module in range(modules.max() + 1):
            other = modules.copy()
            other[node] = module
            assert code_length(walk, np.unique(other, return_inverse=True)[1]) > shortest - 1e-6


@pytest.mark.parametrize("seed", range(2))
def test_the_peer_gives_the_same_code_length(seed):
    peer = pytest.importorskip("infomap")
    graph = random_graph(seed)
    graph[3, 4] = 1  # the peer lets a node that leads nowhere jump in another way
    modules = np.unique(np.random.default_rng(seed).integers(0, 5, 40), return_inverse=True)[1]
    other = peer.Infomap("--silent --two-level --directed --recorded-teleportation --to-nodes --no-infomap")
    for i, j in zip(*np.nonzero(graph), strict=True):
        other.add_link(int(i), int(j), float(graph[i, j]))
    other.initial_partition = dict(enumerate(modules.tolist()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that the peer will change
        other.run()
        length = other.codelength
    assert code_length(flow(csr_array(graph)), modules) == pytest.approx(length, abs=1e-9)


def test_words_cluster_by_the_directions_of_their_vectors():
    draw = np.random.default_rng(0)
    centres = np.linalg.qr(draw.normal(size=(20, 8)))[0].T
    vectors = (np.repeat(centres, 30, axis=0) + 0.08 * draw.normal(size=(240, 20))).astype(np.float32)
    modules = mapequation.word_clusters(np.concatenate([vectors, -centres[:1]]).astype(np.float32))
    assert (modules[:240] == np.arange(240) // 30).all()
    assert (modules == modules[240]).sum() == 1  # near to none


def test_a_planted_partition_of_thousands_of_nodes_is_found():
    draw, n = np.random.default_rng(1), 2000
    block, row = np.arange(n) // 40, np.repeat(np.arange(n), 12)
    near = block[row] * 40 + draw.integers(0, 40, row.size)
    column = np.where(draw.random(row.size) < 0.8, near, draw.integers(0, n, row.size))
    walk = flow(coo_array((np.ones(row.size), (row, column)), shape=(n, n)).tocsr())
    assert code_length(walk, infomap(walk)) <= code_length(walk, block) + 1e-9
