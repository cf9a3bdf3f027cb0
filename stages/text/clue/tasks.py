"""The tasks by name, and what each of them does: a new one is a module and a row here.

read -> samples -> (encoder, head, loss: train.py) -> decode -> score, submission
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from torch import nn

from stages.core.params import Choices
from stages.text.bert.vocabulary import Vocabulary
from stages.text.clue import afqmc, c3, chid, cluener, cmrc, csl, iflytek, nli, tnews, wsc
from stages.text.clue.records import Tally
from stages.text.clue.samples import Samples


class Example(Protocol):
    """A record of a task, whatever its fields."""

    id: str

    @property
    def shown(self) -> str:
        """What a person reads."""

    @property
    def gold(self) -> str:
        """The right answer, "" where it is not known."""

    @property
    def texts(self) -> list[str]:
        """All texts."""


class Task(Protocol):
    """What a module of a task gives as TASK."""

    name: str
    file: str  # of the submission
    metric: str  # of `score`: that of the benchmark's table

    def read(self, path: Path, part: str, tally: Tally) -> list[Any]:
        """The examples of a file; what was mended or left out is counted in `tally`. The test part is kept whole."""

    def samples(self, examples: Sequence[Any], known: Vocabulary, length: int, stride: int, tally: Tally) -> Samples:
        """What an encoder reads of them."""

    def head(self, dim: int, pool: str) -> nn.Module:
        """The head: forward(hidden, batch) -> scores, loss(scores, targets), answers(scores), one a sample."""

    def decode(self, answers: Sequence[Any], samples: Samples, examples: Sequence[Any]) -> list[Any]:
        """What is predicted of each example."""

    def score(self, examples: Sequence[Any], found: Sequence[Any]) -> dict[str, float]:
        """The metrics of the predictions, 0 to 1."""

    def submission(self, examples: Sequence[Any], found: Sequence[Any]) -> str:
        """The file that CLUE's server takes."""

    def parsed(self, text: str) -> dict[str, Any]:
        """The predictions of such a file, by id."""


TASKS: Choices = {
    "afqmc": afqmc.TASK,
    "c3": c3.TASK,
    "chid": chid.TASK,
    "cluener": cluener.TASK,
    "cluewsc2020": wsc.TASK,
    "cmnli": nli.CMNLI,
    "cmrc2018": cmrc.TASK,
    "csl": csl.TASK,
    "iflytek": iflytek.TASK,
    "ocnli": nli.OCNLI,
    "tnews": tnews.TASK,
}
