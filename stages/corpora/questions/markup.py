"""What the parsers of question pages share."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

    from stages.corpora.markup import Page

COMMAS = re.compile(r"[,，;；、|\n]+")


@dataclass(frozen=True)
class Asked:
    """One question; `url` is its own address where the page names one, else ""."""

    url: str
    question: str
    tags: tuple[str, ...]


def text(node: LexborNode | None) -> str:
    """The text of an element on one line; "" for None."""
    return "" if node is None else one_line(node.text(deep=True))


def one_line(raw: str) -> str:
    """`raw` without blanks around it, line breaks and tabs inside as one blank."""
    return re.sub(r"\s*[\r\n\t\f\v]+\s*", " ", raw.strip())


def meta(page: Page, name: str) -> str:
    """The content of the <meta> of that name or property, or ""."""
    node = page.tree.css_first(f"meta[name='{name}' i], meta[property='{name}' i]")
    return (node.attributes.get("content") or "").strip() if node is not None else ""


def tags(given: Any) -> list[str]:
    """Tags from a list, a text with commas, or nothing: stripped, none empty, each once, in order."""
    if isinstance(given, str):
        given = COMMAS.split(given)
    if not isinstance(given, Iterable) or isinstance(given, dict):
        return []
    return list(dict.fromkeys(tag for one in given if isinstance(one, str | int) and (tag := str(one).strip())))
