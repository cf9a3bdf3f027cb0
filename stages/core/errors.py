"""The one kind of error that people are meant to read."""

from __future__ import annotations


class Refusal(Exception):
    """Bad input or a bad environment, told in one sentence that names the file or key and the mend.

    The runner prints the sentence and exits with 1; everything else is a defect and keeps its traceback.
    """


class Unreachable(Refusal):
    """A host or the network does not answer: the same again, later, may go well. The runner exits with 75."""


def one_line(error: BaseException) -> str:
    """The message of `error` (or its type's name) folded onto one line, for use inside a `Refusal`."""
    return " ".join(str(error).split()) or type(error).__name__
