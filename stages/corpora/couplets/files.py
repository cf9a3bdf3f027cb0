"""Couplets from files: a pair a line, or the first lines in one file and the second ones in another.

    first<TAB>second<TAB>origin     NAME.tsv, which may be compressed
    晚 风 摇 树 树 还 挺            in.txt, blanks between characters, and in out.txt, line by line, what answers

The second is the format of https://github.com/wb14123/couplet-dataset and of the cleaned set that followed it,
https://github.com/v-zich/couplet-clean-dataset, of some 740,000 couplets.

Some origins hold two couplets a pair, a whole one in each line: 朝天车奕奕出塞马萧萧 / 解醉知茶力消愁识酒权. Those are
cut in the middle of both lines, and kept as they are too, as a part of their own.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from stages.core.errors import Refusal
from stages.core.progress import say
from stages.core.systems import Findings
from stages.corpora.charset import decode
from stages.corpora.couplets.dataset import Pair, save
from stages.corpora.readers import open_bytes
from stages.corpora.segmentation import find

Lines = tuple[str, str]
Row = tuple[str, str, str]
"""first, second, origin or ""."""

PARTS = 1_000_000  # that shares are counted in


@dataclass(frozen=True)
class CoupletFiles:
    """Params of the couplets. A source is "NAME" of pairs, or "NAME NAME" of first and second lines."""

    files: tuple[str, ...]  # in the input folder
    extra: tuple[str, ...]  # pairs of another kind: verses, say
    test: tuple[str, ...]  # () for a share of `files`
    test_share: float  # of the first lines, where `test` is ()
    validation_share: float  # likewise
    joined: tuple[str, ...]  # origins, of the third column, whose lines are whole couplets each
    longest: int  # characters of a line


def couplet_files(source: Path | None, params: CoupletFiles, out: Path) -> Findings:
    """Write the couplets of the files in the folder `source` to `out`.

    No line of the validation and test parts, first or second, is in what is trained on. Pairs that are left out are
    counted: too long, of lines that are equal or empty, of unequal lengths, repeated, or lines of a held-out part.
    Raises `Refusal` for a missing file, for files of which nothing is left, and for shares out of range.
    """
    shares = params.test_share * (not params.test), params.validation_share
    if source is None:
        raise Refusal("params.yaml: a corpus of kind couplet_files needs an `input`: the folder of its files")
    if not 0 <= min(shares) <= sum(shares) < 1:
        raise Refusal(f"params.yaml: test_share and validation_share are {shares}: together they must lie within 0..1")
    dropped: Counter[str] = Counter(too_long=0, equal=0, unequal=0, repeated=0, held_out=0)
    seen: set[Lines] = set()
    test, given, extra = (
        [pair for entry in entries for pair in read(source, entry)]
        for entries in (params.test, params.files, params.extra)
    )
    rows: list[Pair] = [(*pair, "test") for pair in sound(singles(test, params), params.longest, seen, dropped)]
    for pair in sound(singles(given, params), params.longest, seen, dropped):
        at = zlib.crc32(pair[0].encode()) % PARTS / PARTS
        rows.append((*pair, "test" if at < shares[0] else "validation" if at < sum(shares) else "train"))
    whole = [(first, second) for first, second, origin in given if origin in params.joined]
    rows += [(*pair, "joined") for pair in sound(whole, params.longest, seen, Counter())]
    rows += [(*pair, "extra") for pair in sound(singles(extra, params), params.longest, seen, dropped)]
    held = {line for *pair, split in rows if split in ("test", "validation") for line in pair}
    kept = [row for row in rows if row[2] in ("test", "validation") or not held & {*row[:2], *halves(row)}]
    dropped["held_out"] = len(rows) - len(kept)
    if {"train", "test"} - {split for *_, split in kept}:
        raise Refusal(f"{source}: {', '.join(params.files)} leave nothing to train on, or nothing to test on")
    say("couplets left out: " + ", ".join(f"{name} {count:,}" for name, count in dropped.items()))
    return save(kept, out, **dropped)


def singles(found: Iterable[Row], params: CoupletFiles) -> Iterator[Lines]:
    """The pairs, those of joined origins cut into two."""
    for first, second, origin in found:
        if origin in params.joined and len(first) == len(second) and len(first) % 2 == 0:
            yield from (cut(first), cut(second))
        else:
            yield first, second


def cut(line: str) -> Lines:
    """Both halves of a line."""
    return line[: len(line) // 2], line[len(line) // 2 :]


def halves(row: Pair) -> tuple[str, ...]:
    """The lines of both couplets that a joined pair is; nothing of others."""
    first, second, split = row
    return (*cut(first), *cut(second)) if split == "joined" else ()


def read(folder: Path, entry: str) -> Iterator[Row]:
    """The pairs of one source, blanks within lines removed. Raises `Refusal` for another format."""
    paths = [find(folder, name) for name in entry.split()]
    if len(paths) == 2:
        yield from beside(*paths)
    elif len(paths) == 1:
        yield from pairs(paths[0])
    else:
        raise Refusal(f"params.yaml: couplets '{entry}' must be one file of pairs, or two of lines parted by a blank")


def pairs(path: Path) -> Iterator[Row]:
    """The pairs of a file, a line each, tabs between. Raises `Refusal` for a line without a tab."""
    for number, line in enumerate(lines(path), 1):
        first, *rest = line.split("\t")
        if not rest:
            raise Refusal(f"{path}, line {number}, has no tab: write first<TAB>second, or name two files")
        yield closed(first), closed(rest[0]), rest[1].strip() if len(rest) > 1 else ""


def beside(first: Path, second: Path) -> Iterator[Row]:
    """The pairs of two files, line by line. Raises `Refusal` where one has more lines."""
    columns = [[closed(line) for line in lines(path)] for path in (first, second)]
    if len(columns[0]) != len(columns[1]):
        raise Refusal(f"{first} has {len(columns[0])} lines, but {second} {len(columns[1])}: they must be as many")
    yield from ((a, b, "") for a, b in zip(*columns, strict=True))


def lines(path: Path) -> list[str]:
    """The lines of a file, decompressed by its suffix, decoded by what its bytes are."""
    with open_bytes(path) as stream:
        text, _ = decode(stream.read())
    return [line.rstrip("\r") for line in text.removesuffix("\n").split("\n")]


def closed(line: str) -> str:
    """The line without blanks, the full-width one included."""
    return "".join(line.split())


def sound(found: Iterable[Lines], longest: int, seen: set[Lines], dropped: Counter[str]) -> Iterator[Lines]:
    """The pairs that are kept, each once; what is not is counted in `dropped`."""
    for pair in found:
        why = wrong(*pair, longest) or ("repeated" if pair in seen else "")
        if why:
            dropped[why] += 1
        else:
            seen.add(pair)
            yield pair


def wrong(first: str, second: str, longest: int) -> str:
    """What is wrong with a pair, "" for nothing."""
    if len(first) != len(second):
        return "unequal"
    if first == second:
        return "equal"
    return "too_long" if len(first) > longest else ""
