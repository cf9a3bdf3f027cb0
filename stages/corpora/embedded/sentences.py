"""Sentences that are segmented by construction.

A template is written with a space between words: "{place} 的 货币 是 {money} 。". A slot takes one word
(a string) or a list of names (a tuple), which is joined the Chinese way: 甲、乙和丙. What comes out is a
tuple of words after the PKU standard: a name is one word, and so is a punctuation mark.
"""

from __future__ import annotations

import zlib

NUMERALS = "零一两三四五六七八九十"
DAYS = ("星期一", "星期二", "星期三", "星期四", "星期五", "星期六", "星期日")

Words = tuple[str, ...]


def fill(template: str, **slots: str | Words) -> Words:
    """The words of `template` with its slots filled. KeyError where a slot is missing.

    >>> fill("{a} 在 {b} 。", a="甲", b=("乙", "丙", "丁"))
    ('甲', '在', '乙', '、', '丙', '和', '丁', '。')
    """
    words: list[str] = []
    for token in template.split():
        if not token.startswith("{"):
            words.append(token)
        elif isinstance(value := slots[token[1:-1]], str):
            words.append(value)
        else:
            words.extend(listed(value))
    return tuple(words)


def listed(names: Words) -> Words:
    """('甲', '乙', '丙') -> ('甲', '、', '乙', '和', '丙')."""
    words: list[str] = []
    for i, name in enumerate(names):
        if i:
            words.append("和" if i == len(names) - 1 else "、")
        words.append(name)
    return tuple(words)


def say(key: str, templates: tuple[str, ...], **slots: str | Words) -> Words:
    """One of `templates`, filled; which one depends only on `key` and the group, the same on every machine."""
    return fill(templates[turn(key + templates[0], len(templates))], **slots)


def turn(key: str, n: int) -> int:
    """A number in [0, n) that depends only on `key` (CRC-32, not `hash`, which changes with the process)."""
    return zlib.crc32(key.encode()) % n


def some(key: str, names: list[str], n: int) -> Words:
    """At most `n` of `names`, different for different keys, in the order given."""
    chosen = sorted(sorted(names, key=lambda name: turn(key + name, 1 << 32))[:n], key=names.index)
    return tuple(chosen)


def count(n: int) -> str:
    """A numeral before a measure word: 2 -> 两, 12 -> 12."""
    return NUMERALS[n] if n <= 10 else str(n)


def percent(value: float) -> str:
    """33.0 -> 33%, 0.52 -> 0.52%."""
    return f"{value:g}%"
