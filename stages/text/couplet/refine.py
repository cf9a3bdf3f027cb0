"""Second lines made better by a network that reads them: mask what it is least sure of, and choose that anew.

Paper: Ghazvininejad et al. 2019, https://arxiv.org/abs/1904.09324, here by classes of equal characters: in turn r of R
the K (R - r) / (R + 1) least sure ones, r = 0, 1 .., so that fewer and fewer are masked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from stages.text.couplet.tied import Choice, choices, classes_of, scores, written
from stages.text.couplet.vocabulary import Vocabulary

Read = Callable[[Sequence[str], np.ndarray], np.ndarray]
"""First lines, and second ones [n, t] with len(known) where nothing is known -> log p [n, t, classes]."""


def refined(
    read: Read,
    lines: Sequence[str],
    first: np.ndarray,
    chosen: Sequence[Iterable[Choice]],
    known: Vocabulary,
    barred: np.ndarray,
    rounds: int,
) -> list[tuple[int, Choice]]:
    """What becomes of each choice of each line, as (number of the line, choice); all lines are of one length.

    `first` [n, t, classes] is log p without any of the second line.
    """
    state = [(row, choice) for row, some in enumerate(chosen) for choice in some]
    places = [list(classes_of(line).values()) for line in lines]
    sure = [sureness(first[row], places[row], choice) for row, choice in state]
    repeated = [lines[row] for row, _ in state]
    for turn in range(rounds):
        held: list[dict[int, int]] = []
        shown = np.array([known.encode(written(lines[row], choice, known)) for row, choice in state])
        for (row, choice), found, numbers in zip(state, sure, shown, strict=True):
            weak = np.argsort(found, kind="stable")[: -(-len(found) * (rounds - turn) // (rounds + 1))]
            held.append({k: v for k, v in enumerate(choice) if k not in weak})
            numbers[[place for k in weak for place in places[row][k]]] = len(known)
        logs = read(repeated, shown)
        for i, (row, choice) in enumerate(state):
            table = scores(lines[row], logs[i], known, barred)
            choice = next((anew for _, anew in choices(table, 1, held[i])), choice)
            now = sureness(logs[i], places[row], choice)
            now[list(held[i])] = sure[i][list(held[i])]  # what is shown is not predicted
            state[i], sure[i] = (row, choice), now
    return state


def sureness(logs: np.ndarray, places: Sequence[Sequence[int]], choice: Choice) -> np.ndarray:
    """The mean log p [K] of what each class has got, over its places."""
    return np.array([logs[where, v].mean() for where, v in zip(places, choice, strict=True)])
