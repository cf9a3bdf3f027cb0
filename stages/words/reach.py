"""Stage C of the mining of terms: vectors of the domain's words, and how far from the seeds each term is.

Article: https://kexue.fm/archives/6540: the domain corpus is cut with the discovered vocabulary (here with the terms
of several words in it too), skip-gram vectors of 100 numbers are trained on it, and the words that spreading from
about 150 seeds reaches are the terms.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.core.progress import say
from stages.words.candidates import Ranked
from stages.words.dictionary import Dictionary, cut
from stages.words.skipgram import fit
from stages.words.spreading import Spreading, spread
from stages.words.vocabularies import Side

if TYPE_CHECKING:
    from stages.words.terms import Terms


def reach(made: Ranked, domain: Side, params: Terms, spool: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """Depth (-1: not reached) and similarity (nan) of each candidate, [n] each, as from `spreading.spread`."""
    words, vectors = vectors_of(made, domain, params, spool)
    depth, similarity = spread(
        vectors,
        seeds(made, words, params.spreading),
        params.spreading,
        _mean(params.spreading.centre, words, vectors),
        _mean(params.spreading.negative, words, vectors),
    )
    row = pc.index_in(made.texts, value_set=words).fill_null(-1).to_numpy()
    return np.append(depth, -1)[row], np.append(similarity, np.nan)[row]


def vectors_of(made: Ranked, domain: Side, params: Terms, spool: Path | None) -> tuple[pa.Array, np.ndarray]:
    """The words of the domain, candidates among them, that occur often enough, and their vectors [words, dim]."""
    compound = made.texts.filter(pc.invert(pc.is_in(made.texts, value_set=made.words["word"].combine_chunks())))
    words, final = made.words["word"].combine_chunks(), made.cut
    if len(compound):
        counts = dict(zip(made.texts.to_pylist(), made.known.counts.tolist(), strict=True))
        weights = np.append(made.words["count"].to_numpy(), [counts[text] for text in compound.to_pylist()])
        words = pa.concat_arrays([words, compound])
        final = cut(domain.corpus, Dictionary(words, weights), domain.folder / "final")
    used = np.flatnonzero(final.counts() >= params.vector_min_count)
    row = np.full(len(words) + 1, -1, dtype=np.int32)  # the last is that of no word
    row[used] = np.arange(used.size)
    ids = row[final.rows]
    documents = final.documents(domain.corpus)[ids >= 0]
    offsets = np.searchsorted(documents, np.arange(domain.corpus.documents().size + 1)).astype(np.int64)
    vectors, _ = fit(ids[ids >= 0], offsets, used.size, params.vectors, spool)
    return words.take(pa.array(used)), vectors


def seeds(made: Ranked, words: pa.Array, params: Spreading) -> np.ndarray:
    """Rows of the seeds among `words`: those named, or the head of the ranking; the ones without a vector are told."""
    wanted = pa.array(params.seeds, pa.string()) if params.seeds else made.texts.slice(0, params.seed_count)
    return _rows(wanted, words, "seeds")


def _mean(named: tuple[str, ...], words: pa.Array, vectors: np.ndarray) -> np.ndarray | None:
    rows = _rows(pa.array(named, pa.string()), words, "words of centre or negative")
    return vectors[rows].mean(axis=0) if rows.size else None


def _rows(wanted: pa.Array, words: pa.Array, what: str) -> np.ndarray:
    rows = pc.index_in(wanted, value_set=words)
    if rows.null_count:
        lacking = wanted.filter(rows.is_null()).to_pylist()
        say(f"{len(lacking)} of {len(wanted)} {what} have no vector in the domain: {', '.join(lacking[:10])}")
    return rows.drop_null().to_numpy(zero_copy_only=False).astype(np.int64)
