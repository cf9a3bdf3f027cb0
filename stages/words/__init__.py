"""Words from text: n-grams, new words."""

from __future__ import annotations

from stages.core.params import Choices
from stages.words import bakeoff, new_words, retrieval, terms

TRAIN: Choices = {"new_words": new_words.train, "terms": terms.train}
EVALUATE: Choices = {"new_words": bakeoff.evaluate, "terms": retrieval.evaluate}
