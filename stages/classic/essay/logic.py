"""What one threshold unit can say, and what takes two.

Article: https://kexue.fm/archives/3331. A unit says w x + b > 0. AND, OR and NOT are units; XOR is none, for no line
parts its corners (w1 + b > 0, w2 + b > 0 and b <= 0 give w1 + w2 + b > 0); (x1 OR x2) AND NOT (x1 AND x2) is one of
two hidden units.
"""

from __future__ import annotations

import itertools

import numpy as np

CORNERS = np.array(list(itertools.product((0, 1), repeat=2)))  # [4, 2]
AND, OR, XOR = (np.array(row) for row in ((0, 0, 0, 1), (0, 1, 1, 1), (0, 1, 1, 0)))
GRID = np.arange(-4, 4.25, 0.25)
"""Values that w1, w2 and b are tried with."""


def units() -> np.ndarray:
    """What every unit of the grid says at the four corners, [units, 4]."""
    w = np.stack(np.meshgrid(GRID, GRID, GRID, indexing="ij"), -1).reshape(-1, 3)
    return (w[:, :2] @ CORNERS.T + w[:, 2:] > 0).astype(int)


def unit_says(truth: np.ndarray) -> bool:
    """Whether some unit of the grid says `truth` [4]."""
    return bool((units() == truth).all(1).any())


def two_hidden_say(truth: np.ndarray) -> bool:
    """Whether some unit says it of what two units say."""
    said = np.unique(units(), axis=0)  # [functions, 4], of one unit
    for first, second in itertools.combinations(said, 2):
        place = 2 * first + second  # the corner that each corner is sent to
        if (said[:, place] == truth).all(1).any():
            return True
    return False


def separable(truth: np.ndarray, epochs: int = 100) -> bool:
    """Whether the perceptron's rule ends, which it does just where a line parts the corners."""
    w, x = np.zeros(3), np.concatenate([CORNERS, np.ones((4, 1))], 1)
    for _ in range(epochs):
        wrong = 0
        for row, says in zip(x, truth, strict=True):
            off = says - int(w @ row > 0)
            w, wrong = w + off * row, wrong + abs(off)
        if not wrong:
            return True
    return False
