"""The main text of a page, by trafilatura, with what the page says about itself."""

from __future__ import annotations

import re
from configparser import ConfigParser
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from stages.corpora.charset import decode

if TYPE_CHECKING:
    from lxml.html import HtmlElement


@dataclass(frozen=True)
class Main:
    """What an HTML page holds for a reader."""

    title: str
    text: str
    canonical: str  # absolute or as written; "" where the page names none
    language: str  # of <html lang>, lower case, "" where none is given
    noindex: bool
    links: float  # share of the visible characters, navigation left out, that are the text of links
    charset: str


def main_text(payload: bytes, declared: str = "") -> Main:
    """Title and main text of the HTML in `payload`; empty texts where there are none.

    `declared` is the charset of the Content-Type header. Navigation, side bars and footers are left out.
    """
    import trafilatura
    from lxml import html

    page, charset = decode(payload, declared)
    page = _XML_DECLARATION.sub("", page.replace("\0", ""))
    try:
        tree = html.fromstring(page) if page.strip() else None
    except (ValueError, html.etree.ParserError):
        tree = None
    if tree is None:
        return Main("", "", "", "", False, 0.0, charset)
    title = _first(tree, "//h1//text()") or _first(tree, "//title//text()")
    robots = " ".join(tree.xpath("//meta[translate(@name,'ROBTS','robts')='robots']/@content")).lower()
    canonical = next(iter(tree.xpath("//link[@rel='canonical']/@href")), "")
    language = (tree.get("lang") or tree.get("{http://www.w3.org/XML/1998/namespace}lang") or "").lower()
    text = trafilatura.extract(
        tree, include_comments=False, include_tables=True, favor_precision=True, config=_settings(), deduplicate=False
    )
    return Main(title, text or "", canonical, language, "noindex" in robots, _links(tree), charset)


_XML_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")


def _links(tree: HtmlElement) -> float:
    """Changes the tree: navigation and scripts are taken out of it."""
    for element in tree.xpath("//nav|//header|//footer|//aside|//script|//style"):
        element.drop_tree()
    inside, whole = ("".join("".join(tree.xpath(path)).split()) for path in ("//a//text()", "//body//text()"))
    return len(inside) / len(whole) if whole else 0.0


@cache
def _settings() -> ConfigParser:
    """trafilatura's settings for Chinese, where a page of ten characters can say something."""
    from trafilatura.settings import use_config

    settings = use_config()
    settings.set("DEFAULT", "MIN_EXTRACTED_SIZE", "10")
    settings.set("DEFAULT", "MIN_OUTPUT_SIZE", "1")
    return settings


def _first(tree: HtmlElement, path: str) -> str:
    return " ".join(" ".join(tree.xpath(path)[:8]).split())
