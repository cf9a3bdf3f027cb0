"""The crawl of the embedded site: it is served on loopback while it is crawled, over HTTP, like any other."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from stages.core import files
from stages.core.systems import Findings
from stages.corpora.embedded import server
from stages.corpora.web.crawl import crawl
from stages.corpora.web.settings import Crawl


@dataclass(frozen=True)
class EmbeddedCrawl(Crawl):
    """How to crawl it, and which edition."""

    edition: int  # 1, or 2 in which pages have changed, come and gone


def embedded(after: Path | None, params: EmbeddedCrawl, out: Path, spool: Path) -> Findings:
    """Serve one edition and crawl it into the round `out`; errors as in `crawl`.

    The spool is that of the pages as they are now, and is forgotten when the round stands: the site costs nothing.
    """
    host = params.site.hosts[0]
    with server.serve(params.edition, host_name=host) as served:
        pages = hashlib.md5(b"".join(page.body for page in served.pages.values())).hexdigest()
        findings = crawl(after, params, out, spool / pages, connect={host: served.port})
    files.remove(spool)
    return findings
