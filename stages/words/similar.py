"""Which words are near: nearest neighbours by cosine and analogies, as products of whole blocks of vectors.

Analogies as in Mikolov, Yih & Zweig 2013 (https://aclanthology.org/N13-1090/):

    a : b :: c : ?        argmax over d not in {a, b, c} of cos(d, b - a + c), with a, b, c of length 1   (3CosAdd)
"""

from __future__ import annotations

import numpy as np

AT_ONCE = 1 << 25  # cosines held at a time


def unit(vectors: np.ndarray) -> np.ndarray:
    """`vectors` [n, d] as float32 rows of length 1; a row of zeros stays one."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32, copy=False)


def nearest(vectors: np.ndarray, rows: np.ndarray, top: int) -> tuple[np.ndarray, np.ndarray]:
    """The `top` rows of `vectors` [n, d] nearest to each of `rows` [m] by cosine, itself left out.

    Returns (ids, cosines), both [m, min(top, n - 1)], nearest first, ties by the smaller id.
    """
    whole, rows = unit(vectors), np.asarray(rows, dtype=np.int64)
    return _best(whole, whole[rows], rows[:, None], min(top, len(whole) - 1))


def analogies(vectors: np.ndarray, questions: np.ndarray) -> np.ndarray:
    """3CosAdd: the row d that answers each question a : b :: c : d, given `questions` [m, 3] of rows a, b, c; [m]."""
    whole = unit(vectors)
    a, b, c = (whole[questions[:, i]] for i in range(3))
    return _best(whole, b - a + c, questions, 1)[0][:, 0]


def _best(whole: np.ndarray, wanted: np.ndarray, without: np.ndarray, top: int) -> tuple[np.ndarray, np.ndarray]:
    """The `top` rows of `whole` with the largest product with each of `wanted` [m, d], rows `without` [m, *] not."""
    ids = np.empty((len(wanted), top), dtype=np.int64)
    cosines = np.empty((len(wanted), top), dtype=np.float32)
    step = max(1, AT_ONCE // max(len(whole), 1))
    for begin in range(0, len(wanted), step):
        part = slice(begin, begin + step)
        products = wanted[part] @ whole.T
        np.put_along_axis(products, without[part], -np.inf, axis=1)
        found = np.sort(np.argpartition(-products, top - 1, axis=1)[:, :top], axis=1) if top else ids[part]
        held = np.take_along_axis(products, found, axis=1)
        order = np.argsort(-held, axis=1, kind="stable")
        ids[part], cosines[part] = (np.take_along_axis(side, order, axis=1) for side in (found, held))
    return ids, cosines
