"""Word vectors: a corpus in, a vector for each of its words out.

Article: https://kexue.fm/archives/5617 (what they are), https://kexue.fm/archives/6540 (dimension, window, k = 10).

    text -> words (tokens.py) -> skip-gram with negative sampling (skipgram.py) -> word, count, vec, context

The number: of the ten planted names nearest to a name of the embedded site, most are of its own kind.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from stages.core import files, tables
from stages.core.errors import Refusal
from stages.core.files import replacing
from stages.core.systems import Findings, Inputs
from stages.words import similar, skipgram
from stages.words.skipgram import SkipGram
from stages.words.tokens import tokens

if TYPE_CHECKING:
    import pyarrow as pa

Format = Literal["text", "binary"]


@dataclass(frozen=True)
class Vectors:
    """Params of the training."""

    min_count: int  # of a word
    workers: int  # processes that cut the text
    skipgram: SkipGram


def train(inputs: Inputs, params: Vectors, out: Path) -> Findings:
    """Vectors for the words of `inputs.input`/documents.parquet; writes `out`/vectors.parquet and `out`/model.json.

    The text is cut with the words of the model `inputs.against`, or at blanks where that is None.
    Raises `Refusal` for a corpus without words and for settings out of range.
    """
    begin = time.perf_counter()
    corpus = tokens(inputs.input / "documents.parquet", inputs.against, params.min_count, params.workers)
    cut = time.perf_counter()
    u, v = skipgram.fit(corpus.ids, corpus.offsets, len(corpus.words), params.skipgram, inputs.spool)
    trained = time.perf_counter()
    tables.write(table(corpus.words, corpus.counts, u, v), out / "vectors.parquet")
    totals = {"words": len(corpus.words), "tokens": corpus.ids.size, "sentences": corpus.offsets.size - 1}
    files.write_json({"params": asdict(params), "totals": totals}, out / "model.json")
    facts = {
        "seconds_cut": cut - begin,
        "seconds_train": trained - cut,
        "words_per_second": params.skipgram.epochs * corpus.ids.size / (trained - cut),
    }
    return Findings(metrics={name: float(value) for name, value in totals.items()}, facts=facts)


def table(words: list[str], counts: np.ndarray, u: np.ndarray, v: np.ndarray) -> pa.Table:
    """The words with their vectors u and v [size, dim]."""
    import pyarrow as pa

    fixed = pa.list_(pa.float32(), u.shape[1])
    columns = tables.schema(
        word=(pa.string(), "the word"),
        count=(pa.int64(), "occurrences in the corpus"),
        vec=(fixed, "its vector as centre word"),
        context=(fixed, "its vector as context"),
    )
    sides = (pa.FixedSizeListArray.from_arrays(pa.array(side.ravel()), u.shape[1]) for side in (u, v))
    return pa.table([pa.array(words, pa.string()), pa.array(counts, pa.int64()), *sides], schema=columns)


def load(model: Path) -> tuple[list[str], np.ndarray]:
    """The words of a model, the most frequent first, and their vectors [size, dim] float32."""
    held = tables.read(Path(model) / "vectors.parquet", ["word", "vec"])
    column = held["vec"].combine_chunks()
    return held["word"].to_pylist(), column.values.to_numpy().reshape(len(column), -1)


def export(words: list[str], vectors: np.ndarray, path: Path, kind: Format = "text") -> None:
    """Write word2vec's format, text or binary: a line `size dim`, then each word, a blank and its numbers.

    `vectors` [size, dim] float32. gensim's `KeyedVectors.load_word2vec_format` reads both.
    """
    with replacing(path) as beside, beside.open("wb") as stream:
        stream.write(f"{len(words)} {vectors.shape[1]}\n".encode())
        for word, row in zip(words, np.asarray(vectors, dtype="<f4"), strict=True):
            numbers = row.tobytes() if kind == "binary" else " ".join(f"{x:.7g}" for x in row.tolist()).encode()
            stream.write(word.encode() + b" " + numbers + b"\n")


def near(model: Path, wanted: list[str], top: int) -> pa.Table:
    """The `top` words nearest to each of `wanted`, as rows (word, near, cosine).

    Raises `Refusal` for a word that the model does not have.
    """
    import pyarrow as pa

    words, vectors = load(model)
    place = {word: i for i, word in enumerate(words)}
    for word in wanted:
        if word not in place:
            raise Refusal(f"{model} has no vector for '{word}': its words occur at least min_count times in its text")
    found, cosines = similar.nearest(vectors, np.array([place[word] for word in wanted]), top)
    of = [word for word in wanted for _ in range(found.shape[1])]
    return pa.table({"word": of, "near": [words[i] for i in found.ravel()], "cosine": cosines.ravel().astype(float)})
