"""Text in Arrow columns: hashes, folding and tidying without a Python loop over rows."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

STEP = 1 << 14  # rows hashed at a time
INVISIBLE = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x{ad}\x{200b}-\x{200f}\x{202a}-\x{202e}\x{2060}\x{feff}]"
LOOSE = (
    r"[\s\x{3000}、，,。.；;：:·・•“”\"'‘’「」『』《》〈〉()\[\]【】—–\-…!?~_|]+"  # what may differ between equal texts
)


def rewritten(texts: pa.Array, pattern: str, change: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """`texts` with `change` applied to those in which `pattern` (RE2) occurs: cheap where few do."""
    import pyarrow.compute as pc

    found = pc.fill_null(pc.match_substring_regex(texts, pattern), False)
    if not pc.any(found).as_py():
        return texts
    return pc.replace_with_mask(texts, found, change(texts.filter(found)))


def replaced(texts: pa.Array, pattern: str, by: str) -> pa.Array:
    """`texts` with every match of `pattern` (RE2) replaced."""
    import pyarrow.compute as pc

    return rewritten(texts, pattern, lambda part: pc.replace_substring_regex(part, pattern, by))


def once(texts: pa.Array, change: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """`change` applied to each distinct text once: for columns of few values."""
    coded = texts.dictionary_encode()
    return change(coded.dictionary).take(coded.indices)


def folded(texts: pa.Array) -> pa.Array:
    """What is left of each text where spelling does not count: NFKC, lower case, no blanks, no punctuation.

    In texts with a digit only blanks beside no digit go: 1.5 is not 15 and 1-2 is not 12. A text of nothing but
    punctuation stays as it is.
    """
    import pyarrow.compute as pc

    even = pc.utf8_lower(rewritten(texts, r"[^\x00-\x7f]", lambda part: pc.utf8_normalize(part, "NFKC")))
    digits = pc.match_substring_regex(even, r"\p{Nd}")
    bare = replaced(pc.if_else(digits, "", even), LOOSE, "")
    tight = replaced(pc.if_else(digits, even, ""), r"\s", " ")
    tight = replaced(replaced(tight, r" *([^\p{Nd} ]) *", r"\1"), r"[、，,。.；;：:…!?~]+$", "")
    short = pc.if_else(digits, tight, bare)
    return pc.if_else(pc.equal(short, ""), texts, short)


def hashes(texts: pa.Array) -> np.ndarray:
    """A 64-bit hash of the UTF-8 bytes of each text (null as the empty one): uint64 [texts].

    The sum of T[byte] * P^place modulo 2^64 with random T and odd P (Carter & Wegman 1979), mixed by the finaliser of
    splitmix64. For tables of texts, not against an adversary.
    """
    import numpy as np
    import pyarrow as pa

    if isinstance(texts, pa.ChunkedArray):
        texts = texts.combine_chunks()
    result = np.empty(len(texts), dtype=np.uint64)
    for start in range(0, len(texts), STEP):
        part = texts.slice(start, STEP)
        result[start : start + len(part)] = _hashed(part)
    return result


def _hashed(texts: pa.Array) -> np.ndarray:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = pc.fill_null(texts, "").cast(pa.large_string())
    _, offsets, data = texts.buffers()
    ends = np.frombuffer(offsets, dtype=np.int64)[texts.offset : texts.offset + len(texts) + 1]
    size = int(ends[-1] - ends[0])
    weights = _table()[np.frombuffer(data, dtype=np.uint8)[ends[0] : ends[-1]]] if size else np.empty(0, np.uint64)
    powers, inverse = (table[: size + 1] for table in _powers(1 << size.bit_length()))
    sums = np.zeros(size + 1, dtype=np.uint64)
    np.cumsum(weights * powers[:size], out=sums[1:])
    place = ends - ends[0]
    x = (sums[place[1:]] - sums[place[:-1]]) * inverse[place[:-1]] + np.diff(place).astype(np.uint64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


_P = 0x9E3779B97F4A7C15  # odd: it has an inverse modulo 2^64
_INVERSE = pow(_P, -1, 1 << 64)


@lru_cache(maxsize=4)
def _powers(size: int) -> tuple[np.ndarray, np.ndarray]:
    """P^1, P^2, ... and P^-1, P^-2, ... modulo 2^64."""
    import numpy as np

    return tuple(np.cumprod(np.full(size + 1, base, dtype=np.uint64)) for base in (_P, _INVERSE))


@cache
def _table() -> np.ndarray:
    import numpy as np

    return np.random.default_rng(0).integers(0, 1 << 63, 256, dtype=np.uint64) | np.uint64(1)
