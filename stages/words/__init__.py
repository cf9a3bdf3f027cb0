"""Words from text: n-grams, new words."""

from __future__ import annotations

from stages.core.params import Choices
from stages.words import bakeoff, kinds, library, new_words, retrieval, shelves, terms, vectors

TRAIN: Choices = {
    "new_words": new_words.train,
    "vectors": vectors.train,
    "terms": terms.train,
    "library": library.train,
}
EVALUATE: Choices = {
    "new_words": bakeoff.evaluate,
    "vectors": kinds.evaluate,
    "terms": retrieval.evaluate,
    "library": shelves.evaluate,
}
