"""What an answer means: one row of the manifest, and the links to follow from it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from urllib.parse import urljoin

from stages.corpora.web import links, records
from stages.corpora.web.rounds import TYPES, Round, Row, split_type
from stages.corpora.web.spool import Exchange

SITEMAPS = ("application/xml", "text/xml", "text/plain", "application/gzip", "application/x-gzip")


@dataclass(frozen=True)
class Finding:
    """One visit: its row, where its answer lies in the spool, and the pages and sitemaps it leads to."""

    row: Row
    place: tuple[int, int] | None = None
    pages: tuple[str, ...] = ()
    sitemaps: tuple[str, ...] = ()


def judge(row: Row, exchange: Exchange | None, previous: Round, limit: int) -> Finding:
    """Complete `row` (address, depth, kind) by what came of it; a sitemap is unpacked to at most `limit` bytes."""
    if exchange is None:
        return Finding(replace(row, outcome="skipped", reason="time limit"))
    place = exchange.place
    row = replace(row, status=exchange.status, fetched_at=exchange.date)
    if exchange.failure:
        refused = exchange.failure == "private address" or exchange.failure.startswith("larger than")
        return Finding(replace(row, outcome="refused" if refused else "failed", reason=exchange.failure))
    before = previous.kept(row.url)
    if exchange.status == 304 and before is not None:
        return _unchanged(row, exchange, before, previous, limit)
    if 300 <= exchange.status < 400 and exchange.header("Location"):
        location = urljoin(row.url, exchange.header("Location").strip())
        return Finding(replace(row, outcome="redirect", reason=f"status {exchange.status}", location=location), place)
    if exchange.status in (404, 410):
        return Finding(replace(row, outcome="gone", reason=f"status {exchange.status}"), place)
    if exchange.status != 200:
        return Finding(replace(row, outcome="failed", reason=f"status {exchange.status}"), place)
    kind, charset = split_type(exchange.header("Content-Type"))
    row = replace(row, content_type=kind, charset=charset)
    if kind not in (SITEMAPS if row.kind == "sitemap" else TYPES):
        return Finding(replace(row, outcome="refused", reason=f"type {kind or 'not declared'}"), place)
    row = replace(
        row,
        outcome="fetched",
        digest=records.digest(exchange.body),
        bytes=len(exchange.body),
        etag=exchange.header("ETag"),
        last_modified=exchange.header("Last-Modified"),
    )
    if before is not None and (before.digest, before.content_type, before.charset) == (row.digest, kind, charset):
        row = replace(row, outcome="unchanged", reason="same body", fetched_at=before.fetched_at)
    return _following(row, place, exchange.headers, exchange.body, limit)


def _unchanged(row: Row, exchange: Exchange, before: Row, previous: Round, limit: int) -> Finding:
    row = replace(
        before,
        depth=row.depth,
        kind=row.kind,
        status=304,
        outcome="unchanged",
        reason="not modified",
        etag=exchange.header("ETag") or before.etag,
        last_modified=exchange.header("Last-Modified") or before.last_modified,
        duplicate_of="",
    )
    record = previous.record(row.url)
    return _following(row, exchange.place, record.headers, record.payload, limit)


def _following(row: Row, place: tuple[int, int] | None, headers: records.Headers, body: bytes, limit: int) -> Finding:
    row = replace(row, shard="", offset=0, length=0)
    if row.kind == "sitemap":
        sitemaps, pages = links.of_sitemap(body, limit)
        return Finding(row, place, tuple(pages), tuple(sitemaps))
    if row.content_type == "text/plain":
        return Finding(row, place)
    return Finding(row, place, tuple(links.of_page(row.url, headers, body)))
