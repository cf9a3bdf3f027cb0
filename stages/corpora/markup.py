"""A page of HTML to be parsed, and what every kind of page says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from stages.corpora.charset import decode

if TYPE_CHECKING:
    from selectolax.lexbor import LexborHTMLParser


@dataclass(frozen=True)
class Page:
    """The text of a page, whose tree is made when first asked for."""

    source: str

    @classmethod
    def of(cls, payload: bytes, charset: str = "") -> Page:
        """A page from its bytes; `charset` is what the Content-Type header declares, or ""."""
        return cls(decode(payload, charset)[0])

    @cached_property
    def tree(self) -> LexborHTMLParser:
        """What an HTML5 parser makes of it, however broken it is."""
        from selectolax.lexbor import LexborHTMLParser

        return LexborHTMLParser(self.source)


def canonical(page: Page) -> str:
    """The address that the page names as its own, or ""."""
    if "canonical" not in page.source:
        return ""
    node = page.tree.css_first("link[rel='canonical']")
    return (node.attributes.get("href") or "").strip() if node is not None else ""
