"""Where a page leads: its links as far as it lets robots follow them, and the addresses in a sitemap."""

from __future__ import annotations

from posixpath import splitext
from urllib.parse import urlsplit

from stages.corpora.web import records

LOW, HIGH = "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def of_page(url: str, headers: records.Headers, body: bytes) -> list[str]:
    """Absolute addresses that an HTML page links to, in its order; none where it (or a header) says nofollow."""
    from scrapy.http import HtmlResponse
    from scrapy.linkextractors import LinkExtractor

    if not body.strip() or "nofollow" in _words(records.header(headers, "X-Robots-Tag")):
        return []
    response = HtmlResponse(url, headers={"Content-Type": records.header(headers, "Content-Type")}, body=body)
    asked = f"//meta[translate(@name, '{HIGH}', '{LOW}') = 'robots']/@content"
    if any({"nofollow", "none"} & _words(content) for content in response.xpath(asked).getall()):
        return []
    extractor = LinkExtractor(canonicalize=False, deny_extensions=())
    return [link.url for link in extractor.extract_links(response) if not link.nofollow]


def binary(url: str) -> bool:
    """Whether an address ends like that of a picture, an archive or another file that is not text."""
    from scrapy.linkextractors import IGNORED_EXTENSIONS

    return splitext(urlsplit(url).path)[1].lower().lstrip(".") in IGNORED_EXTENSIONS


def of_sitemap(body: bytes, limit: int) -> tuple[list[str], list[str]]:
    """(further sitemaps, pages) named by a sitemap, plain or gzip; of a packed one at most `limit` bytes are read."""
    from scrapy.utils.gz import gunzip
    from scrapy.utils.sitemap import Sitemap

    try:
        named = Sitemap(gunzip(body, max_size=limit) if body.startswith(b"\x1f\x8b") else body)
        found = [entry["loc"] for entry in named if entry.get("loc")]
    except (ValueError, OSError, EOFError, StopIteration, SyntaxError):  # not XML, not gzip, or too large
        return [], []
    return (found, []) if named.type == "sitemapindex" else ([], found)


def _words(text: str) -> set[str]:
    return {word.strip().lower() for word in text.replace(":", ",").split(",")}
