"""A small site on loopback that misbehaves as told, and a way to crawl more than once in a test run."""

from __future__ import annotations

import importlib
import multiprocessing
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from stages.core import files
from stages.core.errors import Refusal
from stages.corpora.web.crawl import crawl
from stages.corpora.web.settings import Crawl, Site

HEAVY = (
    "aiohttp.web",
    "pandas",
    "protego",
    "pyarrow.parquet",
    "requests",
    "scrapy.core.downloader.handlers.ftp",
    "scrapy.core.downloader.handlers.http11",
    "scrapy.core.engine",
    "scrapy.core.scheduler",
    "scrapy.crawler",
    "scrapy.downloadermiddlewares.httpcompression",
    "scrapy.linkextractors",
    "scrapy.spidermiddlewares.referer",
    "stages.corpora.web.seal",
    "twisted.internet.asyncioreactor",
    "warcio.archiveiterator",
    "warcio.warcwriter",
)
DATE = "Thu, 01 Jan 2026 00:00:00 GMT"


@dataclass
class Answer:
    """What the mock site says: `body` whole, or `write` streams one itself after the headers."""

    body: bytes = b""
    status: int = 200
    type: str = "text/html"
    headers: dict[str, str] = field(default_factory=dict)
    write: Callable[[Any], None] | None = None


class MockSite:
    """`pages` maps a path to an Answer, or to a function of (path, times asked before) that gives one."""

    def __init__(self) -> None:
        self.pages: dict[str, Any] = {}
        self.asked: list[tuple[float, str, dict[str, str]]] = []
        self.unasked = Answer(status=404)
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                before = site.count(self.path)
                site.asked.append((time.monotonic(), self.path, dict(self.headers)))
                page = site.pages.get(self.path, site.unasked)
                answer = page if isinstance(page, Answer) else page(self.path, before)
                etag = answer.headers.get("ETag")
                if etag and self.headers.get("If-None-Match") == etag:
                    answer = Answer(b"", 304, "", {"ETag": etag})
                self.send_response(answer.status)
                headers = {"Content-Type": answer.type} | answer.headers if answer.type else answer.headers
                if answer.write is None:
                    headers = {"Content-Length": str(len(answer.body))} | headers
                else:
                    headers = {"Connection": "close"} | headers
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                try:
                    self.wfile.write(answer.body)
                    if answer.write is not None:
                        answer.write(self.wfile)
                except OSError:
                    pass

            def date_time_string(self, timestamp: float | None = None) -> str:
                return DATE

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.host = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def url(self, path: str = "/") -> str:
        return f"http://{self.host}{path}"

    def paths(self) -> list[str]:
        return [path for _, path, _ in self.asked]

    def count(self, path: str) -> int:
        return self.paths().count(path)

    def page(self, path: str, *links: str, etag: bool = False, text: str = "") -> None:
        """A page that says its own path and links to others."""
        body = f"<title>{path}</title>{text}" + "".join(f'<a href="{link}">{link}</a> ' for link in links)
        self.pages[path] = Answer(body.encode(), headers={"ETag": f'"{hash(body)}"'} if etag else {})


def in_child(function: Callable[..., Any], *arguments: Any) -> Any:
    """What `function` returns or refuses, run in a process of its own (Scrapy's reactor runs once a process)."""
    for name in HEAVY:
        importlib.import_module(name)  # once here, not in each child
    here, there = multiprocessing.get_context("fork").Pipe(duplex=False)

    def work() -> None:
        try:
            there.send((function(*arguments), None))
        except BaseException as error:
            there.send((None, error if isinstance(error, Refusal) else AssertionError(repr(error))))

    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    there.close()
    try:
        value, error = here.recv()
    finally:
        child.join(30)
    if error is not None:
        raise error
    return value


@dataclass
class Bench:
    """Crawls `site` with small, fast settings into folders of `tmp`; rounds are named 1, 2, ..."""

    site: MockSite
    tmp: Path

    def params(self, site: dict[str, Any] | None = None, **changes: Any) -> Crawl:
        where = {"name": "mock", "start": (self.site.url(),), "hosts": (self.site.host,), "sitemaps": (), "allow": ()}
        where |= {"deny": (), "local": True} | (site or {})
        how = {"user_agent": "qujing/1.0 (+http://example.org/bot)", "respect_robots": True, "delay_seconds": 0.0}
        how |= {"autothrottle": False, "concurrency": 1, "depth": 9, "pages": 500, "body_bytes": 100_000}
        how |= {"seconds": 60.0, "timeout_seconds": 1.0, "retries": 2, "shards": 4} | changes
        return Crawl(site=Site(**where), **how)

    def crawl(self, number: int = 1, site: dict[str, Any] | None = None, **changes: Any) -> Any:
        """Findings of a crawl that ended well, whose spool is then thrown away."""
        after = self.round(number - 1) if number > 1 else None
        findings = in_child(crawl, after, self.params(site, **changes), self.round(number), self.tmp / "spool")
        files.remove(self.tmp / "spool")
        return findings

    def round(self, number: int = 1) -> Path:
        return self.tmp / f"round{number}"

    def rows(self, number: int = 1) -> dict[str, dict[str, Any]]:
        """The manifest by path (by whole address where it is not the site's)."""
        from stages.core import tables

        listed = tables.read(self.round(number) / "manifest.parquet").to_pylist()
        return {row["url"].removeprefix(self.site.url("")): row for row in listed}

    def outcomes(self, number: int = 1) -> dict[str, tuple[str, str]]:
        return {path: (row["outcome"], row["reason"]) for path, row in self.rows(number).items()}
