"""Records as they come from an encyclopedia or from question pages, made by Zipf's law, as many as asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

STEP = 100_000  # records made at a time
NAMES = (
    "中文名",
    "外文名",
    "别名",
    "国籍",
    "出生地",
    "出生日期",
    "职业",
    "英文名",
    "主要成就",
    "代表作品",
    "又名",
    "性别",
)


def han(rng: np.random.Generator, size: int, least: int, most: int, alphabet: int = 3000) -> pa.Array:
    """`size` random texts of `least` to `most` Han, frequent ones more often."""
    lengths = rng.integers(least, most + 1, size)
    codes = 0x4E00 + (alphabet * rng.random((size, most)) ** 2).astype(np.uint32)
    raw = np.empty((size, most, 3), np.uint8)
    raw[..., 0], raw[..., 1], raw[..., 2] = 0xE0 | codes >> 12, 0x80 | codes >> 6 & 63, 0x80 | codes & 63
    data = raw[np.arange(most) < lengths[:, None]].tobytes()
    offsets = np.r_[0, np.cumsum(3 * lengths)].astype(np.int32)
    return pa.StringArray.from_buffers(size, pa.py_buffer(offsets), pa.py_buffer(data))


def zipf(rng: np.random.Generator, kinds: int, size: int, shift: float = 2.7) -> np.ndarray:
    """`size` ranks below `kinds`, rank r with probability in proportion to 1 / (r + shift)."""
    ends = np.cumsum(1 / (np.arange(kinds) + shift))
    return np.searchsorted(ends, rng.random(size) * ends[-1])


def entries(triples: int, path: Path, seed: int = 0) -> tuple[int, int]:
    """Write JSON lines {url, name, infobox} with about that many pairs; (pairs, entries).

    An entry has 1 to 10 pairs, 5.4 on average as in the author's release. Of the values one in three is a common one,
    one in ten a number, one in ten a date, one in twenty carries a footnote mark, one in fifty is a list; one entry in
    fifty is on two pages.
    """
    rng = np.random.default_rng(seed)
    attributes = pa.array([*NAMES, *han(rng, 2000 - len(NAMES), 2, 5).to_pylist()])
    common = han(rng, 200_000, 2, 8)
    made = pages = 0
    with path.open("wb") as out:
        while made < triples:
            size = min(STEP, max(1, int((triples - made) / 5.4) + 1))
            pairs = 1 + rng.binomial(9, 0.49, size)
            count = int(pairs.sum())
            name = han(rng, size, 2, 7)
            twins = np.arange(size)
            twins[rng.random(size) < 0.02] -= 1
            name = name.take(pa.array(np.maximum(twins, 0)))
            value = _values(rng, count, common)
            attribute = attributes.take(pa.array(zipf(rng, 2000, count)))
            joined = pc.binary_join_element_wise('["', attribute, '", "', value, '"]', "")
            box = pc.binary_join(
                pa.ListArray.from_arrays(pa.array(np.r_[0, np.cumsum(pairs)], pa.int32()), joined), ", "
            )
            number = pa.array(np.arange(pages, pages + size)).cast(pa.string())
            head = (
                '{"url": "http://encyclopedia.test/item/',
                number,
                '", "name": "',
                name,
                '", "infobox": [',
                box,
                "]}\n",
            )
            _write(out, pc.binary_join_element_wise(*head, ""))
            made += count
            pages += size
    return made, pages


def _values(rng: np.random.Generator, size: int, common: pa.Array) -> pa.Array:
    kind = rng.random(size)
    text = han(rng, size, 2, 24)
    often = common.take(pa.array(zipf(rng, len(common), size)))
    number = pc.binary_join_element_wise(pa.array(rng.integers(1, 100_000, size)).cast(pa.string()), "平方千米", "")
    days = [pa.array(rng.integers(low, high, size)).cast(pa.string()) for low, high in ((1500, 2020), (1, 13), (1, 29))]
    date = pc.binary_join_element_wise(days[0], "年", days[1], "月", days[2], "日", "")
    listed = pc.binary_join_element_wise(often, text, "、")
    value = pc.if_else(pa.array(kind < 0.33), often, text)
    for low, other in ((0.33, number), (0.43, date), (0.53, listed)):
        value = pc.if_else(pa.array((kind >= low) & (kind < low + (0.02 if low == 0.53 else 0.1))), other, value)
    marked = pc.binary_join_element_wise(value, "[1]", "")
    return pc.if_else(pa.array(rng.random(size) < 0.05), marked, value)


def questions(records: int, path: Path, seed: int = 0) -> None:
    """Write one JSON array of {url, question, tags}: questions of 8 to 28 characters, 1 to 5 tags of 30,000.

    One question in twenty repeats an earlier one with other punctuation, one in a hundred has an id that was there.
    """
    rng = np.random.default_rng(seed)
    vocabulary = han(rng, 30_000, 2, 5)
    made, between = 0, "[\n"
    with path.open("wb") as out:
        while made < records:
            size = min(STEP, records - made)
            question = han(rng, size, 8, 28)
            repeats = np.arange(size)
            again = rng.random(size) < 0.05
            repeats[again] = rng.integers(0, size, int(again.sum()))
            question = question.take(pa.array(repeats))
            end = pa.array(["？", "?", "", "！"]).take(pa.array(rng.integers(0, 4, size)))
            number = 10**17 + np.arange(made, made + size, dtype=np.int64) * 7919
            old = rng.random(size) < 0.01
            number[old] = number[rng.integers(0, size, int(old.sum()))]
            counts = rng.integers(1, 6, size)
            tag = pc.binary_join_element_wise(
                '"', vocabulary.take(pa.array(zipf(rng, 30_000, int(counts.sum())))), '"', ""
            )
            tags = pc.binary_join(
                pa.ListArray.from_arrays(pa.array(np.r_[0, np.cumsum(counts)], pa.int32()), tag), ", "
            )
            parts = (
                '{"url": "http://zhidao.baidu.com/question/',
                pa.array(number).cast(pa.string()),
                '.html", "question": "',
            )
            lines = pc.binary_join_element_wise(*parts, question, end, '", "tags": [', tags, "]}", "")
            text = ",\n".join(lines.to_pylist())
            out.write((between + text).encode())
            between = ",\n"
            made += size
        out.write(b"\n]\n")


def _write(out, lines: pa.Array) -> None:
    start, end = (np.frombuffer(lines.buffers()[1], np.int32)[place] for place in (0, len(lines)))
    out.write(memoryview(lines.buffers()[2])[start:end])
