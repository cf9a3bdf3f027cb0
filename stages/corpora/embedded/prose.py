"""The hand-written articles of the embedded encyclopedia.

articles/SLUG.txt: the first line is the title, then paragraphs between blank lines, in UTF-8. terms.txt:
technical terms that the articles use as words, for scoring the discovery of new words and domain terms.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

FOLDER = Path(__file__).parent / "articles"


@dataclass(frozen=True)
class Article:
    """One article; `slug` is the file's name without its ending."""

    slug: str
    title: str
    paragraphs: tuple[str, ...]


@lru_cache(maxsize=1)
def articles() -> tuple[Article, ...]:
    """All articles, sorted by slug. Raises ValueError for a file without a title or without paragraphs."""
    return tuple(read(path) for path in sorted(FOLDER.glob("*.txt")))


def traditional() -> Article:
    """The one text in traditional Chinese."""
    return read(FOLDER.parent / "zh-hant.txt")


def read(path: Path) -> Article:
    """The article in a file: title, blank line, paragraphs."""
    title, *paragraphs = [block.strip() for block in path.read_text(encoding="utf-8").split("\n\n")]
    if not title or "\n" in title or not paragraphs:
        raise ValueError(f"{path.name}: a title line, a blank line and paragraphs are expected")
    return Article(path.stem, title, tuple(paragraphs))


@lru_cache(maxsize=1)
def terms() -> tuple[str, ...]:
    """The planted terms, in the order of terms.txt."""
    return tuple((FOLDER.parent / "terms.txt").read_text(encoding="utf-8").split())
