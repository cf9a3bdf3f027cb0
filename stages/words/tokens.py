"""Text as numbers of words: every word of a corpus in one array, sentence after sentence.

Text that is segmented already has a sentence a line. Of text that is cut here a sentence ends at a full stop, too (in
Chinese or English), and only tokens with a letter, a digit or a Han character are words.
The number: 0.5 million characters a second on one core, nearly all of it for the cut.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stages.core import tables
from stages.core.errors import Refusal
from stages.words.parallel import executor
from stages.words.segmenter import Segmenter

SENTENCES = re.compile(r"[\r\n。！？!?；;]+")
LINES = re.compile(r"[\r\n]+")
CHARACTERS = 4_000_000  # of a task, about


@dataclass(frozen=True)
class Tokens:
    """A corpus: `words` [size], the most frequent first, `counts` [size] int64, `ids` int32 of all sentences laid end
    to end, `offsets` [sentences + 1] int64 where each starts."""

    words: list[str]
    counts: np.ndarray
    ids: np.ndarray
    offsets: np.ndarray


@dataclass(frozen=True)
class Task:
    """Rows begin..end of a table of documents, to be cut with the words of a model, or at blanks where that is None."""

    documents: Path
    begin: int
    end: int
    model: Path | None


def tokens(documents: Path, model: Path | None, min_count: int, workers: int) -> Tokens:
    """The words of the column `text` of `documents` that occur at least `min_count` times.

    `model` is a folder with words.parquet, None for text whose words are parted by blanks. The result does not depend
    on `workers`. Raises `Refusal` where no word is left.
    """
    known: dict[str, int] = {}
    ids, lengths = [], []
    with executor("processes", workers, "") as apply:
        for words, part, sizes in apply(cut, list(_tasks(documents, model))):
            number = np.array([known.setdefault(word, len(known)) for word in words], dtype=np.int32)
            ids.append(number[part])
            lengths.append(sizes)
    if not known:
        raise Refusal(f"{documents} has no words")
    return _frequent(list(known), np.concatenate(ids), np.concatenate(lengths), min_count, documents)


def cut(task: Task) -> tuple[list[str], np.ndarray, np.ndarray]:
    """(distinct words, the words' places among them int32, words of each sentence int64) of one task."""
    import pyarrow as pa

    texts = _rows(task)
    if task.model is None:
        sentences = [line.split() for text in texts for line in LINES.split(text)]
    else:
        parts = [part for text in texts for part in SENTENCES.split(text) if part]
        sentences = Segmenter.load(task.model).cut_many(parts)
    coded = pa.array(itertools.chain.from_iterable(sentences), pa.string()).dictionary_encode()
    words, ids = coded.dictionary.to_pylist(), coded.indices.to_numpy()
    lengths = np.fromiter(map(len, sentences), np.int64, len(sentences))
    if task.model is None:
        return words, ids, lengths
    counts = np.array([any(map(str.isalnum, word)) and not any(map(str.isspace, word)) for word in words], dtype=bool)
    return _only(words, ids, lengths, counts)


def _only(
    words: list[str], ids: np.ndarray, lengths: np.ndarray, wanted: np.ndarray
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """The corpus without the words that are not `wanted` [size] bool."""
    stays = wanted[ids]
    before = np.concatenate([[0], np.cumsum(stays)])
    number = np.cumsum(wanted, dtype=np.int32) - 1
    edges = np.concatenate([[0], np.cumsum(lengths)])
    return list(itertools.compress(words, wanted)), number[ids[stays]].astype(np.int32), np.diff(before[edges])


def _frequent(words: list[str], ids: np.ndarray, lengths: np.ndarray, min_count: int, documents: Path) -> Tokens:
    words, ids, lengths = _only(words, ids, lengths, np.bincount(ids, minlength=len(words)) >= min_count)
    if not words:
        raise Refusal(f"no word of {documents} occurs {min_count} times: lower min_count or give more text")
    counts = np.bincount(ids, minlength=len(words))
    order = sorted(range(len(words)), key=lambda i: (-counts[i], words[i]))
    number = np.empty(len(words), dtype=np.int32)
    number[order] = np.arange(len(words))
    return Tokens(
        [words[i] for i in order],
        counts[order],
        number[ids],
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
    )


def _tasks(documents: Path, model: Path | None) -> Iterator[Task]:
    """Tasks of about `CHARACTERS` characters each, so that they do not depend on the number of workers."""
    import pyarrow.compute as pc

    begin = row = size = 0
    for batch in tables.batches(documents, ["text"]):
        for length in pc.fill_null(pc.utf8_length(batch["text"]), 0).to_pylist():
            row, size = row + 1, size + length
            if size >= CHARACTERS:
                yield Task(documents, begin, row, model)
                begin, size = row, 0
    if row > begin:
        yield Task(documents, begin, row, model)


def _rows(task: Task) -> list[str]:
    texts: list[str] = []
    row = 0
    for batch in tables.batches(task.documents, ["text"]):
        first, last = max(task.begin - row, 0), min(task.end - row, batch.num_rows)
        if last > first:
            texts += [text or "" for text in batch["text"].slice(first, last - first).to_pylist()]
        row += batch.num_rows
        if row >= task.end:
            break
    return texts
