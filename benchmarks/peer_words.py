"""The pipeline that https://kexue.fm/archives/6920 publishes, as a peer: dictionaries, a trie, one pass in Python.

Written from the article's description. Counting is KenLM's `count_ngrams` where that binary is on PATH, else Python
dictionaries (the same 4-grams with three begin symbols and one end symbol a line). Everything else is as published:
counts added to all prefixes, PMI over all cuts, longest join with a trie, frequency filter, back-check. With `exact`
every n-gram is counted for itself, as the algorithm of https://kexue.fm/archives/4256 says it.
"""

from __future__ import annotations

import math
import re
import shutil
import struct
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

ORDER = 4
OUTSIDE = re.compile("[^\u4e00-\u9fa50-9a-zA-Z]+")
BEGIN, END = "\x01", "\x02"


def discover(texts: Iterable[str], min_count: int, thresholds: tuple[float, ...], exact: bool) -> dict[str, int]:
    """Words and their counts."""
    texts = list(texts)
    if exact:
        counts, total = count_all(texts, min_count)
    else:
        grams = count_with_kenlm(texts) if shutil.which("count_ngrams") else count_in_python(texts)
        counts, total = sum_prefixes(grams, min_count)
    solid = solid_ngrams(counts, total, thresholds)
    trie: dict = {}
    for word in solid:
        node = trie
        for character in word:
            node = node.setdefault(character, {})
        node[END] = True
    found: Counter[str] = Counter(word for line in lines(texts) for word in join(line, trie))
    return {word: count for word, count in found.items() if count >= min_count and passes(word, solid)}


def lines(texts: Iterable[str]) -> Iterator[str]:
    """Pieces of text between characters outside the alphabet."""
    for text in texts:
        yield from filter(None, OUTSIDE.split(text))


def count_all(texts: Iterable[str], min_count: int) -> tuple[dict[str, int], int]:
    """Frequent n-grams of every order inside lines, and the number of characters."""
    counts: dict[str, int] = {}
    total = 0
    for line in lines(texts):
        size = len(line)
        total += size
        for i in range(size):
            for end in range(i + 1, min(i + ORDER, size) + 1):
                gram = line[i:end]
                counts[gram] = counts.get(gram, 0) + 1
    return {gram: count for gram, count in counts.items() if count >= min_count}, total


def count_in_python(texts: Iterable[str]) -> Iterable[tuple[str, int]]:
    """4-grams of padded lines."""
    counts: dict[str, int] = {}
    for line in lines(texts):
        padded = BEGIN * 3 + line + END
        for i in range(len(padded) - ORDER + 1):
            gram = padded[i : i + ORDER]
            counts[gram] = counts.get(gram, 0) + 1
    return counts.items()


def count_with_kenlm(texts: Iterable[str]) -> Iterator[tuple[str, int]]:
    """The same from KenLM: records of 4 int32 ids and an int64 count; ids 0, 1, 2 are unknown, begin, end."""
    with tempfile.TemporaryDirectory() as folder:
        corpus, names, grams = (Path(folder) / name for name in ("corpus", "names", "grams"))
        corpus.write_text("".join(" ".join(line) + "\n" for line in lines(texts)), encoding="utf-8")
        command = ["count_ngrams", "-o", str(ORDER), "--write_vocab_list", str(names)]
        with corpus.open() as source, grams.open("wb") as target:
            subprocess.run(command, stdin=source, stdout=target, check=True)
        characters = names.read_text(encoding="utf-8").split("\0")
        characters[:3] = ["", BEGIN, END]
        for *ids, count in struct.iter_unpack("<4iq", grams.read_bytes()):
            yield "".join(characters[i] for i in ids), count


def sum_prefixes(grams: Iterable[tuple[str, int]], min_count: int) -> tuple[dict[str, int], int]:
    """Counts of all prefixes of the frequent 4-grams, and the mass of those."""
    sums: dict[str, int] = {}
    total = 0
    for gram, count in grams:
        if count >= min_count:
            total += count
            gram = gram.strip(BEGIN + END)
            for n in range(1, len(gram) + 1):
                sums[gram[:n]] = sums.get(gram[:n], 0) + count
    return sums, total


def solid_ngrams(counts: dict[str, int], total: int, thresholds: tuple[float, ...]) -> set[str]:
    """n-grams whose weakest cut still holds."""
    kept = set()
    for word, count in counts.items():
        if len(word) > 1:
            ratio = min(
                total * count / (counts.get(word[:i], total) * counts.get(word[i:], total)) for i in range(1, len(word))
            )
            if math.log(ratio) >= thresholds[len(word) - 2]:
                kept.add(word)
    return kept


def join(line: str, trie: dict) -> Iterator[str]:
    """Segments of the longest join."""
    start, end = 0, 1
    for i in range(len(line)):
        if i == end:
            yield line[start:end]
            start, end = i, i + 1
        node = trie
        for j in range(i, min(i + ORDER, len(line))):
            node = node.get(line[j])
            if node is None:
                break
            if END in node:
                end = max(end, j + 1)
    yield line[start:end]


def passes(word: str, solid: set[str]) -> bool:
    """The back-check."""
    if len(word) <= ORDER:
        return len(word) <= 2 or word in solid
    return all(word[i : i + ORDER] in solid for i in range(len(word) - ORDER + 1))
