"""What differs between the two editions of the embedded site.

Edition 2 is edition 1 with revised pages, new pages and pages that are gone; every other page is the same
byte for byte and keeps its ETag and Last-Modified. Slugs of entries are (kind, slug).
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from stages.corpora.embedded.facts import Entry
from stages.corpora.embedded.prose import Article
from stages.corpora.embedded.sentences import Words, say

EDITIONS = (1, 2)
DATES = {1: "Mon, 06 Jan 2025 08:00:00 GMT", 2: "Mon, 03 Feb 2025 08:00:00 GMT"}

# Published with edition 2 only.
NEW_ARTICLES = ("diffusion-equation", "domain-terms", "library", "viterbi")
NEW_ENTRIES = (
    ("territory", "is"),
    ("territory", "mt"),
    ("language", "eu"),
    ("language", "mt"),
    ("currency", "isk"),
    ("script", "tibt"),
)

# No longer there in edition 2, with the status that takes their place.
GONE = {
    ("territory", "bv"): 404,
    ("territory", "sj"): 404,
    ("unit", "volume-jigger"): 404,
    ("currency", "adp"): 410,
    ("currency", "luf"): 410,
}

REVISED_ENTRIES = (
    ("territory", "nl"),
    ("territory", "ke"),
    ("territory", "pe"),
    ("language", "fi"),
    ("language", "th"),
    ("currency", "inr"),
    ("currency", "chf"),
    ("script", "deva"),
    ("script", "arab"),
    ("unit", "length-nautical-mile"),
    ("unit", "mass-ounce"),
    ("unit", "pressure-atmosphere"),
)

REVISED_ARTICLES = ("ema", "hmm", "langevin", "robots", "solidity", "vq-vae", "word-vectors")

RECHECKED = (
    "编辑 在 本 版 中 重新 核对 了 {name} 的 资料 。",
    "关于 {name} 的 内容 已经 在 本 版 中 经过 修订 。",
    "{name} 的 条目 在 本 版 有 所 更新 。",
)


def revised_entry(entry: Entry, edition: int) -> tuple[Words, ...]:
    """The entry's sentences in `edition`: a revised entry has one more in edition 2."""
    if edition == 1 or (entry.kind, entry.slug) not in REVISED_ENTRIES:
        return entry.sentences
    return (*entry.sentences, say(entry.path, RECHECKED, name=entry.name))


def revised_article(article: Article, edition: int) -> tuple[str, ...]:
    """The article's paragraphs in `edition`: a revised article has one more in edition 2 (revisions.txt)."""
    if edition == 1 or article.slug not in REVISED_ARTICLES:
        return article.paragraphs
    return (*article.paragraphs, _revisions()[article.slug])


@lru_cache(maxsize=1)
def _revisions() -> dict[str, str]:
    lines = (Path(__file__).parent / "revisions.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("|") for line in lines)


def dated(changed: bool, edition: int) -> str:
    """Last-Modified: the edition's date for a page that is new or changed in it, else the first edition's."""
    return DATES[edition if changed else 1]
