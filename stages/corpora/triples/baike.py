"""Boxes of Baidu Baike: the layouts up to 2012 (biItem), 2013 to 2022 (basicInfo-item), and since (hashed names).

Long values are given twice, short and in an overlay that holds them whole: the overlay counts. Where the present
layout was saved before its script ran, the box is still in the JSON of window.PAGE_DATA.
"""

from __future__ import annotations

import json
import re
from typing import Any

from stages.corpora.markup import Page
from stages.corpora.triples.markup import Box, Pair, heading, lines, parted, terms, text

OVERLAY = "[class*='basicInfo-overlap'], [class*='basicInfoOverlap'], [class*='basicInfo_overlap']"
PLACES = ("{}[class*='basicInfo']", "[class*='basicInfo'] {}", ".J-basic-info {}")
ITEMS = ", ".join(place.format(tag) for place in PLACES for tag in ("dt", "dd"))
NAMED = re.compile(r"<title[^>]*>[^<]*百度百科", re.I)
DATA = re.compile(r"window\.PAGE_DATA\s*=\s*(?=\{)")


def box(page: Page) -> Box | None:
    """The box of a page of Baidu Baike, empty where it has none; None where this is no such page."""
    signs = any(sign in page.source for sign in ("basicInfo", "J-basic-info", "biItem"))
    if not (signs and page.tree.css_matches(f"{ITEMS}, .biItem")) and not NAMED.search(page.source):
        return None
    pairs = _listed(page) or _oldest(page) or _data(page)
    title, sense = parted(heading(page, ".lemmaWgt-lemmaTitle-title h1", "h1[class*='lemmaTitle']"), "（）")
    for place in (
        ".lemmaWgt-lemmaTitle-title h2",
        "[class*='lemmaDescText']",
        ".lemma-desc",
        ".lemmaTitleH1 span",
    ):
        sense = sense or text(page.tree.css_first(place)).strip("（）() ")
    return Box(title, sense, pairs)


def _listed(page: Page) -> tuple[Pair, ...]:
    inside = {node.mem_id for overlay in page.tree.css(OVERLAY) for node in overlay.css("dt, dd")}
    for overlay in page.tree.css(OVERLAY):
        whole, short = overlay.css_first("dd"), overlay.parent
        while short is not None and short.tag != "dd":
            short = short.parent
        if whole is not None and short is not None:
            value = text(whole).replace("\n", "\x01")
            for child in list(short.iter(include_text=True)):
                child.decompose()
            short.insert_child(value)
    # an element that several selectors find is one element
    found = {node.mem_id: node for node in page.tree.css(ITEMS) if node.mem_id not in inside}
    return terms(found.values())


def _oldest(page: Page) -> tuple[Pair, ...]:
    return tuple(
        (text(item.css_first(".biTitle")), text(item.css_first(".biContent"))) for item in page.tree.css(".biItem")
    )


def _data(page: Page) -> tuple[Pair, ...]:
    start = DATA.search(page.source)
    if start is None:
        return ()
    try:
        data, _ = json.JSONDecoder().raw_decode(page.source, start.end())
    except ValueError:
        return ()
    card = data.get("card") or {}
    columns = [card.get("left"), card.get("right")] if isinstance(card, dict) else [card]
    items = [item for column in columns if isinstance(column, list) for item in column if isinstance(item, dict)]
    return tuple((str(item.get("title", "")), lines("\x01".join(_values(item.get("data"))))) for item in items)


def _values(data: Any) -> list[str]:
    """Each value of an item as text: the leaves called `text` of its pieces, one after the other."""
    values = data if isinstance(data, list) else [data]
    return [_leaves(value.get("text") if isinstance(value, dict) else value) for value in values]


def _leaves(piece: Any) -> str:
    if isinstance(piece, list):
        return "".join(_leaves(part) for part in piece)
    if isinstance(piece, dict):
        return "" if piece.get("tag") in ("ref", "sup", "image") else _leaves(piece.get("text"))
    return piece if isinstance(piece, str) else ""
