"""Which questions were asked before: the same id, the same text but for spelling, nearly the same text.

The first two are found by 64-bit hashes alone, 16 bytes a question: ten million in 160 MB. Two different questions
share a hash with probability 3e-6 at that size. Which one stays does not depend on the order of the input.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stages.core.errors import Refusal
from stages.corpora import near
from stages.corpora.near import Near

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

MOST_NEAR = 2 << 30  # bytes of signatures
SHARES = 16  # a power of two


def pair(qid: np.ndarray, same: np.ndarray) -> np.ndarray:
    """One number for an id and a text (both hashed): uint64."""
    import numpy as np

    x = (qid ^ (same * np.uint64(0x9E3779B97F4A7C15))) * np.uint64(0xD6E8FEB86659FD93)
    return x ^ (x >> np.uint64(32))


def survivors(qid: np.ndarray, same: np.ndarray) -> tuple[np.ndarray, int, int]:
    """The pairs that stay (sorted), and how many repeat an id, and how many of the rest repeat a text.

    Of one id the least hash of a text stays, of one text then the least hash of an id.
    """
    asked = qid.size
    texts, ids = _least(qid, same)
    once = ids.size
    ids, texts = _least(texts, ids)
    kept = pair(ids, texts)
    kept.sort()
    return kept, asked - once, once - kept.size


def _least(keys: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The least value of each different key, and the keys; sorted share by share, for a sort takes memory."""
    import numpy as np

    found, done = (np.empty_like(values), np.empty_like(keys)), 0
    share = (keys >> np.uint64(65 - SHARES.bit_length())).astype(np.uint8)
    for number in range(SHARES):
        mine = share == number
        k, v = keys[mine], values[mine]
        order = np.lexsort((v, k))
        first = order[np.r_[True, k[order[1:]] != k[order[:-1]]]] if k.size else order
        end = done + first.size
        found[0][done:end], found[1][done:end], done = v[first], k[first], end
    return found[0][:done], found[1][:done]


def stays(kept: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Whether each pair is among the sorted `kept`, and the first of its kind in `pairs`: bool."""
    import numpy as np

    if not kept.size:
        return np.zeros(pairs.size, dtype=bool)
    place = np.minimum(np.searchsorted(kept, pairs), kept.size - 1)
    first = np.zeros(pairs.size, dtype=bool)
    first[np.unique(pairs, return_index=True)[1]] = True
    return first & (kept[place] == pairs)


def near_repeats(texts: pa.Array, params: Near) -> np.ndarray:
    """True for the questions (folded texts, all in memory) that nearly repeat an earlier one.

    Raises `Refusal` where the signatures of so many questions take more than 2 GiB.
    """
    import numpy as np

    size = len(texts) * params.bands * params.rows * 4
    if size > MOST_NEAR:
        raise Refusal(f"near repeats of {len(texts)} questions take {size >> 30} GiB: set near_repeats to "
                      "false, or give fewer bands")  # fmt: skip
    first = near.groups(near.signatures(texts.to_pylist(), params), params)
    return first != np.arange(len(texts))
