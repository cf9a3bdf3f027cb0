"""Question pages: most are built from the facts, twenty are written by hand on the articles' subjects."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from stages.corpora.embedded.facts import KINDS, Entry, entries
from stages.corpora.embedded.sentences import say, turn

# kind -> (infobox label, how to ask, how to answer, tag, how many pages)
ASKED = (
    (
        "territory",
        "货币",
        ("{name} 的 货币 叫 什么 ？", "去 {name} 旅行 要 带 什么 钱 ？", "{name} 用 的 是 哪 种 货币 ？"),
        ("{name} 使用 的 货币 是 {value} 。", "那里 通行 的 是 {value} ， 出发 之前 最好 先 换 一些 。"),
        50,
    ),
    (
        "territory",
        "官方语言",
        ("{name} 说 什么 语言 ？", "{name} 的 官方 语言 是 什么 ？", "请问 {name} 的 人 讲 哪 种 话 ？"),
        ("{name} 的 官方 语言 是 {value} 。", "官方 语言 是 {value} ， 办事 的 时候 用 得 最 多 。"),
        50,
    ),
    (
        "language",
        "文字",
        ("{name} 用 什么 文字 书写 ？", "{name} 的 文字 是 哪 一 种 ？"),
        ("{name} 用 {value} 书写 。", "书写 {name} 的 时候 ， 人们 使用 {value} 。"),
        40,
    ),
    (
        "language",
        "分布",
        ("哪里 的 人 说 {name} ？", "{name} 分布 在 什么 地方 ？"),
        ("{name} 分布 在 {value} 。", "在 {value} 可以 听到 {name} 。"),
        35,
    ),
    (
        "currency",
        "货币代码",
        ("{name} 的 代码 是 什么 ？", "银行 单据 上 {name} 怎么 写 ？"),
        ("{name} 的 代码 是 {value} 。", "单据 上 写 {value} ， 就是 {name} 的 代码 。"),
        35,
    ),
    (
        "unit",
        "类别",
        ("{name} 是 什么 单位 ？", "{name} 用来 量 什么 ？"),
        ("{name} 是 {value} 的 单位 。", "{name} 用来 表示 {value} 。"),
        20,
    ),
)

# Written by hand, one a line: question|tags|answer.
WRITTEN = Path(__file__).parent / "questions.txt"


@dataclass(frozen=True)
class Question:
    """One question page; `about` is the path of the entry it is built from, or empty."""

    slug: str
    question: str
    tags: tuple[str, ...]
    answer: str
    about: str

    @property
    def path(self) -> str:
        return f"/question/{self.slug}.html"


@lru_cache(maxsize=1)
def questions() -> tuple[Question, ...]:
    """All question pages: the hand-written ones first, then the built ones; no question twice."""
    rows = [(*line.split("|"), "") for line in WRITTEN.read_text(encoding="utf-8").splitlines()]
    found = [(asked, tuple(tags.split()), answer, about) for asked, tags, answer, about in rows]
    for kind, label, asks, answers, n in ASKED:
        able = [e for e in entries() if e.kind == kind and label in dict(e.infobox)]
        for entry in sorted(able, key=lambda e: turn(f"{label}/{e.slug}", 1 << 32))[:n]:
            found.append(_built(entry, label, asks, answers))
    return tuple(Question(f"q{i:04d}", *row) for i, row in enumerate(found, start=1))


def _built(entry: Entry, label: str, asks, answers) -> tuple[str, tuple[str, ...], str, str]:
    """Question, tags, answer (the fact, then what the entry says first and last) and the entry's path."""
    value = tuple(dict(entry.infobox)[label].split("、"))
    first = say(entry.slug + label, answers, name=entry.name, value=value)
    more = (entry.sentences[-1],) if turn(label + entry.slug, 2) else (entry.sentences[0], entry.sentences[-1])
    answer = "".join("".join(words) for words in (first, *more))
    asked = "".join(say(entry.slug + label, asks, name=entry.name))
    return asked, (entry.name, label.removeprefix("货币") or label, KINDS[entry.kind]), answer, entry.path
