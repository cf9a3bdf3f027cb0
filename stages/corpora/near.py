"""Near-duplicate documents: MinHash signatures and locality-sensitive hashing, on arrays.

Broder 1997 (resemblance of documents): the chance that a random order of all shingles puts the same one first in two
documents is the Jaccard similarity J of their shingle sets. Signatures of k = bands x rows such minima, cut into
bands, make two documents meet in a bucket with probability 1 - (1 - J^rows)^bands (Leskovec et al., Mining of Massive
Datasets, section 3.4). A pair that meets is kept as a duplicate when its signatures agree in `similarity` of places.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

MERSENNE = (1 << 61) - 1


@dataclass(frozen=True)
class Near:
    """Params of near-duplicate removal."""

    shingle: int  # characters of a shingle
    bands: int
    rows: int  # minima of a band
    similarity: float  # share of equal minima (an estimate of Jaccard's) from which two documents are the same
    seed: int  # of the random orders


def signatures(texts: Iterable[str], params: Near) -> np.ndarray:
    """MinHash signatures of the texts: uint32 [texts, bands * rows].

    A text shorter than one shingle is one shingle; the random order i is the rank of (a_i x + b_i) in 64 bits, its
    upper half kept.
    """
    import numpy as np

    texts = list(texts)
    random = np.random.default_rng(params.seed)
    width = params.bands * params.rows
    a = random.integers(1, MERSENNE, width, dtype=np.uint64) | np.uint64(1)  # odd: a bijection of 64 bits
    b = random.integers(0, MERSENNE, width, dtype=np.uint64)
    result = np.empty((len(texts), width), dtype=np.uint32)
    if not texts:
        return result
    shingles, starts = _shingles(texts, params.shingle)
    for i in range(width):
        mixed = (shingles * a[i] + b[i]) >> np.uint64(32)
        result[:, i] = np.minimum.reduceat(mixed, starts).astype(np.uint32)
    return result


def groups(signature: np.ndarray, params: Near) -> np.ndarray:
    """For each document the first document it is a near duplicate of, itself included: int64 [documents].

    Documents are linked to the first of each bucket they fall into when their signatures agree enough; chains of
    links make a group.
    """
    import numpy as np
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    count = len(signature)
    lefts, rights = [], []
    for band in range(params.bands):
        rows = np.ascontiguousarray(signature[:, band * params.rows : (band + 1) * params.rows])
        _, first, bucket = np.unique(_mix(rows), return_index=True, return_inverse=True)
        left, right = first[bucket], np.arange(count)
        met = left != right
        lefts.append(left[met])
        rights.append(right[met])
    left, right = np.concatenate(lefts), np.concatenate(rights)
    alike = np.empty(len(left), dtype=bool)
    for start in range(0, len(left), 1 << 16):
        part = slice(start, start + (1 << 16))
        alike[part] = (signature[left[part]] == signature[right[part]]).mean(axis=1) >= params.similarity
    links = coo_array((np.ones(alike.sum(), dtype=np.int8), (left[alike], right[alike])), shape=(count, count))
    _, labels = connected_components(links, directed=False)
    _, first = np.unique(labels, return_index=True)
    return first[labels]


def _shingles(texts: list[str], length: int) -> tuple[np.ndarray, np.ndarray]:
    """Hashes of all shingles of all texts in one array (uint64), and where each text's begin."""
    import numpy as np

    padded = [text if len(text) >= length else text.ljust(length, "\0") for text in texts]
    codes = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
    windows = len(codes) - length + 1
    hashed = np.zeros(max(windows, 0), dtype=np.uint64)
    for offset in range(length):
        hashed = _scramble(hashed ^ codes[offset : offset + windows])
    sizes = np.fromiter((len(text) for text in padded), dtype=np.int64, count=len(padded))
    ends = np.cumsum(sizes)
    whole = np.ones(windows, dtype=bool)  # windows that do not run from one text into the next
    for back in range(1, length):
        whole[ends[:-1] - back] = False
    kept = hashed[whole]
    starts = np.concatenate([[0], np.cumsum(sizes - length + 1)[:-1]]).astype(np.int64)
    return kept, starts


def _scramble(x: np.ndarray) -> np.ndarray:
    """The finaliser of splitmix64 (Steele et al. 2014), a bijection of 64 bits that mixes them well."""
    import numpy as np

    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (x ^ (x >> np.uint64(31))) + np.uint64(0x9E3779B97F4A7C15)


def _mix(rows: np.ndarray) -> np.ndarray:
    """One uint64 for each row of uint32 [documents, rows]."""
    import numpy as np

    mixed = np.zeros(len(rows), dtype=np.uint64)
    for column in rows.T:
        mixed = _scramble(mixed ^ column.astype(np.uint64))
    return mixed
