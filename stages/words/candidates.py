"""Stage B of the mining of terms: words and compounds of the domain, scored against the general corpus and ordered.

Article: https://kexue.fm/archives/6540, which scores the words it found, drops single characters and keeps 20,000.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.core.errors import Refusal
from stages.core.params import choose
from stages.core.progress import say
from stages.words import compounds, contrast
from stages.words.dictionary import Cut, Dictionary, cut
from stages.words.vocabularies import Side, pooled

if TYPE_CHECKING:
    from stages.words.terms import Terms

NO_GENERAL = "there is no general corpus to hold the domain against: terms are ranked by their frequency"


@dataclass(frozen=True)
class Ranked:
    """The candidates, best first, [n] each, and all words of the domain."""

    texts: pa.Array
    score: np.ndarray
    known: contrast.Evidence
    general: np.ndarray  # counts in the general corpus as they are
    grams: list[compounds.Grams]  # of all candidates, by number of words
    gram: np.ndarray  # of each candidate: its place among all grams, end to end
    cut: Cut
    words: pa.Table  # word, count, general_count, documents


def rank(domain: Side, general: Side | None, words: pa.Table, params: Terms) -> Ranked:
    """Cut both corpora with `words`, look for compounds, score, order; the best `params.keep` of `params.shortest`
    characters or more."""
    dictionary = Dictionary(words["word"].combine_chunks(), pooled(words))
    own = cut(domain.corpus, dictionary, domain.folder / "cut")
    other = cut(general.corpus, dictionary, general.folder / "cut") if general else None
    how = params.compounds
    found = compounds.candidates(own, own.documents(domain.corpus), other, how.order, how.least)
    counts, raw = found.counts.astype(np.float64), found.general.astype(np.float64)
    if params.counts == "discovered":
        if how.order != 1:
            raise Refusal("params.yaml: counts is 'discovered', but compounds are counted in a cut: set order to 1")
        counts, raw = (words[name].to_numpy().astype(np.float64) for name in ("count", "general_count"))
    single = slice(0, words.num_rows)
    scaled = raw * (counts[single].sum() / max(raw[single].sum(), 1))
    lengths = np.append(dictionary.lengths, 0)[found.parts].sum(axis=1)  # the part -1 has no length
    compound = np.arange(counts.size) >= words.num_rows
    good = (lengths >= params.shortest) & (counts > 0)
    good &= ~compound | ((found.cohesion >= how.cohesion) & (found.freedom >= how.freedom))
    texts = _texts(words, found.parts)
    good &= _han(texts) >= params.least_han * lengths
    mean, share = contrast.prior(counts[single], scaled[single])
    known = contrast.Evidence(counts, scaled, found.net, found.documents, lengths, domain.documents, mean, share)
    rows = np.flatnonzero(good)
    score = _score(params.score, general is not None)(known.at(rows))
    order = contrast.order(score, counts[rows], texts[rows])
    _, first = np.unique(texts[rows][order], return_index=True)  # one text can be made of different words
    best = rows[order[np.sort(first)]][: params.keep]
    whole = pa.table([words["word"], counts[single], raw[single], found.documents[single]], schema=WORDS)
    score_of = np.zeros(counts.size)
    score_of[rows] = score
    text = pa.array(texts[best].tolist(), pa.string())
    return Ranked(text, score_of[best], known.at(best), raw[best], found.grams, best, own, whole)


WORDS = pa.schema(
    [("word", pa.string()), ("count", pa.float64()), ("general_count", pa.float64()), ("documents", pa.int64())]
)


def _score(name: str, general: bool):
    method = choose(contrast.SCORES, name, "score")
    if general or name == "termhood":
        return method
    say(NO_GENERAL)
    return contrast.frequency


def _han(texts: np.ndarray) -> np.ndarray:
    """Chinese characters of each text."""
    return pc.count_substring_regex(pa.array(texts, pa.string()), r"\p{Han}").to_numpy(zero_copy_only=False)


def _texts(words: pa.Table, parts: np.ndarray) -> np.ndarray:
    """The text of each row of `parts` [n, order], words joined, as an array of str."""
    text = np.array([*words["word"].to_pylist(), ""], dtype=object)
    joined = text[parts[:, 0]]
    for column in parts[:, 1:].T:
        joined = joined + text[column]
    return joined
