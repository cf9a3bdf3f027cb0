"""C3: questions about a text or a dialogue, with two to four choices.

Article: https://kexue.fm/archives/8739; data: https://github.com/nlpdata/c3. A file is one list of
[[turns], [{"question": ..., "choice": [...], "answer": ...}], id]; a choice is read as [CLS] turns joined by || [SEP]
question [SEP] choice [SEP], the longest part cut first. The number: 61.33 with BERT (the official code: 64.50), 67.11
with RoBERTa on CLUE's server. A line of the submission is {"id": "0", "label": "2"}, the place of the choice.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stages.text.bert.vocabulary import Vocabulary
from stages.text.clue.choice import Question, best
from stages.text.clue.heads import Chooser
from stages.text.clue.metrics import accuracy
from stages.text.clue.records import Tally, json_lines, whole
from stages.text.clue.samples import NOTHING, Samples, fitted, packed

CHOICES = 4
NONE = "无效答案"  # a choice that is not there, as the author has it


class C3:
    """The task."""

    name, file, metric = "c3", "c311_predict.json", "accuracy"

    def read(self, path: Path, part: str, tally: Tally) -> list[Question]:
        """The questions of a file; one whose answer is none of the choices is no good for training, and left out."""
        found: list[Question] = []
        for group, (turns, asked, *_) in enumerate(whole(path)):
            for row in asked:
                question = self.question(group, len(found), "||".join(turns), row, tally)
                if question.answer == NOTHING and part != "test":
                    tally["questions whose answer is no choice left out"] += 1
                else:
                    found.append(question)
        return found

    def question(self, group: int, number: int, text: str, row: dict[str, Any], tally: Tally) -> Question:
        """One question, its choices filled up to four."""
        choices = [str(choice) for choice in row["choice"]]
        tally["questions of fewer than four choices filled up"] += len(choices) < CHOICES
        tally["questions of more than four choices cut"] += len(choices) > CHOICES
        choices = [*choices, *[NONE] * CHOICES][:CHOICES]
        answer = choices.index(row["answer"]) if row.get("answer") in choices else NOTHING
        return Question(str(row.get("id", number)), group, text, str(row["question"]), tuple(choices), answer)

    def samples(
        self, questions: Sequence[Question], known: Vocabulary, length: int, stride: int, tally: Tally
    ) -> Samples:
        """The choices as token ids of `length` at most; `stride` is not used."""
        rows, memory = [], {}
        for question in questions:
            if question.before not in memory:
                memory = {question.before: known.encode(question.before).ids}  # questions of a text follow each other
            passage, asked = memory[question.before], known.encode(question.after).ids
            sample = []
            for choice in question.candidates:
                parts = [passage, asked, known.encode(choice).ids]
                tally["choices whose text is cut"] += sum(map(len, parts)) > length - 4
                cut = fitted(parts, length - 4)
                sample.append([known.cls, *(token for part in cut for token in [*part, known.sep])])
            rows.append(sample)
        return packed(rows, [question.answer for question in questions], range(len(questions)))

    def head(self, dim: int, pool: str) -> Chooser:
        """A score a choice."""
        return Chooser(dim, pool)

    def decode(self, answers: Sequence[list[float]], samples: Samples, questions: Sequence[Question]) -> list[int]:
        """The place of the best choice that is really there."""
        found = [0] * len(questions)
        for i, scores in zip(samples.of, answers, strict=True):
            there = sum(choice != NONE for choice in questions[i].candidates)
            found[i] = best(scores[: max(1, there)])
        return found

    def score(self, questions: Sequence[Question], found: Sequence[int]) -> dict[str, float]:
        """The accuracy."""
        return {"accuracy": accuracy([question.answer for question in questions], found)}

    def submission(self, questions: Sequence[Question], found: Sequence[int]) -> str:
        """A line a question."""
        return json_lines({"id": question.id, "label": str(i)} for question, i in zip(questions, found, strict=True))

    def parsed(self, text: str) -> dict[str, int]:
        """The inverse of `submission`, by id."""
        return {row["id"]: int(row["label"]) for row in map(json.loads, text.splitlines())}


TASK = C3()
