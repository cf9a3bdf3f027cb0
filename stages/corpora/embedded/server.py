"""The embedded site over HTTP, on loopback.

    with serve(1) as server:
        ...  # crawl http://encyclopedia.test with that name connected to 127.0.0.1:server.port
        server.requests

In a browser: python -m stages.corpora.embedded.server --edition 1 --port 8765
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import socket
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from functools import cache
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from stages.corpora.embedded.corner import calendar
from stages.corpora.embedded.editions import DATES
from stages.corpora.embedded.pages import Page, refused
from stages.corpora.embedded.site import build

DRIP_SECONDS = 0.02
DRIP = "<p>直播还在继续，请不要离开。</p>\n".encode()
PACKED = ("text/", "application/xml")


class Request(NamedTuple):
    """One answered request: `path` as it was asked for, `sent` in bytes of the body."""

    method: str
    path: str
    conditional: bool
    status: int
    sent: int


class Server(ThreadingHTTPServer):
    """The site of one edition on a port of 127.0.0.1, with the record of what was asked."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, edition: int, host_name: str, port: int, journal: Path | None) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.edition, self.host_name, self.journal = edition, host_name, journal
        self.port: int = self.server_address[1]
        self.pages = build(edition)
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._requests: list[Request] = []
        self._asked: Counter[str] = Counter()
        self._sockets: set[socket.socket] = set()

    @property
    def requests(self) -> list[Request]:
        """A copy of the record so far, in the order of the answers."""
        with self._lock:
            return list(self._requests)

    def note(self, request: Request) -> None:
        """Record one request, and append it to the journal as one line that is written at once."""
        line = f"{request.method}\t{request.path}\t{int(request.conditional)}\t{request.status}\t{request.sent}\n"
        with self._lock:
            self._requests.append(request)
            if self.journal is not None:
                with self.journal.open("ab", buffering=0) as out:
                    out.write(line.encode())

    def fails(self, page: Page) -> bool:
        """True for the first `page.failures` requests to a page, counted per server."""
        with self._lock:
            self._asked[page.path] += 1
            return self._asked[page.path] <= page.failures

    def get_request(self):
        connection, peer = super().get_request()
        with self._lock:
            self._sockets.add(connection)
        return connection, peer

    def shutdown_request(self, request) -> None:
        with self._lock:
            self._sockets.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request, client_address) -> None:
        """A client that goes away is no event; anything else is shown."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    def stop(self) -> None:
        """Stop listening, wake what waits or drips, and cut the open connections."""
        self.closing.set()
        self.shutdown()
        with self._lock:
            for connection in self._sockets:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    """GET and HEAD. Headers and body leave in one send, so that no answer waits for an acknowledgement."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def log_message(self, format: str, *args) -> None:
        """Quiet: the record says more."""

    def _answer(self, body: bool) -> None:
        conditional = "If-None-Match" in self.headers or "If-Modified-Since" in self.headers
        page = self._page()
        if page.delay and self.server.closing.wait(page.delay):
            return
        if page.endless:
            self._drip(page, conditional, body)
            return
        headers, sent, status = dict(page.headers), page.body, page.status
        if self.server.fails(page):
            again = {"Retry-After": "1"} if page.fails_with == HTTPStatus.SERVICE_UNAVAILABLE else {}
            status, sent, headers = (
                page.fails_with,
                b"please try again\n",
                {"Content-Type": "text/plain", **again},
            )
        elif status == HTTPStatus.OK:
            if page.headers[0][1].startswith(PACKED):
                headers["Vary"] = "Accept-Encoding"
            if self._unchanged(page):
                status, sent = HTTPStatus.NOT_MODIFIED, b""
                del headers["Content-Type"]
            elif self._wants_gzip(page):
                sent = _gzipped(page.body)
                headers["Content-Encoding"] = "gzip"
                headers["ETag"] = f'{page.etag[:-1]}-gzip"'
        if status != HTTPStatus.NOT_MODIFIED:
            headers["Content-Length"] = str(len(sent))
        sent = sent if body else b""
        self.server.note(Request(self.command, self.path, conditional, int(status), len(sent)))
        self.wfile.write(self._head(status, headers) + sent)

    def _page(self) -> Page:
        """The page that is asked for: queries in any order and without tracking, escapes in any spelling."""
        host = self.headers.get("Host", "").partition(":")[0].lower()
        if host not in (self.server.host_name, "127.0.0.1", "localhost"):
            return refused(self.path, "error", 421, "Misdirected Request")
        parts = urlsplit(self.path)
        path = quote(unquote(parts.path), safe="/~!$&'()*+,;=:@")
        query = urlencode(sorted((k, v) for k, v in parse_qsl(parts.query) if not k.startswith("utm_")))
        pages = self.server.pages
        found = pages.get(f"{path}?{query}") if query else None
        return found or pages.get(path) or calendar(path) or refused(path, "error", 404, "Not Found")

    def _wants_gzip(self, page: Page) -> bool:
        accepted = self.headers.get("Accept-Encoding", "").replace(" ", "").split(",")
        wanted = any(a.startswith("gzip") and not a.endswith("q=0") for a in accepted)
        return wanted and page.headers[0][1].startswith(PACKED) and len(page.body) > 0

    def _unchanged(self, page: Page) -> bool:
        """If-None-Match decides; If-Modified-Since only where there is none (RFC 9110, 13.2.2)."""
        if tags := self.headers.get("If-None-Match"):
            held = {t.strip().removeprefix("W/").replace('-gzip"', '"') for t in tags.split(",")}
            return page.etag in held or "*" in held
        if since := self.headers.get("If-Modified-Since"):
            with contextlib.suppress(ValueError, TypeError):
                return parsedate_to_datetime(dict(page.headers)["Last-Modified"]) <= parsedate_to_datetime(since)
        return False

    def _head(self, status: int, headers: dict[str, str]) -> bytes:
        lines = [
            f"HTTP/1.1 {int(status)} {HTTPStatus(status).phrase}",
            "Server: embedded",
            f"Date: {DATES[self.server.edition]}",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def _drip(self, page: Page, conditional: bool, body: bool) -> None:
        """Send lines in chunks until the client or the server goes away."""
        sent = 0
        self.close_connection = True
        headers = {**dict(page.headers), "Transfer-Encoding": "chunked"}
        try:
            self.wfile.write(self._head(page.status, headers))
            while body and not self.server.closing.wait(DRIP_SECONDS if sent else 0):
                piece = DRIP if sent else page.body
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                sent += len(piece)
        finally:  # handle_error keeps quiet about a client that went away
            self.server.note(Request(self.command, self.path, conditional, page.status, sent))


@cache
def _gzipped(body: bytes) -> bytes:
    return gzip.compress(body, 6, mtime=0)


@contextlib.contextmanager
def serve(
    edition: int, host_name: str = "encyclopedia.test", *, port: int = 0, journal: Path | None = None
) -> Iterator[Server]:
    """Serve one edition on 127.0.0.1 (port 0: a free one) while the context is open.

    The client has to connect `host_name` to `port`; requests for other hosts get a 421. `journal`
    gets one line per answered request: method, path, conditional (0 or 1), status, bytes of body, with tabs.
    OSError where the port is taken.
    """
    server = Server(edition, host_name, port, journal)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join()


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--edition", type=int, default=1)
    parser.add_argument("--port", type=int, default=8765)
    given = parser.parse_args()
    with serve(given.edition, port=given.port) as server, contextlib.suppress(KeyboardInterrupt):
        print(f"http://127.0.0.1:{server.port}/", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
