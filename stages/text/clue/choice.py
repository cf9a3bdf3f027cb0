"""Tasks that choose one of several candidates, each read together with the text: what C3 and CHID have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stages.text.clue.samples import NOTHING


@dataclass(frozen=True)
class Question:
    """A question with its candidates; `answer` is the place of the right one, NOTHING where it is not known."""

    id: str
    group: int  # questions of one document
    before: str  # C3: the passage; CHID: what stands left of the blank
    after: str  # C3: the question; CHID: what stands right of it
    candidates: tuple[str, ...]
    answer: int

    @property
    def shown(self) -> str:
        """What a person reads."""
        return f"{self.before} ＿＿ {self.after} （{'｜'.join(self.candidates)}）"

    @property
    def gold(self) -> str:
        """The right answer."""
        return "" if self.answer == NOTHING else self.candidates[self.answer]

    @property
    def texts(self) -> list[str]:
        """All texts."""
        return [self.before, self.after, *self.candidates]


def best(scores: Sequence[float]) -> int:
    """The place of the largest, the first of equals."""
    return max(range(len(scores)), key=scores.__getitem__)
