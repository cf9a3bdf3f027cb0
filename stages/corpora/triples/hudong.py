"""Boxes of Hudong (Baike.com) and its like: cells of <strong>name：</strong><span>value</span>."""

from __future__ import annotations

from stages.corpora.markup import Page
from stages.corpora.triples.markup import Box, Pair, heading, parted, text

COLONS = "：:"


def box(page: Page) -> Box | None:
    """The boxes of a page of this kind; None where it has no such cell."""
    if "<strong" not in page.source and "<STRONG" not in page.source:
        return None
    cells = page.tree.css("td > strong")
    pairs: list[Pair] = []
    for strong in cells:
        name = text(strong)
        if name.rstrip()[-1:] not in tuple(COLONS):
            continue
        cell = strong.parent
        strong.decompose()
        pairs.append((name.rstrip().rstrip(COLONS), text(cell)))
    if not pairs:
        return None
    title, sense = parted(heading(page, ".content-h1 h1"), "[]")
    return Box(title, sense, tuple(pairs))
