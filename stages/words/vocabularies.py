"""Stage A of the mining of terms: the words of a domain corpus and of a general one, in one table.

Article: https://kexue.fm/archives/6540, which strips everything but Han characters and finds words in each corpus
alone. Documents that repeat are left out first: one repeated regulation would make its sentences words.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.core import tables
from stages.core.params import Choices, choose
from stages.core.systems import Inputs
from stages.words import finder, new_words, parallel
from stages.words.encoded import Encoded, encode

if TYPE_CHECKING:
    from stages.words.terms import Terms


@dataclass(frozen=True)
class Side:
    """One corpus: its distinct documents.parquet in `folder`, encoded."""

    folder: Path
    corpus: Encoded
    documents: int
    duplicates: int


def side(source: Path, alphabet: str, folder: Path) -> Side | None:
    """The distinct documents of `source`, written and encoded into `folder`; None where `source` has none."""
    seen: set[bytes] = set()
    rows = 0
    with tables.writer(folder / "documents.parquet", pa.schema([("text", pa.string())])) as out:
        for batch in tables.batches(source / "documents.parquet", ["text"], rows=1024):
            texts = batch.column(0).drop_null()
            prints = [hashlib.md5(text.as_buffer()).digest() for text in texts]
            first = [not (mark in seen or seen.add(mark)) for mark in prints]  # add gives None
            rows += len(texts)
            out.write_table(pa.table({"text": texts.filter(pa.array(first, pa.bool_())).cast(pa.string())}))
    if rows == 0:
        return None
    corpus = encode(folder / "documents.parquet", alphabet, folder / "ids")
    return Side(folder, corpus, len(seen), rows - len(seen))


def found(inputs: Inputs, params: Terms, scratch: Path) -> tuple[Side, Side | None, pa.Table]:
    """The domain, the general corpus (None where there is no text) and the words of both, sorted by text.

    Columns: word, count (in the domain, as discovered), general_count (as discovered), both 0 where a word was
    found in one corpus only.
    """
    alphabet = params.discovery.alphabet
    domain = side(inputs.input, alphabet, scratch / "domain")
    if domain is None:
        encode(inputs.input / "documents.parquet", alphabet, scratch / "none")  # which refuses
    general = side(inputs.against, alphabet, scratch / "general") if inputs.against else None
    discover = choose(FINDERS, params.finder, "finder")
    own = discover(domain, params)
    other = discover(general, params) if general else own.slice(0, 0)
    whole = own.join(other.rename_columns(["word", "general_count"]), "word", join_type="full outer")
    columns = [pc.fill_null(whole[name], 0) for name in ("count", "general_count")]
    return domain, general, pa.table([whole["word"], *columns], ["word", "count", "general_count"]).sort_by("word")


def pooled(words: pa.Table) -> np.ndarray:
    """Count of each word in both corpora, as if both were as large as the domain, [words] float64."""
    counts, general = (words[name].to_numpy().astype(np.float64) for name in ("count", "general_count"))
    return counts + general * (counts.sum() / max(general.sum(), 1))


def _by_gain(side: Side, params: Terms) -> pa.Table:
    """Words by new_words.py."""
    settings = params.discovery
    least = settings.min_count or new_words.usual_min_count(side.corpus.total)
    new_words.train(Inputs(input=side.folder), replace(settings, min_count=least), side.folder / "words")
    return tables.read(side.folder / "words" / "words.parquet", ["word", "count"])


def _by_gluing(side: Side, params: Terms) -> pa.Table:
    """Words by the author's finder.py."""
    how, settings = new_words.plan(side.corpus, params.discovery), params.discovery
    with parallel.executor(settings.executor, settings.workers, settings.address) as apply:
        return finder.find(side.corpus, params.word_finder, how, apply, side.folder / "ids")


Finder = Callable[[Side, "Terms"], pa.Table]
FINDERS: Choices = {"new_words": _by_gain, "word_finder": _by_gluing}
