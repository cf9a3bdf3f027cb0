"""Couplets that no network here has seen, and what each network makes of them.

Pairs whose lines are whole couplets each, as some collections have them by mistake, cannot be answered; a pair counts
as one where its halves answer each other better, by a network's one pass, than its lines do. The numbers are of all
pairs, and under *_sound of all others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from stages.text.couplet.batches import chunks
from stages.text.couplet.likelihoods import one_pass
from stages.text.couplet.measures import AT_ONCE, accuracy, kept, likelihoods
from stages.text.couplet.robot import Decoding, Robot

if TYPE_CHECKING:
    import pyarrow as pa


def scored(
    robots: Mapping[str, Robot], first: Sequence[str], second: Sequence[str], decoding: Decoding
) -> tuple[dict[str, dict[str, float]], pa.Table]:
    """The metrics of each network, and a table: first, second, then the answer of each by name, and its nats."""
    import pyarrow as pa

    judge = next(iter(robots.values()))
    sound = [i for i, wrong in enumerate(joined(judge, first, second)) if not wrong]
    found: dict[str, dict[str, float]] = {}
    columns: dict[str, list] = {"first": list(first), "second": list(second)}
    for name, robot in robots.items():
        answers = [some[0] for some in robot.answer(first, 1, decoding)]
        lines, loose = [answer.second for answer in answers], robot.untied(first)
        row = {"couplets": float(len(first)), "couplets_sound": float(len(sound))}
        row |= {"characters": float(sum(map(len, first))), "vocabulary": float(robot.classes)}
        row |= likelihoods(robot, first, second) | {"accuracy": accuracy(lines, second)}
        if sound:
            some = likelihoods(robot, [first[i] for i in sound], [second[i] for i in sound])
            row |= {f"{key}_sound": value for key, value in some.items()}
        row |= kept(first, lines, robot.known)
        row |= {f"{key}_untied": value for key, value in kept(first, loose, robot.known).items()}
        found[name] = row
        columns |= {name: lines, f"{name}_nats": [answer.score for answer in answers], f"{name}_untied": loose}
    return found, pa.table(columns)


def joined(robot: Robot, first: Sequence[str], second: Sequence[str]) -> list[bool]:
    """Whether the halves of a pair answer each other better than its lines do."""
    even = [i for i, line in enumerate(first) if len(line) % 2 == 0 and len(line) >= 6]
    cut = [(line[: len(line) // 2], line[len(line) // 2 :]) for i in even for line in (first[i], second[i])]
    whole = worth(robot, first, second)
    halves = worth(robot, [a for a, _ in cut], [b for _, b in cut])
    found = [False] * len(first)
    for place, i in enumerate(even):
        found[i] = bool(halves[2 * place : 2 * place + 2].mean() > whole[i])
    return found


def worth(robot: Robot, first: Sequence[str], second: Sequence[str]) -> np.ndarray:
    """log p of second lines by one pass, nats a character [n]."""
    found = np.zeros(len(first))
    for rows in chunks(first, AT_ONCE):
        a, b = (robot.numbers([side[row] for row in rows]) for side in (first, second))
        found[rows] = one_pass(robot.net, a, b, robot.classes).mean(1).cpu()
    return found
