"""Boxes that are definition lists, <dl> of <dt>name</dt><dd>value</dd>, and say by their class that they hold facts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from stages.corpora.markup import Page
from stages.corpora.triples.markup import Box, heading, parted, terms

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

WORDS = re.compile(
    r"(?:^|[\s_-])(?:infos?|infobox|attrs?|attributes?|props?|properties|facts?|params?|specs?)(?:$|[\s_-])"
)
AROUND = ("nav", "header", "footer", "aside")
LONGEST = 30  # characters of a name: longer ones are terms of a glossary


def box(page: Page) -> Box | None:
    """All such lists of the page as one box; None where it has none."""
    if "<dl" not in page.source and "<DL" not in page.source:
        return None
    items = {item.mem_id: item for node in page.tree.css("dl") if _of_facts(node) for item in node.css("dt, dd")}
    pairs = tuple((name.rstrip("：: "), value) for name, value in terms(items.values()) if len(name) <= LONGEST)
    return Box(*parted(heading(page), "（）"), pairs) if pairs else None


def _of_facts(node: LexborNode) -> bool:
    """Whether the list, or the <div> right around it, is named after facts, and is no part of the page's frame."""
    around = node.parent
    named = [node, around] if around is not None and around.tag in ("div", "section") else [node]
    names = " ".join(one.attributes.get(key) or "" for one in named for key in ("class", "id")).lower()
    if not WORDS.search(names):
        return False
    while around is not None:
        if around.tag in AROUND:
            return False
        around = around.parent
    return True
