"""CHID: which idiom was taken out here? The blanks of a document share their candidates, and no idiom is used twice.

Article: https://kexue.fm/archives/8739; data: https://github.com/CLUEbenchmark/CLUE. A line is {"candidates": [10
idioms], "content": ["...#idiom000378#...", ...]}, the answers {"#idiom000378#": 3} are in PART_answer.json; FewCLUE has
7 candidates, one text with #idiom# and "answer" in the line itself. A candidate is read as

    [CLS] candidate [SEP] left [unused1] right [SEP]        other blanks are four [MASK]; cut evenly around the blank

and a document answered by the assignment of idioms to blanks whose scores have the largest sum (Hungarian algorithm),
worth about 6 points. The number: 85.13 with BERT, 86.04 with RoBERTa on CLUE's server. The submission is one object
{"#idiom000378#": 3}.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from stages.text.bert.vocabulary import Vocabulary
from stages.text.clue.choice import Question
from stages.text.clue.heads import Chooser
from stages.text.clue.metrics import accuracy
from stages.text.clue.records import Tally, lines, whole
from stages.text.clue.samples import NOTHING, Samples, packed

CANDIDATES = 10
BLANK = re.compile(r"#idiom\d*#")
IDIOM = 4  # tokens of another blank


class Chid:
    """The task."""

    name, file, metric = "chid", "chid11_predict.json", "accuracy"

    def read(self, path: Path, part: str, tally: Tally) -> list[Question]:
        """The blanks of a file, document by document; of other parts than the test those with an answer."""
        kept = path.with_name(f"{path.stem}_answer.json")
        answers = whole(kept) if kept.exists() else {}
        found: list[Question] = []
        for group, row in enumerate(lines(path, tally)):
            candidates = tuple(map(str, row.get("candidates") or ()))
            document = list(self.blanks(group, row, candidates, answers))
            tally["documents of more blanks than candidates"] += len(document) > len(candidates)
            tally[f"documents of fewer than {CANDIDATES} candidates"] += len(candidates) < CANDIDATES
            known = [question for question in document if part == "test" or 0 <= question.answer < len(candidates)]
            tally["blanks without an answer left out"] += len(document) - len(known)
            found += known
        return found

    def blanks(
        self, group: int, row: dict[str, Any], candidates: tuple[str, ...], answers: dict[str, int]
    ) -> Iterator[Question]:
        """The blanks of one document."""
        texts = row.get("content") or []
        for text in [texts] if isinstance(texts, str) else texts:
            for blank in BLANK.finditer(text):
                name = blank.group() if blank.group() in answers or "id" not in row else str(row["id"])
                answer = answers.get(name, row.get("answer", NOTHING))
                yield Question(name, group, text[: blank.start()], text[blank.end() :], candidates, int(answer))

    def samples(
        self, questions: Sequence[Question], known: Vocabulary, length: int, stride: int, tally: Tally
    ) -> Samples:
        """The candidates as token ids of `length` at most; `stride` is not used."""
        rows = []
        for question in questions:
            idioms = [known.encode(idiom).ids for idiom in question.candidates]
            left, right = (self.side(text, known) for text in (question.before, question.after))
            room = max(0, length - 4 - max(map(len, idioms), default=0))  # [CLS], two [SEP], [unused1]
            tally["texts cut around the blank"] += len(left) + len(right) > room
            half = min(len(left), max(room // 2, room - len(right)))
            around = [*left[len(left) - half :], known.unused(1), *right[: room - half], known.sep]
            rows.append([[known.cls, *idiom, known.sep, *around] for idiom in idioms] or [[known.cls]])
        return packed(rows, [question.answer for question in questions], range(len(questions)))

    def side(self, text: str, known: Vocabulary) -> list[int]:
        """The tokens of a text that may have other blanks."""
        first, *others = BLANK.split(text)
        tokens = known.encode(first).ids
        for part in others:
            tokens = [*tokens, *[known.mask] * IDIOM, *known.encode(part).ids]
        return tokens

    def head(self, dim: int, pool: str) -> Chooser:
        """A score a candidate."""
        return Chooser(dim, pool)

    def decode(self, answers: Sequence[list[float]], samples: Samples, questions: Sequence[Question]) -> list[int]:
        """The assignment of every document."""
        scores = dict(zip(samples.of, answers, strict=True))
        found: list[int] = []
        for _, blanks in groupby(range(len(questions)), key=lambda i: questions[i].group):
            places = list(blanks)
            count = max(1, len(questions[places[0]].candidates))
            found += assigned(np.array([scores[i][:count] for i in places]))
        return found

    def score(self, questions: Sequence[Question], found: Sequence[int]) -> dict[str, float]:
        """The accuracy."""
        return {"accuracy": accuracy([question.answer for question in questions], found)}

    def submission(self, questions: Sequence[Question], found: Sequence[int]) -> str:
        """One object."""
        return json.dumps({question.id: i for question, i in zip(questions, found, strict=True)}, indent=1) + "\n"

    def parsed(self, text: str) -> dict[str, int]:
        """The inverse of `submission`."""
        return json.loads(text)


def assigned(scores: np.ndarray) -> list[int]:
    """A column for each row of scores [blanks, candidates], all different, with the largest sum.

    Of more blanks than candidates those that the assignment leaves over take their best column.
    """
    from scipy.optimize import linear_sum_assignment

    found = scores.argmax(1)
    rows, columns = linear_sum_assignment(scores, maximize=True)
    found[rows] = columns
    return found.tolist()


TASK = Chid()
