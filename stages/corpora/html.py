"""The main text of a page, by trafilatura, with what the page says about itself."""

from __future__ import annotations

import re
from dataclasses import dataclass

from stages.corpora.charset import decode


@dataclass(frozen=True)
class Main:
    """What an HTML page holds for a reader."""

    title: str
    text: str
    canonical: str  # absolute or as written; "" where the page names none
    language: str  # of <html lang>, lower case, "" where none is given
    noindex: bool
    charset: str


def main_text(payload: bytes, url: str = "", declared: str = "") -> Main:
    """Title and main text of the HTML in `payload`; empty texts where there are none.

    `declared` is the charset of the Content-Type header. Navigation, side bars and footers are left out.
    """
    import trafilatura
    from lxml import html

    page, charset = decode(payload, declared)
    page = _XML_DECLARATION.sub("", page)
    try:
        tree = html.fromstring(page) if page.strip() else None
    except (ValueError, html.etree.ParserError):
        tree = None
    if tree is None:
        return Main("", "", "", "", False, charset)
    title = _first(tree, "//h1//text()") or _first(tree, "//title//text()")
    robots = " ".join(tree.xpath("//meta[translate(@name,'ROBTS','robts')='robots']/@content")).lower()
    canonical = next(iter(tree.xpath("//link[@rel='canonical']/@href")), "")
    language = (tree.get("lang") or tree.get("{http://www.w3.org/XML/1998/namespace}lang") or "").lower()
    text = trafilatura.extract(
        tree, url=url or None, include_comments=False, include_tables=True, favor_recall=True, deduplicate=False
    )
    return Main(title, text or "", canonical, language, "noindex" in robots, charset)


_XML_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")


def _first(tree, path: str) -> str:  # noqa: ANN001 (an lxml element)
    return " ".join(" ".join(tree.xpath(path)[:8]).split())
