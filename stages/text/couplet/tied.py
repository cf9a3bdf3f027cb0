"""Second lines that keep the rules of couplets, the best ones first: an exact search on log-probabilities by place.

    positions of one character of the first line are a class k:   S[k, v] = sum of log p_i(v) over i in k
    a second line gives every class a character of its own:       maximise sum_k S[k, v_k], all v_k different

That is an assignment (Hungarian), so what is repeated is mirrored in every answer, and nothing else repeats. No class
gets the character that it is a class of, nor one that is barred; what is no Chinese character stands as it is. The next
best ones are found by Murty's partition (1968, https://doi.org/10.1287/opre.16.3.682): forbid one choice of the best
at a time, holding those before it. Among m answers class k of K needs only its K + m - 1 best characters: if one beyond
them were used, m of them would be free, and each make an answer that is better.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from itertools import count

import numpy as np
from scipy.optimize import linear_sum_assignment

from stages.text.couplet.vocabulary import Vocabulary, han

Choice = tuple[int, ...]
"""The number of the character that each class gets."""


def classes_of(line: str) -> dict[str, list[int]]:
    """Where each Chinese character of a line stands."""
    found: dict[str, list[int]] = {}
    for place, character in enumerate(line):
        if han(character):
            found.setdefault(character, []).append(place)
    return found


def scores(line: str, logs: np.ndarray, known: Vocabulary, barred: np.ndarray) -> np.ndarray:
    """S [K, classes] of a line with log-probabilities [t, classes], -inf where a class must not have a character."""
    found = np.full((len(classes_of(line)), logs.shape[1]), -np.inf)
    for row, (character, places) in zip(found, classes_of(line).items(), strict=True):
        row[:] = logs[places].sum(0)
        row[barred] = -np.inf
        if character in known.number:
            row[known.number[character]] = -np.inf
    return found


def choices(table: np.ndarray, most: int, held: Mapping[int, int] | None = None) -> Iterator[tuple[float, Choice]]:
    """The `most` best assignments for S [K, classes], or fewer where there are fewer, as (sum of S, choice).

    `held` are classes that have their character already, and do not count in the sum.
    """
    held = held or {}
    free = [k for k in range(len(table)) if k not in held]
    taken = set(held.values())
    wanted = min(len(free) + most - 1 + len(taken), table.shape[1])
    best = np.argpartition(-table[free], wanted - 1, axis=1)[:, :wanted] if free else np.zeros(0, int)
    columns = np.array(sorted(set(best.flatten().tolist()) - taken), int)
    for total, chosen in murty(table[np.ix_(free, columns)], most):
        whole = {**held, **{k: int(columns[c]) for k, c in zip(free, chosen, strict=True)}}
        yield total, tuple(whole[k] for k in range(len(table)))


def murty(table: np.ndarray, most: int) -> Iterator[tuple[float, Choice]]:
    """The `most` best ways to give every row a column of its own, for a sum as large as can be, best first."""
    order = count()  # of equals
    waiting: list[tuple[float, int, Choice, int, np.ndarray]] = []

    def consider(open_: np.ndarray, fixed: Choice) -> None:
        """Put the best assignment that goes on from `fixed` among those that wait."""
        rest = open_[len(fixed) :].copy()
        rest[:, list(fixed)] = -np.inf
        try:
            rows, columns = linear_sum_assignment(rest, maximize=True)
        except ValueError:  # there is none
            return
        chosen = (*fixed, *columns.tolist())
        if len(rows) == len(rest):
            total = table[range(len(chosen)), list(chosen)].sum()
            heapq.heappush(waiting, (-total, next(order), chosen, len(fixed), open_))

    consider(table, ())
    for _ in range(most):
        if not waiting:
            return
        minus, _, chosen, fixed, open_ = heapq.heappop(waiting)
        yield -minus, chosen
        for place in range(fixed, len(chosen)):
            without = open_.copy()
            without[place, chosen[place]] = -np.inf
            consider(without, chosen[:place])


def written(line: str, choice: Choice, known: Vocabulary) -> str:
    """The second line: what each class got, and the rest of the first one as it is."""
    answer = dict(zip(classes_of(line), known.decode(choice), strict=True))
    return "".join(answer.get(character, character) for character in line)


def untied(line: str, logs: np.ndarray, known: Vocabulary, barred: np.ndarray) -> str:
    """The author's decoding: the likeliest character of each place but the one above it, none knowing of others."""
    found = []
    for character, row in zip(line, logs, strict=True):
        open_ = np.where(barred, -np.inf, row)
        if character in known.number:
            open_[known.number[character]] = -np.inf
        found.append(known.decode([int(open_.argmax())]) if han(character) else character)
    return "".join(found)


def violations(first: str, second: str, known: Vocabulary | None = None) -> list[str]:
    """What a second line does that it must not: "copy", "mirror", "unknown", "length", each once.

    mirror: equal characters face different ones; unknown: a Chinese character that is not `known`.
    """
    found = ["length"] if len(first) != len(second) else []
    pairs = [(a, b) for a, b in zip(first, second, strict=False) if han(a)]
    if any(a == b for a, b in pairs):
        found.append("copy")
    if len(set(pairs)) > len({a for a, _ in pairs}):
        found.append("mirror")
    if known and any(han(b) and b not in known.number for _, b in pairs):
        found.append("unknown")
    return found
