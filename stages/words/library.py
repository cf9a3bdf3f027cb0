"""The library: shelves that make borrowing cheap are word vectors.

Article: "From the library to word vectors", minimum entropy part IV, https://kexue.fm/archives/6191.

    cost of borrowing   S = sum p(i, j) ( |v_i| + |v_i - v_j| )        p(i, j): one borrower takes i, then j
    which collapses to v = 0, so a cost with a norm takes its place:  f = -ln q(j|i),  q normalised over j != i
        l2    q ~ exp(-|v_i - v_j|^2)       (SNE)
        dot   q ~ exp <v_i, v_j>            (skip-gram)
        t     q ~ 1 / (1 + |v_i - v_j|^2)   (t-SNE)
    S = - sum p(i, j) ln q(j|i) >= H(j|i):   least entropy = most likely vectors

A sentence is a borrower, a word a book. With one set of vectors for both sides, near are the pairs of high mutual
information, not those that are often together. The numbers are the claims of shelves.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stages.core import files, tables
from stages.core.errors import Refusal
from stages.core.params import Choices, choose
from stages.core.systems import Findings, Inputs

if TYPE_CHECKING:
    import torch

NEAR = 1e-6  # under the roots of distances, which have no slope at 0


@dataclass(frozen=True)
class Readers:
    """The readers of a made library."""

    books: int
    categories: int
    readers: int
    fewest: int  # books that one borrows
    most: int
    loyal: float  # chance that a book is of the reader's category
    exponent: float  # of Zipf's law of popularity in a category
    seed: int


@dataclass(frozen=True)
class Library:
    """Params of the placement."""

    made: Readers  # where no records are given
    window: int  # books i and j of one record count where they stand at most so far apart, in both orders
    costs: tuple[str, ...]
    dims: tuple[int, ...]
    starts: int  # random ones, of which the best is kept
    steps: int  # of L-BFGS, at most
    decay: float  # pull towards the entrance, which holds books together that nobody borrows together
    seed: int


def train(inputs: Inputs, params: Library, out: Path) -> Findings:
    """Place the books of `inputs.input`/records.parquet (borrower, items: list), or of a made library.

    Writes `out`/pairs.parquet (book, other, count), `out`/books.parquet (book, category; -1 where unknown) and
    `out`/places.parquet (cost, dim, book, position). The cost `distance` (without a norm) is placed too, in the first
    of the dims. Raises `Refusal` for records without two different books.
    """
    import pyarrow as pa

    if inputs.input is None:
        items, offsets, categories = made(params.made)
    else:
        records = tables.read(inputs.input / "records.parquet", ["items"])["items"].combine_chunks()
        items, offsets = records.flatten().to_numpy(), records.value_lengths().to_numpy().cumsum()
        offsets = np.append(0, offsets)
        categories = np.full(int(items.max(initial=-1)) + 1, -1)
    counts = pairs(items, offsets, categories.size, params.window)
    if counts.sum() == 0:
        raise Refusal("no borrower took two different books: give longer records")
    places = {(cost, dim): best(counts, cost, dim, params) for cost in params.costs for dim in params.dims}
    places["distance", params.dims[0]] = best(counts, "distance", params.dims[0], params)
    out.mkdir(parents=True)
    book, other = np.nonzero(counts)
    tables.write(pa.table({"book": book, "other": other, "count": counts[book, other]}), out / "pairs.parquet")
    tables.write(pa.table({"book": np.arange(len(counts)), "category": categories}), out / "books.parquet")
    rows = [
        {"cost": cost, "dim": dim, "book": i, "position": position.tolist()}
        for (cost, dim), positions in places.items()
        for i, position in enumerate(positions)
    ]
    tables.write(pa.Table.from_pylist(rows), out / "places.parquet")
    files.write_json({"params": asdict(params)}, out / "model.json")
    return Findings(metrics={"books": float(len(counts)), "pairs": float(counts.sum())})


def made(params: Readers) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Records of made readers, (items, offsets [readers + 1]), and the category of each book.

    A reader takes different books, each with its popularity times the chance of its category (a Gumbel draw).
    """
    draw = np.random.default_rng(params.seed)
    categories = np.arange(params.books) % params.categories
    popular = 1.0 / (np.arange(params.books) // params.categories + 1) ** params.exponent
    popular /= np.bincount(categories, popular)[categories]
    same = categories == np.arange(params.categories)[:, None]
    chance = popular * np.where(same, params.loyal, (1 - params.loyal) / max(params.categories - 1, 1))
    home = draw.integers(0, params.categories, params.readers)
    lengths = draw.integers(params.fewest, params.most + 1, params.readers)
    keys = np.log(chance)[home] + draw.gumbel(size=(params.readers, params.books))
    taken = np.argsort(-keys, axis=1)[:, : params.most]
    items = taken[np.arange(params.most) < lengths[:, None]]
    return items, np.concatenate([[0], np.cumsum(lengths)]), categories


def pairs(items: np.ndarray, offsets: np.ndarray, books: int, window: int) -> np.ndarray:
    """How often each two different books stand in one record, at most `window` apart, [books, books], symmetric."""
    record = np.repeat(np.arange(offsets.size - 1), np.diff(offsets))
    counts = np.zeros(books * books, dtype=np.int64)
    for apart in range(1, min(window, max(items.size - 1, 0)) + 1):
        a, b = items[:-apart], items[apart:]
        counts += np.bincount((a * books + b)[(record[:-apart] == record[apart:]) & (a != b)], minlength=books * books)
    whole = counts.reshape(books, books)
    return whole + whole.T


def _square(v: torch.Tensor) -> torch.Tensor:
    """|v_i - v_j|^2, [books, books]."""
    norms = (v * v).sum(dim=1)
    return (norms[:, None] + norms[None, :] - 2 * v @ v.T).clamp_min(0)


def _normalised(logits: torch.Tensor) -> torch.Tensor:
    """- ln q(j|i) of logits [books, books], with j != i."""
    return -logits.fill_diagonal_(-np.inf).log_softmax(dim=1)


def l2(v: torch.Tensor) -> torch.Tensor:
    """Cost f(i, j) of positions [books, dim], [books, books], as that of SNE."""
    return _normalised(-_square(v))


def dot(v: torch.Tensor) -> torch.Tensor:
    """As that of skip-gram, with one set of vectors."""
    return _normalised(v @ v.T)


def student(v: torch.Tensor) -> torch.Tensor:
    """As that of t-SNE."""
    return _normalised(-(1 + _square(v)).log())


def distance(v: torch.Tensor) -> torch.Tensor:
    """The way from the entrance to i and on to j, without a norm."""
    return ((v * v).sum(dim=1) + NEAR).sqrt()[:, None] + (_square(v) + NEAR).sqrt()


COSTS: Choices = {"l2": l2, "dot": dot, "t": student, "distance": distance}


def average(cost: Callable[[torch.Tensor], torch.Tensor], v: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
    """S = sum p(i, j) f(i, j); p is 0 for j = i, where f is infinite."""
    return (p * cost(v).masked_fill(p == 0, 0)).sum()


def best(counts: np.ndarray, cost: str, dim: int, params: Library) -> np.ndarray:
    """The positions [books, dim] of least S, by L-BFGS from `params.starts` random ones."""
    import torch

    from stages.nets.threads import one_thread

    function = choose(COSTS, cost, "costs")
    p = torch.from_numpy(counts / counts.sum())
    found = []
    with one_thread():  # matrices this small wait for each other
        for start in range(params.starts):
            draw = torch.Generator().manual_seed(params.seed + start)
            v = torch.randn(len(counts), dim, generator=draw, dtype=torch.float64).requires_grad_()
            optimiser = torch.optim.LBFGS(
                [v], max_iter=params.steps, history_size=20, line_search_fn="strong_wolfe", tolerance_change=1e-12
            )

            def closure(v=v, optimiser=optimiser) -> torch.Tensor:
                optimiser.zero_grad()
                loss = average(function, v, p) + params.decay * (v * v).sum() / len(v)
                loss.backward()
                return loss

            optimiser.step(closure)
            with torch.no_grad():
                found.append((average(function, v, p).item(), v.detach().numpy()))
    return min(found, key=lambda pair: pair[0])[1]
