"""New words: a vocabulary from raw text, without a dictionary.

Articles: "Rewriting the new-word-discovery algorithm: faster and better" https://kexue.fm/archives/6920 and the
algorithm https://kexue.fm/archives/4256; code of the author: https://github.com/bojone/word-discovery.

    count n-grams -> G = { w : min over cuts of ln N c(w) / (c(l) c(r)) >= theta_n }
    gains empty : segments of the longest join in G -> count -> back-check                     (the author's form)
    gains given : n-grams in G -> most probable cut of the corpus -> keep words with a gain, twice  (vocabulary.py)

The numbers: F1 on the PKU test with the top 50,000 words is 0.765 at best in the article (20 GB of text). From 130 MB
the author's form gives 0.759, 0.766 with words of 3 characters at most, and gains of 3, 7, 11 give 0.803.
"""

from __future__ import annotations

import resource
import shutil
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from stages.core import files, tables
from stages.core.errors import Refusal
from stages.core.params import Choices, choose
from stages.core.systems import Findings, Inputs
from stages.words import ngrams, parallel, segment, vocabulary
from stages.words.encoded import ID, Encoded, encode
from stages.words.neighbours import neighbours
from stages.words.ngrams import Ngrams, Plan
from stages.words.solidity import solid

if TYPE_CHECKING:
    import pyarrow as pa

COUNTING: Choices = {"exact": ngrams.count, "prefix_of_frequent": ngrams.count_prefixes_of_frequent}
FEW = 1 << 19  # keys of a partition: more sort slower, fewer make many small reads
NO_WORDS = "no word is left: lower min_count or the thresholds, or give more text"


@dataclass(frozen=True)
class NewWords:
    """Params of the discovery. Thresholds and gains are in nats, for words of 2, 3, ..., order characters."""

    order: int  # longest n-gram, 2 to 4
    min_count: int  # of n-grams, and of words in the author's form
    thresholds: tuple[float, ...]  # of solidity
    gains: tuple[float, ...]  # none: the author's form
    rounds: int  # of re-estimation, with gains
    min_word_count: int  # of words, with gains
    max_length: int  # characters of a word
    alphabet: str  # of stages/words/alphabets.py
    digits: Literal["keep", "drop"]  # words of digits only
    counting: str  # exact or prefix_of_frequent
    top: int  # most words to write, 0: all
    backend: Literal["numpy", "torch"]
    device: str  # of torch
    executor: str  # processes or dask
    workers: int
    address: str  # of the dask scheduler
    memory_gib: float  # of all processes together, more or less


@dataclass
class Watch:
    """Seconds of each phase, by name."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: str):
        """Count the time of the block as `seconds_<name>`."""
        begin = time.perf_counter()
        yield
        self.seconds[f"seconds_{name}"] = time.perf_counter() - begin


def train(inputs: Inputs, params: NewWords, out: Path) -> Findings:
    """Discover the words of `inputs.input`/documents.parquet; write `out`/words.parquet and `out`/model.json.

    Raises `Refusal` for an empty corpus, for params that leave no word, and for thresholds of the wrong number.
    """
    _check(params)
    scratch = Path(out) / "scratch"
    scratch.mkdir(parents=True)
    watch = Watch()
    try:
        with parallel.executor(params.executor, params.workers, params.address) as apply:
            with watch.phase("encode"):
                corpus = encode(inputs.input / "documents.parquet", params.alphabet, scratch)
            words = _discover(corpus, params, apply, scratch, watch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    tables.write(words, out / "words.parquet")
    totals = {"characters": corpus.total, "distinct_characters": corpus.characters.size - 1, "words": words.num_rows}
    files.write_json({"params": asdict(params), "totals": totals}, out / "model.json")
    seconds = sum(watch.seconds.values())
    own, children = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    facts = watch.seconds | {
        "seconds": seconds,
        "mb_per_second": corpus.bytes / 1e6 / seconds,
        "peak_gib_at_most": (own + params.workers * children) / 2**20,
    }
    return Findings(metrics={name: float(value) for name, value in totals.items()}, facts=facts)


def usual_min_count(characters: float) -> int:
    """A least count of n-grams that fits the size of a corpus: 2 for 250 thousand, 10 for 40 million, 29 for a billion.

    The cube root through the values that did best on segmented text that is not the PKU test.
    """
    return max(2, round(characters ** (1 / 3) / 35))


def plan(corpus: Encoded, params: NewWords) -> Plan:
    """How to cut the work so that it stays within `params.memory_gib`."""
    share = max(params.memory_gib - 0.3, 0.1) * 2**30 / (params.workers + 1)
    chunk = int(min(1 << 20, max(share // 256, 1 << 14)))
    needed = 72 * corpus.size / share
    fastest = min(corpus.size / FEW, chunk / 4096)
    partitions = 1 << int(np.ceil(np.log2(max(needed, fastest, 1))))
    return Plan(chunk, min(partitions, 1 << 16), params.backend, params.device, params.order, params.min_count)


def _discover(corpus: Encoded, params: NewWords, apply: parallel.Map, scratch: Path, watch: Watch) -> pa.Table:
    how = plan(corpus, params)
    with watch.phase("count"):
        counted = choose(COUNTING, params.counting, "counting")(corpus, how, apply, scratch)
    with watch.phase("solidity"):
        firm = solid(counted, params.thresholds)
    with watch.phase("words"):
        if params.gains:
            chunks = _gainful(corpus, counted, {n: keys for n, (keys, _) in firm.items()}, params, how, apply, scratch)
            found, least = segment.merged([chunk.words for chunk in chunks]), params.min_word_count
        else:
            keys = [keys for keys, _ in firm.values()]
            found, chunks = segment.candidates(corpus, keys, params.order, params.max_length, how.chunk, apply, scratch)
            least = params.min_count
        found = _named(corpus, found, least, params)
    with watch.phase("neighbours"):
        left, right, documents = neighbours(corpus, found["ids"].combine_chunks(), chunks, how, apply, scratch)
    return _table(found, _solidity_of(found["ids"].to_pylist(), firm), left, right, documents, params.top)


def _gainful(
    corpus: Encoded,
    counted: Ngrams,
    firm: dict[int, np.ndarray],
    params: NewWords,
    how: Plan,
    apply: parallel.Map,
    scratch: Path,
) -> list[segment.Segmented]:
    """Segments of the corpus by the vocabulary of gainful n-grams of G."""
    ids = np.arange(1, corpus.characters.size, dtype=np.uint64)
    keys = np.concatenate([ids, *firm.values()])
    counts = [counted.counts[n][np.searchsorted(counted.keys[n], firm[n])] for n in firm]
    words = vocabulary.Vocabulary(keys, np.concatenate([corpus.frequencies[1:], *counts]).astype(np.float64))
    words = words.only(words.lengths <= params.max_length)
    for _ in range(params.rounds):
        words = vocabulary.recount(corpus, words, how.chunk, apply, scratch)
        words = vocabulary.keep_gainful(words.only(words.counts >= params.min_word_count), params.gains)
    return vocabulary.segmented(corpus, words, how.chunk, apply, scratch)


def _named(corpus: Encoded, found: pa.Table, least: int, params: NewWords) -> pa.Table:
    """Columns ids, word (text) and count of the candidates with count >= `least`."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found = found.filter(pc.greater_equal(found["count"], least)).combine_chunks()
    if found.num_rows == 0:
        raise Refusal(NO_WORDS)
    ids = pa.chunked_array(found["word"]).combine_chunks()
    whole = b"".join(ids.to_pylist())
    codes = corpus.characters[np.frombuffer(whole, dtype=ID)]
    text = codes.astype("<u4").tobytes().decode("utf-32-le")
    ends = np.cumsum(pc.binary_length(ids).to_numpy() // ID.itemsize).tolist()
    words = [text[a:b] for a, b in zip([0, *ends[:-1]], ends, strict=True)]
    found = pa.table({"ids": ids, "word": pa.array(words, pa.string()), "count": found["count"]})
    if params.digits == "drop":
        found = found.filter(pc.invert(pc.utf8_is_digit(found["word"])))
    if found.num_rows == 0:
        raise Refusal(NO_WORDS)
    return found


def _solidity_of(words: list[bytes], firm: dict[int, tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """s(w) of the words that are in G, nan for single characters and words longer than the order."""
    known = {n: dict(zip(keys.tolist(), s.tolist(), strict=True)) for n, (keys, s) in firm.items()}

    def one(word: bytes) -> float:
        n = len(word) // ID.itemsize
        key = sum(int.from_bytes(word[2 * i : 2 * i + 2], "little") << (16 * (n - 1 - i)) for i in range(n))
        return known.get(n, {}).get(key, np.nan)

    return np.array([one(word) for word in words])


def _table(
    found: pa.Table, s: np.ndarray, left: np.ndarray, right: np.ndarray, documents: np.ndarray, top: int
) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    columns = tables.schema(
        word=(pa.string(), "the word"),
        count=(pa.int64(), "occurrences as a segment"),
        solidity=(
            pa.float64(),
            "min over cuts of ln N c(w) / c(l) c(r), nats; null for 1 or more than order characters",
        ),
        left_entropy=(pa.float64(), "entropy of the character before, nats; every edge of a piece is one symbol"),
        right_entropy=(pa.float64(), "entropy of the character after, nats"),
        document_frequency=(pa.int64(), "documents with the word as a segment"),
    )
    s = pa.array(s, mask=np.isnan(s))
    table = pa.table([found["word"], found["count"], s, left, right, documents], schema=columns)
    order = pc.sort_indices(table, sort_keys=[("count", "descending"), ("word", "ascending")])
    return table.take(order[:top] if top else order)


def _check(params: NewWords) -> None:
    if not 2 <= params.order <= 4:
        raise Refusal(f"params.yaml: order is {params.order}; n-grams of 2 to 4 characters can be counted")
    if params.gains and len(params.gains) != params.order - 1:
        raise Refusal(f"params.yaml: gains needs {params.order - 1} values, for words of 2..{params.order} characters")
    if params.min_count < 1 or params.workers < 1:
        raise Refusal("params.yaml: min_count and workers must be at least 1")
    choose(parallel.EXECUTORS, params.executor, "executor")
