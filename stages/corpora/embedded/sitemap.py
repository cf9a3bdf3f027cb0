"""The sitemaps: an index, one plain sitemap of the entries, one compressed sitemap of what no link leads to."""

from __future__ import annotations

import gzip
from collections.abc import Iterable

from stages.corpora.embedded.editions import DATES
from stages.corpora.embedded.facts import KINDS
from stages.corpora.embedded.pages import Page, made
from stages.corpora.embedded.shell import HOST


def sitemaps(site: dict[str, Page], edition: int) -> Iterable[Page]:
    """A sitemap index, one plain sitemap of the entries, one compressed sitemap of the pages no link leads to."""
    space = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'
    start = '<?xml version="1.0" encoding="UTF-8"?>\n'

    def urlset(rows: Iterable[tuple[str, str]]) -> str:
        urls = "".join(f"<url><loc>{loc}</loc><lastmod>{day}</lastmod></url>\n" for loc, day in rows)
        return f"{start}<urlset {space}>\n{urls}</urlset>\n"

    days = {DATES[1]: "2025-01-06", DATES[2]: "2025-02-03"}
    rows = [
        (HOST + p.path, days[dict(p.headers)["Last-Modified"]])
        for p in site.values()
        if p.status == 200 and p.fate == "keep" and (p.kind in KINDS or p.path.startswith("/orphan/"))
    ]
    entry_rows = sorted(row for row in rows if "/orphan/" not in row[0])
    orphans = sorted(row for row in rows if "/orphan/" in row[0])
    orphans += [
        (HOST + "/private/draft.html", days[DATES[1]]),
        ("http://other.invalid/page.html", days[DATES[1]]),
    ]
    files = ("/sitemaps/entries.xml", "/sitemaps/orphans.xml.gz")
    index = "".join(f"<sitemap><loc>{HOST}{path}</loc></sitemap>\n" for path in files)
    xml = {"content_type": "application/xml", "fate": "machine"}
    yield made(
        "/sitemap.xml",
        "machine",
        f"{start}<sitemapindex {space}>\n{index}</sitemapindex>\n".encode(),
        DATES[1],
        **xml,
    )
    yield made(files[0], "machine", urlset(entry_rows).encode(), DATES[edition], **xml)
    packed = gzip.compress(urlset(orphans).encode(), 9, mtime=0)
    yield made(files[1], "machine", packed, DATES[1], content_type="application/gzip", charset="", fate="machine")
