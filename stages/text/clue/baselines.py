"""What a network must beat: the most frequent answer, and logistic regression on tf-idf of characters.

    features of a pair: tf-idf of one and two characters of the first text, and of the second, side by side
    candidates: is this the right one?, of text and candidate side by side; the most probable one is the answer

Neither knows how what stands in the one text goes with what stands in the other. Spans have no such baseline, names
that of a list: a stretch that was a name in the training part, the longest first, is one again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from stages.text.clue.choice import Question, best
from stages.text.clue.classification import Record
from stages.text.clue.cluener import Text
from stages.text.clue.metrics import Entity

MOST = 50_000  # features of a text
STEPS = 200


def majority(train: Sequence[Record] | Sequence[Question]) -> str | int:
    """The most frequent label, or place of the right candidate."""
    answers = [one.label if isinstance(one, Record) else one.answer for one in train]
    return Counter(answers).most_common(1)[0][0]


def labels(train: Sequence[Record], test: Sequence[Record]) -> list[str]:
    """The labels by tf-idf and logistic regression."""
    fitted = _fitted([each.texts for each in train], [each.label for each in train])
    return list(fitted([each.texts for each in test], False))


def choices(train: Sequence[Question], test: Sequence[Question]) -> list[int]:
    """The places of the candidates that are most probably right."""
    texts = [_candidates(each) for each in train]
    right = [i == each.answer for each in train for i in range(len(each.candidates))]
    fitted = _fitted([row for rows in texts for row in rows], right)
    found = []
    for each in test:
        found.append(best(fitted(_candidates(each), True)) if each.candidates else 0)
    return found


def names(train: Sequence[Text], test: Sequence[Text]) -> list[tuple[Entity, ...]]:
    """The names by a list of those of the training part, each of the kind that it most often was."""
    kinds: dict[str, Counter[str]] = {}
    for each in train:
        for kind, first, last in each.names:
            kinds.setdefault(each.text[first : last + 1], Counter())[kind] += 1
    longest = max(map(len, kinds), default=0)
    found = []
    for each in test:
        here, place = [], 0
        while place < len(each.text):
            sizes = range(min(longest, len(each.text) - place), 0, -1)
            size = next((n for n in sizes if each.text[place : place + n] in kinds), 0)
            if size:
                kind = kinds[each.text[place : place + size]].most_common(1)[0][0]
                here.append((kind, place, place + size - 1))
            place += size or 1
        found.append(tuple(sorted(here)))
    return found


def _candidates(question: Question) -> list[list[str]]:
    return [[f"{question.before} {question.after}", candidate] for candidate in question.candidates]


def _fitted(texts: Sequence[Sequence[str]], answers: Sequence[str] | Sequence[bool]):
    """A function from texts to labels, or where asked to the probability that each is right."""
    from scipy.sparse import hstack
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    columns = [column for column in zip(*texts, strict=True) if any(column)]
    places = [i for i, column in enumerate(zip(*texts, strict=True)) if any(column)]
    seen = [TfidfVectorizer(analyzer="char", ngram_range=(1, 2), max_features=MOST).fit(column) for column in columns]

    def features(rows: Sequence[Sequence[str]]):
        return hstack([each.transform([row[i] for row in rows]) for i, each in zip(places, seen, strict=True)]).tocsr()

    model = LogisticRegression(C=10.0, max_iter=STEPS).fit(features(texts), np.asarray(answers))
    return lambda rows, odds: model.predict_proba(features(rows))[:, 1] if odds else model.predict(features(rows))
