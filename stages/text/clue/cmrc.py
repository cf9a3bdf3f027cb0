"""CMRC 2018: a question's answer is a stretch of a passage.

Article: https://kexue.fm/archives/8739; data: https://github.com/ymcui/cmrc2018, in the layout of SQuAD. A passage is
read in windows, [CLS] question [SEP] window [SEP], which begin every `stride` tokens; one GlobalPointer scores all
spans, with the question hidden from it. A window without the answer points at [CLS].

    answer = the best span of the window whose best span has the largest score, as it stands in the passage

The number: 72.10 with BERT, 75.40 with RoBERTa on CLUE's server, exact match. The submission is one object
{question's id: answer}.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from stages.core.errors import Refusal
from stages.text.bert.vocabulary import Tokens, Vocabulary
from stages.text.clue.metrics import exact, overlap
from stages.text.clue.pointer import OneSpan
from stages.text.clue.records import Tally, whole
from stages.text.clue.samples import Samples, packed
from stages.text.clue.wsc import nearest


@dataclass(frozen=True)
class Asked:
    """A question; `answers` are (words, place of the first character), none where they are not known."""

    id: str
    question: str
    passage: str
    answers: tuple[tuple[str, int], ...]

    @property
    def shown(self) -> str:
        """What a person reads."""
        return f"{self.passage} ／ {self.question}"

    @property
    def gold(self) -> str:
        """The right answer."""
        return self.answers[0][0] if self.answers else ""

    @property
    def texts(self) -> list[str]:
        """All texts."""
        return [self.question, self.passage]


class Cmrc:
    """The task."""

    name, file, metric = "cmrc2018", "cmrc2018_predict.json", "exact"

    def read(self, path: Path, part: str, tally: Tally) -> list[Asked]:
        """The questions of a file; of the training part those whose answer stands in the passage."""
        found = []
        for article in whole(path)["data"]:
            for paragraph in article["paragraphs"]:
                for row in paragraph["qas"]:
                    passage = paragraph["context"]
                    told = [(str(each["text"]), int(each["answer_start"])) for each in row.get("answers", ())]
                    answers = tuple(self.placed(passage, told, tally))
                    if not answers and part == "train":
                        tally["questions whose answer is not in the passage left out"] += 1
                    else:  # the official script counts every question of the dev part
                        given = answers or tuple((words, -1) for words, _ in told)
                        found.append(Asked(str(row["id"]).strip(), str(row["question"]), passage, given))
        return found

    def placed(self, passage: str, told: Sequence[tuple[str, int]], tally: Tally) -> Iterator[tuple[str, int]]:
        """The answers that stand in the passage, each where it stands nearest to where it is said to."""
        for words, start in dict.fromkeys(told):
            if words and passage.startswith(words, start) and start >= 0:
                yield words, start
            elif words.strip() and (found := nearest(passage, words.strip(), start)) is not None:
                tally["answers moved to where they stand"] += 1
                yield words.strip(), found
            else:
                tally["answers that are not in the passage left out"] += 1

    def samples(self, asked: Sequence[Asked], known: Vocabulary, length: int, stride: int, tally: Tally) -> Samples:
        """All windows of all questions."""
        if length < stride + 4:
            raise Refusal(f"params.yaml: a length of {length} leaves no room for a window of {stride} tokens")
        rows, cells, of, windows, slices = [], [], [], [], []
        memory: dict[str, Tokens] = {}
        for i, one in enumerate(asked):
            if one.passage not in memory:
                memory = {one.passage: known.encode(one.passage)}  # questions of a passage follow each other
            tokens, question = memory[one.passage], known.encode(one.question).ids
            tally["questions cut"] += len(question) > length - 3 - stride
            question = question[: length - 3 - stride]
            begin, size = len(question) + 2, length - 3 - len(question)
            span = spanned(tokens, one.answers[0]) if one.answers and one.answers[0][1] >= 0 else None
            inside = False
            for first in range(0, max(1, len(tokens.ids) - size + stride), stride):
                last = min(first + size, len(tokens.ids))
                held = span is not None and first <= span[0] and span[1] < last
                inside |= held
                rows.append([[known.cls, *question, known.sep, *tokens.ids[first:last], known.sep]])
                cells.append([(0, begin + span[0] - first, begin + span[1] - first)] if held else [(0, 0, 0)])
                windows.append((begin, begin + last - first))
                slices.append((tokens.starts[first:last], tokens.ends[first:last]))
                of.append(i)
            tally["answers that no window holds"] += span is not None and not inside
        return packed(rows, cells, of, windows, slices)

    def head(self, dim: int, pool: str) -> OneSpan:
        """One span; `pool` is not used."""
        return OneSpan(dim, 1, bias=False)

    def decode(self, answers: Sequence[tuple[float, int, int]], samples: Samples, asked: Sequence[Asked]) -> list[str]:
        """The slice of the passage that the best window points at."""
        best: dict[int, tuple[float, str]] = {}
        for row, (i, (score, start, end)) in enumerate(zip(samples.of, answers, strict=True)):
            begins, ends = samples.slices[row]
            if begins and score > best.get(i, (float("-inf"), ""))[0]:
                begin = int(samples.window[row, 0])
                best[i] = score, asked[i].passage[begins[start - begin] : ends[end - begin]]
        return [best.get(i, (0.0, ""))[1] for i in range(len(asked))]

    def score(self, asked: Sequence[Asked], found: Sequence[str]) -> dict[str, float]:
        """Exact match and F1, the best over the answers."""
        given = [[words for words, _ in one.answers] for one in asked]
        pairs = list(zip(given, found, strict=True))
        return {"exact": fmean(exact(a, b) for a, b in pairs), "f1": fmean(overlap(a, b) for a, b in pairs)}

    def submission(self, asked: Sequence[Asked], found: Sequence[str]) -> str:
        """One object."""
        answers = {one.id: words for one, words in zip(asked, found, strict=True)}
        return json.dumps(answers, ensure_ascii=False, indent=1) + "\n"

    def parsed(self, text: str) -> dict[str, str]:
        """The inverse of `submission`."""
        return json.loads(text)


def spanned(tokens: Tokens, answer: tuple[str, int]) -> tuple[int, int] | None:
    """The first and last token of an answer (words, start); None where no token is of it."""
    words, start = answer
    first, last = bisect_right(tokens.ends, start), bisect_left(tokens.starts, start + len(words)) - 1
    return (first, last) if first <= last else None


TASK = Cmrc()
