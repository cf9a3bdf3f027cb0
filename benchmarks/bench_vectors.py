"""Word vectors against gensim: words a second and quality, on the same words with the same settings, in one run.

    python -m benchmarks.bench_vectors                                     a made corpus with known similarities
    python -m benchmarks.bench_vectors --corpus news.jsonl.xz --lists terms_thuocl      Chinese text and lists of words

Both have two threads and read the same sentences, dimension 100, window 5, sub-sampling 1e-3, with 5 and 10 negatives.
Quality: of the made corpus Spearman's correlation of cosines with the planted similarities of 200,000 pairs of words;
of text, cut by jieba, how often two words of one list are nearer than words of two lists (AUC).
"""

from __future__ import annotations

import argparse
import itertools
import json
import lzma
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from stages.core import machine

machine.prepare(2)  # before numpy is imported

import numpy as np  # noqa: E402

from stages.words.similar import unit  # noqa: E402
from stages.words.skipgram import SkipGram, fit  # noqa: E402

PAIRS = 200_000


def made(tokens: int, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(ids, offsets, planted vectors [size, 10]) of text whose subject wanders: p(w | subject) ~ p(w) exp(3.5 <z, s>).

    Each subject is one of 400 directions, lasts 6 words and goes to a near one or anywhere; p is Zipf's law.
    """
    draw = np.random.default_rng(0)
    planted, subjects = (unit(draw.normal(size=(n, 10))) for n in (size, 400))
    law = np.cumsum(np.exp(3.5 * subjects @ planted.T) / (np.arange(size) + 2.7), axis=1)
    law /= law[:, -1:]
    near = np.argsort(-(subjects @ subjects.T), axis=1)[:, :8]
    wander = [0]
    for stay, where, choice in zip(
        draw.random(tokens // 6), draw.integers(400, size=tokens // 6), draw.integers(8, size=tokens // 6), strict=True
    ):
        wander.append(int(near[wander[-1], choice]) if stay < 0.5 else int(where))
    subject = np.repeat(wander, 6)[:tokens]
    ids = np.empty(tokens, dtype=np.int32)
    for one in range(400):
        at = np.flatnonzero(subject == one)
        ids[at] = np.searchsorted(law[one], draw.random(at.size))
    return ids, np.append(np.arange(0, tokens, 25), tokens), planted


def text(corpus: Path, lists: Path, most: int) -> tuple[np.ndarray, np.ndarray, list[str], np.ndarray]:
    """(ids, offsets, words, list of each word, -1 for none or several) of the first `most` characters of a file."""
    import jieba

    sentences, size = [], 0
    with lzma.open(corpus, "rt", encoding="utf-8") as lines:
        for line in lines:
            whole = json.loads(line)["text"] if corpus.name.endswith(".jsonl.xz") else line
            for part in whole.replace("。", "\n").split("\n"):
                sentences.append([word for word in jieba.cut(part) if any(map(str.isalnum, word))])
            size += len(whole)
            if size > most:
                break
    counts = Counter(itertools.chain.from_iterable(sentences))
    words = [word for word, count in counts.most_common() if count >= 5]
    number = {word: i for i, word in enumerate(words)}
    rows = [[number[word] for word in sentence if word in number] for sentence in sentences]
    kind = np.full(len(words), -1)
    seen: Counter[int] = Counter()
    for k, path in enumerate(sorted(lists.glob("THUOCL_*.txt.xz"))):
        with lzma.open(path, "rt", encoding="utf-8") as lines:
            for word in {line.split("\t")[0].strip() for line in lines} & number.keys():
                kind[number[word]] = k
                seen[number[word]] += 1
    kind[[i for i, n in seen.items() if n > 1]] = -1
    ids = np.fromiter(itertools.chain.from_iterable(rows), dtype=np.int32)
    return ids, np.cumsum([0, *map(len, rows)]), words, kind


def spearman(vectors: np.ndarray, planted: np.ndarray, counts: np.ndarray) -> float:
    """Rank correlation of cosines with planted similarities, of pairs of the words that occur at least 50 times."""
    from scipy.stats import spearmanr

    often = np.flatnonzero(counts >= 50)
    a, b = np.random.default_rng(1).choice(often, (2, PAIRS))
    held = unit(vectors)
    return float(spearmanr((held[a] * held[b]).sum(1), (planted[a] * planted[b]).sum(1))[0])


def auc(vectors: np.ndarray, kind: np.ndarray) -> float:
    """How often a pair of one list is nearer than a pair of two lists."""
    from scipy.stats import rankdata

    listed = np.flatnonzero(kind >= 0)
    a, b = np.random.default_rng(1).choice(listed, (2, PAIRS))
    a, b = a[a != b], b[a != b]
    held, same = unit(vectors), kind[a] == kind[b]
    ranks = rankdata((held[a] * held[b]).sum(1))
    return float((ranks[same].mean() - (same.sum() + 1) / 2) / (~same).sum())


def ours(ids: np.ndarray, offsets: np.ndarray, size: int, negatives: int, epochs: int) -> np.ndarray:
    """Vectors by stages.words.skipgram."""
    settings = SkipGram(
        dim=100, window=5, negatives=negatives, exponent=0.75, sample=1e-3, epochs=epochs, rate=0.025, least_rate=1e-4,
        form="word2vec", batch=2048, seed=0, device="cpu", bf16=False, compile=False,
    )  # fmt: skip
    return fit(ids, offsets, size, settings)[0]


def peer(ids: np.ndarray, offsets: np.ndarray, size: int, negatives: int, epochs: int) -> Callable[[], np.ndarray]:
    """gensim, its sentences and vocabulary made ready: what is timed is its training."""
    from gensim.models import Word2Vec

    names = [str(i) for i in range(size)]
    sentences = [[names[i] for i in ids[a:b].tolist()] for a, b in itertools.pairwise(offsets.tolist())]
    model = Word2Vec(
        sg=1, negative=negatives, hs=0, vector_size=100, window=5, min_count=1, sample=1e-3, workers=2, alpha=0.025,
        min_alpha=1e-4, seed=0,
    )  # fmt: skip
    model.build_vocab(sentences)

    def train() -> np.ndarray:
        model.train(sentences, total_examples=model.corpus_count, epochs=epochs)
        held = np.zeros((size, 100), dtype=np.float32)
        held[[int(name) for name in model.wv.index_to_key]] = model.wv.vectors
        return held

    return train


def main() -> None:
    """Time and judge both, print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=3_000_000, help="of the made corpus")
    parser.add_argument("--size", type=int, default=20_000, help="words of the made corpus")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--negatives", type=int, nargs="+", default=[5, 10])
    parser.add_argument("--corpus", type=Path, help="lines of text or of JSON with `text`, xz")
    parser.add_argument("--lists", type=Path, help="folder of THUOCL_*.txt.xz")
    parser.add_argument("--characters", type=int, default=10**10, help="of the corpus to read at most")
    asked = parser.parse_args()
    if asked.corpus:
        ids, offsets, words, kind = text(asked.corpus, asked.lists, asked.characters)
        size, what = len(words), "AUC of lists"
    else:
        ids, offsets, planted = made(asked.tokens, asked.size)
        size, what = asked.size, "Spearman"
    counts = np.bincount(ids, minlength=size)
    print(f"{ids.size:,} words, {size:,} different, {asked.epochs} epochs")
    for negatives in asked.negatives:
        theirs = peer(ids, offsets, size, negatives, asked.epochs)
        found = {}
        for name, train in {
            "ours": lambda k=negatives: ours(ids, offsets, size, k, asked.epochs),
            "gensim": theirs,
        }.items():
            wall, cpu = time.perf_counter(), time.process_time()
            vectors = train()
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            good = auc(vectors, kind) if asked.corpus else spearman(vectors, planted, counts)
            found[name] = (asked.epochs * ids.size / wall, asked.epochs * ids.size / cpu, good)
            rates = "{:>9,.0f} words/s  {:>9,.0f} words/s of processor time".format(*found[name][:2])
            print(f"k = {negatives:2}  {name:6}  {rates}  {what} {good:.4f}", flush=True)
        wall, cpu = (found["ours"][i] / found["gensim"][i] for i in range(2))
        print(f"k = {negatives:2}  ratio   {wall:.2f} by the clock, {cpu:.2f} by processor time, {what} "
              f"{found['ours'][2] - found['gensim'][2]:+.4f}")  # fmt: skip


if __name__ == "__main__":
    main()
