"""Questions that pages state in the vocabulary of https://schema.org/Question: as JSON-LD, or as microdata."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from stages.corpora.markup import Page
from stages.corpora.questions.markup import Asked, one_line, tags, text

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

QUESTION = "[itemtype$='schema.org/Question']"


def json_ld(page: Page) -> list[Asked]:
    """The questions in the page's JSON-LD; blocks that are no JSON are passed over."""
    if "ld+json" not in page.source:
        return []
    found = []
    for script in page.tree.css("script[type='application/ld+json' i]"):
        try:
            data = json.loads(script.text(deep=True), strict=False)
        except ValueError:
            continue
        found += list(_questions(data))
    return found


def _questions(data: Any) -> Iterator[Asked]:
    if isinstance(data, list):
        for item in data:
            yield from _questions(item)
    elif isinstance(data, dict):
        kinds = data.get("@type")
        if "Question" in (kinds if isinstance(kinds, list) else [kinds]):
            question = data.get("name") or data.get("text") or data.get("headline")
            if isinstance(question, str) and question.strip():
                address = next((data[key] for key in ("url", "@id") if isinstance(data.get(key), str)), "")
                given = data.get("keywords") or data.get("about")
                given = (
                    [g.get("name") if isinstance(g, dict) else g for g in given] if isinstance(given, list) else given
                )
                yield Asked(address if "://" in address else "", one_line(question), tuple(tags(given)))
        for key in ("@graph", "mainEntity", "itemListElement", "hasPart"):
            yield from _questions(data.get(key))


def microdata(page: Page) -> list[Asked]:
    """The questions in the page's microdata."""
    if "schema.org/Question" not in page.source:
        return []
    found = []
    for item in page.tree.css(QUESTION):
        question = _property(item, "name") or _property(item, "text")
        given = [part for node in item.css("[itemprop='keywords']") for part in tags(_value(node))]
        if question:
            found.append(Asked(_property(item, "url"), question, tuple(dict.fromkeys(given))))
    return found


def _property(item: LexborNode, name: str) -> str:
    """The first value of the item's own property: answers have a name and a text too, and come later."""
    node = item.css_first(f"[itemprop='{name}']")
    return one_line(_value(node)) if node is not None else ""


def _value(node: LexborNode) -> str:
    return node.attributes.get("content") or node.attributes.get("href") or text(node)
