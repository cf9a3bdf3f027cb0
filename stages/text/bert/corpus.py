"""A corpus as rows of tokens: what is learnt from, and the documents that are held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stages.core import tables
from stages.core.errors import Refusal
from stages.text.bert.vocabulary import Vocabulary, padded


@dataclass(frozen=True)
class Texts:
    """The documents of a corpus, in two parts."""

    train: list[str]
    held_out: list[str]


def texts(folder: Path | None, share: float, seed: int) -> Texts:
    """The documents in `folder`, of which `seed` holds a `share` out.

    Raises `Refusal` where there is no corpus, or too few documents for two parts.
    """
    if folder is None:
        raise Refusal("params.yaml: a masked language model needs `input` and `truth`, a data set of documents")
    whole = tables.read(folder / "documents.parquet", ["text"])["text"].drop_null().to_pylist()
    held = round(share * len(whole))
    if not 0 < held < len(whole):
        raise Refusal(f"{folder} has {len(whole)} documents, of which {share} are no part: change `held_out`")
    order = np.random.default_rng(seed).permutation(len(whole))
    return Texts([whole[i] for i in order[held:]], [whole[i] for i in order[:held]])


def rows(documents: Sequence[str], vocabulary: Vocabulary, length: int) -> np.ndarray:
    """[CLS] tokens [SEP] then [PAD], int64 [n, length]: each document cut into pieces of `length` - 2 tokens."""
    if length < 3:
        raise Refusal(f"params.yaml: length is {length}, but [CLS], a token and [SEP] are 3")
    size, found = length - 2, []
    for document in documents:
        ids = vocabulary.encode(document).ids
        found += [[vocabulary.cls, *ids[i : i + size], vocabulary.sep] for i in range(0, len(ids), size)]
    return padded(found, length)
