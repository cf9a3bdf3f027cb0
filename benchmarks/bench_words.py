"""From text to vocabulary: this project against the published pipeline; is it linear, and in how much memory?

    python -m benchmarks.bench_words [--sizes 25 100 400] [--peer 10] [--corpus documents.parquet]

Text is made by Zipf's law from 60,000 words of 1 to 4 characters, or read from `--corpus` (repeated where it is
short). Form by form with the same parameters: "plain" against dictionaries of all n-grams, "kenlm" against the
published shortcut in Python; "gains" has no counterpart and is held against the first. The peer runs on the first
`--peer` MB, and its time is scaled linearly (which flatters it: its dictionaries grow). Both are timed from text to
vocabulary; the entropies and document frequencies, which the peer has not, are told apart. Memory is the largest sum
of resident sizes of the process and its children, every 20 ms.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from stages.core import machine

machine.prepare(1)  # before numpy is imported

import numpy as np  # noqa: E402
import pyarrow as pa  # noqa: E402

from benchmarks import peer_words  # noqa: E402
from benchmarks.watched import run  # noqa: E402
from stages.core import params, tables  # noqa: E402
from stages.core.systems import Inputs  # noqa: E402
from stages.words.new_words import NewWords, train  # noqa: E402

ROWS = {"plain": "new_words_plain", "kenlm": "new_words_kenlm", "gains": "new_words"}
PLAIN = {"min_count": 5, "thresholds": (2.0, 4.0, 6.0)}


def settings(form: str) -> NewWords:
    """The row of params/web.yaml for a form, with the counts and thresholds of the peer where it has one."""
    rows = params.load(Path("params/web.yaml"))["systems"]
    row = params.typed(NewWords, rows[ROWS[form]]["train"], form)
    return row if form == "gains" else replace(row, **PLAIN, max_length=16)


def made_text(megabytes: float, seed: int = 0) -> str:
    """`megabytes` of UTF-8 text of words drawn by Zipf's law, a comma after every seventh on average."""
    rng = np.random.default_rng(seed)
    lexicon = np.zeros((60_001, 5), dtype="<u4")
    lengths = np.append(rng.choice([1, 2, 3, 4], 60_000, p=[0.05, 0.65, 0.2, 0.1]), 1)
    han = 0x4E00 + (4500 * rng.random((60_000, 4)) ** 2).astype(np.uint32)
    lexicon[:-1, :4] = np.where(np.arange(4) < lengths[:-1, None], han, 0)
    lexicon[-1, 0] = ord("，")
    chance = 1 / (np.arange(60_000) + 3.0)
    words = rng.choice(60_000, int(megabytes * 1e6 / 3 / 1.9), p=chance / chance.sum())
    words[rng.random(words.size) < 1 / 7] = 60_000
    codes = lexicon[words].ravel()
    return codes[codes != 0].tobytes().decode("utf-32-le")


def write(folder: Path, megabytes: float, corpus: Path | None) -> list[str]:
    """A corpus of about `megabytes` in documents of about 3 kB, written; and the texts."""
    if corpus is None:
        text = made_text(min(megabytes, 100))
        texts = [text[i : i + 1000] for i in range(0, len(text), 1000)]
    else:
        texts = tables.read(corpus, ["text"])["text"].to_pylist()
    size = sum(len(text.encode()) for text in texts)
    texts = texts * max(1, round(megabytes * 1e6 / size))
    if size > megabytes * 1e6:
        texts = texts[: int(len(texts) * megabytes * 1e6 / size)]
    tables.write(pa.table({"text": texts}), folder / "documents.parquet")
    return texts


def measure(folder: Path, form: str) -> tuple[float, float, float]:
    """One training in its own process: seconds in all, seconds to the vocabulary (as the stage reports), peak GiB."""
    command = [sys.executable, "-m", "benchmarks.bench_words", "--train", str(folder), form]
    _, peak, told = run(command, 0.02)
    whole, vocabulary = map(float, told.split()[-2:])
    return whole, vocabulary, peak


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", type=float, nargs="+", default=[25, 100, 400], help="MB")
    parser.add_argument("--peer", type=float, default=10, help="MB that the peer runs on")
    parser.add_argument("--corpus", type=Path, help="a documents.parquet instead of made text")
    parser.add_argument("--forms", nargs="+", default=["plain", "kenlm"], choices=ROWS)
    parser.add_argument("--train", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.train:
        folder = Path(options.train[0])
        found = train(Inputs(input=folder), settings(options.train[1]), folder / f"out-{options.train[1]}")
        print(found.facts["seconds"], found.facts["seconds"] - found.facts["seconds_neighbours"])
        return
    with tempfile.TemporaryDirectory() as scratch:
        texts = write(Path(scratch) / "peer", options.peer, options.corpus)
        megabytes = sum(len(text.encode()) for text in texts) / 1e6
        peers = {}
        for exact in sorted({form != "kenlm" for form in options.forms}):
            begin = time.perf_counter()
            words = peer_words.discover(texts, **PLAIN, exact=exact)
            seconds = time.perf_counter() - begin
            peers[exact] = seconds / megabytes
            kind = "exact" if exact else "published"
            print(f"peer, {kind}, {megabytes:.0f} MB: {seconds:.1f} s, {len(words)} words, ", end="")
            print(f"{1 / peers[exact]:.2f} MB/s; scaled to 100 MB: {100 * peers[exact]:.0f} s", flush=True)
        for form in options.forms:
            for size in options.sizes:
                folder = Path(scratch) / f"{size:g}-{form}"
                megabytes = sum(len(text.encode()) for text in write(folder, size, options.corpus)) / 1e6
                whole, seconds, peak = measure(folder, form)
                ratio = peers[form != "kenlm"] * megabytes / seconds
                print(f"{form:6} {megabytes:6.0f} MB: {seconds:7.1f} s, {megabytes / seconds:5.1f} MB/s, ", end="")
                print(f"{ratio:5.1f} times the peer; with entropies {whole:.1f} s; peak {peak:.2f} GiB", flush=True)


if __name__ == "__main__":
    main()
