"""Terms: the vocabulary of a domain, from its texts and texts in general, without a dictionary.

Article: "Sharing an unsupervised mining of a professional domain's vocabulary" https://kexue.fm/archives/6540; code of
the author: https://github.com/bojone/nlp-zero.

    A  words of each corpus                    vocabularies.py: new_words.py or the author's finder.py
    B  score against the general corpus        candidates.py, contrast.py; ours has terms of several words, compounds.py
    C  spreading from seeds by similarity      reach.py, spreading.py, over skip-gram vectors of the domain
    D  hand rules, off by default              rules/

The author's list had 0.22 in a contest whose data are not public, the winner's 0.49.
"""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from stages.core import files, tables
from stages.core.errors import Refusal
from stages.core.systems import Findings, Inputs
from stages.words import candidates, contrast, reach, rules, sentences, vocabularies
from stages.words.candidates import Ranked
from stages.words.finder import WordFinder
from stages.words.new_words import NewWords
from stages.words.skipgram import SkipGram
from stages.words.spreading import Spreading
from stages.words.vocabularies import Side

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Compounding:
    """Which terms of several words are looked for."""

    order: int  # words of a term; 1 for single words alone
    least: int  # count
    cohesion: float  # nats
    freedom: float  # nats


@dataclass(frozen=True)
class Terms:
    """Params of the mining."""

    finder: str  # of words: new_words or word_finder
    discovery: NewWords  # of new_words, and how the work is cut; a min_count of 0 fits the size of each corpus
    word_finder: WordFinder
    counts: Literal["discovered", "cut"]  # as found in each corpus, or of both corpora cut with one dictionary
    compounds: Compounding
    score: str  # contrast, log_odds or termhood
    shortest: int  # characters of a term
    least_han: float  # share of them that are Chinese
    keep: int  # best candidates, which go on to the spreading
    vectors: SkipGram
    vector_min_count: int
    spreading: Spreading
    only_reached: bool  # leave out what the spreading does not reach
    rules: bool  # leave out what the rules do not accept
    top: int  # terms to write
    examples: int  # sentences of each


def train(inputs: Inputs, params: Terms, out: Path) -> Findings:
    """Rank the terms of `inputs.input` against `inputs.against` (each with documents.parquet; against may be None).

    Writes `out`/terms.parquet in order of rank, `out`/words.parquet (all words with their counts, for baselines) and
    `out`/model.json. Raises `Refusal` for a domain without text and for params that leave no term.
    """
    if inputs.input is None:
        raise Refusal("params.yaml: terms need an `input`, the documents of the domain")
    scratch = Path(out) / "scratch"
    try:
        domain, general, words = vocabularies.found(inputs, params, scratch)
        made = candidates.rank(domain, general, words, params)
        depth, similarity = reach.reach(made, domain, params, inputs.spool)
        table = listing(made, depth, similarity, domain, params)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    tables.write(table, out / "terms.parquet")
    tables.write(made.words, out / "words.parquet", [("word", "ascending")])
    totals = {
        "terms": table.num_rows,
        "candidates": len(made.texts),
        "reached": int((depth >= 0).sum()),
        "documents": domain.documents,
        "duplicates": domain.duplicates,
        "words": made.words.num_rows,
    }
    files.write_json({"params": asdict(params), "totals": totals}, out / "model.json")
    return Findings(metrics={name: float(value) for name, value in totals.items()})


def listing(made: Ranked, depth: np.ndarray, similarity: np.ndarray, domain: Side, params: Terms) -> pa.Table:
    """The terms in order of rank, with what speaks for each; raises `Refusal` where none is left."""
    import pyarrow as pa

    passed = rules.accepted(made.texts, rules.load()).to_numpy(zero_copy_only=False)
    good = (depth >= 0) | (not params.only_reached)
    best = np.flatnonzero(good & (passed | (not params.rules)))[: params.top]
    if best.size == 0:
        raise Refusal("no term is left: give more text, lower `compounds`, or turn off only_reached or the rules")
    known = made.known.at(best)
    columns = tables.schema(
        term=(pa.string(), "the term"),
        score=(pa.float64(), "what the rank is by"),
        domain_count=(pa.int64(), "occurrences in the domain, in its most probable cut"),
        general_count=(pa.int64(), "occurrences in the general corpus, cut with the same words"),
        general_count_scaled=(pa.float64(), "the same, were that corpus as large as the domain"),
        contrast=(pa.float64(), "(a + m alpha) / (a + o + m), archive 6540"),
        documents=(pa.int64(), "documents of the domain with the term"),
        depth=(pa.int64(), "steps from a seed, 0 for seeds, null where spreading does not reach it"),
        similarity=(pa.float64(), "largest cosine with a word from which it was reached"),
        accepted_by_rules=(pa.bool_(), "passes the hand rules"),
        examples=(pa.list_(pa.string()), "sentences of the domain"),
    )
    values = [
        made.texts.take(pa.array(best)),
        made.score[best],
        known.counts.astype(np.int64),
        made.general[best].astype(np.int64),
        known.general,
        contrast.contrast(known),
        known.documents,
        pa.array(depth[best], mask=depth[best] < 0),
        pa.array(similarity[best], mask=np.isnan(similarity[best])),
        passed[best],
        examples(made, best, domain, params),
    ]
    return pa.table(values, schema=columns)


def examples(made: Ranked, best: np.ndarray, domain: Side, params: Terms) -> pa.Array:
    """Sentences of the domain with each of the candidates `best`, list<string>."""
    documents = made.cut.documents(domain.corpus)
    index, tokens, at = [], [], 0
    for gram in made.grams:
        mine = np.flatnonzero((made.gram[best] >= at) & (made.gram[best] < at + gram.counts.size))
        found, first = sentences.occurrences(gram.ids, documents, made.gram[best][mine] - at)
        index.append(mine[found])
        tokens.append(first)
        at += gram.counts.size
    index, tokens = np.concatenate(index), np.concatenate(tokens)
    lengths = made.known.lengths[best][index]
    source = domain.folder / "documents.parquet"
    texts = sentences.read(domain.corpus, source, params.discovery.alphabet, made.cut.places[tokens], lengths)
    return sentences.examples(index, texts, best.size, params.examples)
