"""Scrapy, as this house uses it: it opens connections and keeps times and sizes; what to ask, and when, is ours."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from stages.corpora.web.polite import Pace, PublicOnly
from stages.corpora.web.rounds import TYPES, split_type

ACCEPT = "text/html,application/xhtml+xml,text/plain;q=0.9,application/xml;q=0.8,*/*;q=0.1"


@dataclass(frozen=True)
class Limits:
    """What one request may take, and how many at once."""

    user_agent: str
    body_bytes: int
    timeout_seconds: float
    concurrency: int
    delay_seconds: float
    autothrottle: bool
    local: bool  # private addresses may be asked
    ours: tuple[str, ...] = ()  # literal private addresses that may be asked all the same


class Stopped(Exception):
    """Someone asked the crawl to stop (Ctrl-C, a termination)."""


class Engine:
    """A running Scrapy engine; `send` is the one way to the network."""

    def __init__(self, crawler: Any, refused: set[str], stop: asyncio.Event) -> None:
        self.crawler = crawler
        self.refused = refused
        self.stop = stop

    async def send(self, url: str, headers: dict[str, str], host: str, any_type: bool) -> tuple[Any, str, bool, bool]:
        """Ask once, when it is `host`'s turn: (Scrapy's response or None, why there is none, headers came, too early).

        Bodies of types that are not kept are not downloaded, unless `any_type`.
        """
        from scrapy import Request
        from scrapy.exceptions import (
            CannotResolveHostError,
            DownloadCancelledError,
            DownloadConnectionRefusedError,
            DownloadTimeoutError,
            IgnoreRequest,
        )

        if self.stop.is_set():
            raise Stopped
        meta = {"download_slot": host, "any_type": any_type, "early": False, "answered": False}
        request = Request(url, headers=headers, meta=meta, dont_filter=True)
        limit = self.crawler.settings.getint("DOWNLOAD_MAXSIZE")
        response, failure = None, ""
        try:
            response = await self.crawler.engine.download_async(request)
            meta["answered"] = True
        except (Stopped, asyncio.CancelledError):
            raise
        except DownloadTimeoutError:
            seconds = self.crawler.settings.getfloat("DOWNLOAD_TIMEOUT")
            failure = f"not whole after {seconds:g} s" if request.meta["answered"] else f"silent for {seconds:g} s"
        except (DownloadCancelledError, IgnoreRequest):
            failure = f"larger than {limit} bytes"
        except CannotResolveHostError:
            name = host.rpartition(":")[0] or host
            failure = "private address" if {name, host} & self.refused else "no such host"
        except DownloadConnectionRefusedError:
            failure = "connection refused"
        except Exception as error:  # whatever else the network can do
            logging.getLogger(__name__).debug("%s: %r", url, error)
            failure = "connection lost"
        return response, failure, request.meta["answered"], request.meta["early"]


def run(limits: Limits, pace: Pace, main: Callable[[Engine], Awaitable[None]]) -> None:
    """Run `main` inside Scrapy until it returns; what it raises is raised here. Once in a process (a reactor's law)."""
    import scrapy
    from scrapy import signals
    from scrapy.crawler import CrawlerProcess
    from scrapy.exceptions import StopDownload

    raised: list[BaseException] = []
    stop = asyncio.Event()

    def headers_received(headers: Any, request: Any, **rest: Any) -> None:
        request.meta["answered"] = True
        kind, _ = split_type((headers.get("Content-Type") or b"").decode("latin-1"))
        if kind and kind not in TYPES and not request.meta["any_type"]:
            raise StopDownload(fail=False)

    class Spider(scrapy.Spider):
        name = "walk"

        async def start(self) -> Any:
            from twisted.internet import reactor

            engine = Engine(self.crawler, set(), stop)
            if not limits.local:
                reactor.installNameResolver(PublicOnly(reactor.nameResolver, limits.ours, engine.refused))
            self.crawler.signals.connect(headers_received, signals.headers_received, weak=False)
            _listen(stop)
            try:
                await main(engine)
            except BaseException as error:
                raised.append(error)
            for nothing in ():
                yield nothing

    logging.getLogger("scrapy").setLevel(logging.ERROR)
    logging.getLogger("scrapy.core.downloader.handlers").setLevel(logging.CRITICAL)
    process = CrawlerProcess(_settings(limits, _handler(pace, stop)))
    process.crawl(Spider)
    process.start(install_signal_handlers=False)
    if raised:
        raise raised[0]


def _handler(pace: Pace, stop: asyncio.Event) -> type:
    """Scrapy's way to the network, with the promise kept at the last moment before a request is sent."""
    from scrapy.core.downloader.handlers.http11 import HTTP11DownloadHandler

    class Handler(HTTP11DownloadHandler):
        async def download_request(self, request: Any) -> Any:
            host = request.meta["download_slot"]
            while wait := pace.turn(host):
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), wait)
                if stop.is_set():
                    raise Stopped
            request.meta["early"] = pace.sent(host)
            return await super().download_request(request)

    return Handler


def _listen(stop: asyncio.Event) -> None:
    """The first Ctrl-C or termination stops the crawl in order, a second one as ever."""
    loop = asyncio.get_running_loop()

    def stopping() -> None:
        stop.set()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)

    with suppress(ValueError, RuntimeError, NotImplementedError):  # not the main thread
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stopping)


def _settings(limits: Limits, handler: type) -> dict[str, Any]:
    return {
        "USER_AGENT": limits.user_agent,
        "DEFAULT_REQUEST_HEADERS": {"Accept": ACCEPT},
        "DOWNLOAD_HANDLERS": {"http": handler, "https": handler},
        "DOWNLOAD_MAXSIZE": limits.body_bytes,
        "DOWNLOAD_WARNSIZE": 0,
        "DOWNLOAD_TIMEOUT": limits.timeout_seconds,
        "DOWNLOAD_DELAY": limits.delay_seconds,
        "DOWNLOAD_DELAY_JITTER": 0,
        "DNS_TIMEOUT": limits.timeout_seconds,
        "CONCURRENT_REQUESTS_PER_DOMAIN": limits.concurrency,
        "AUTOTHROTTLE_ENABLED": limits.autothrottle,
        "AUTOTHROTTLE_START_DELAY": limits.delay_seconds,
        "ROBOTSTXT_OBEY": False,  # walk.py asks for robots.txt itself, by RFC 9309
        "REDIRECT_ENABLED": False,  # a redirect is a link like any other there, with every check
        "RETRY_ENABLED": False,  # fetch.py retries, and waits as long as the host asks
        "COOKIES_ENABLED": False,
        "HTTPPROXY_ENABLED": False,  # behind a proxy nobody could say which address is reached
        "METAREFRESH_ENABLED": False,
        "TELNETCONSOLE_ENABLED": False,
        "LOG_ENABLED": False,
        "LOG_INSTALL_ROOT_HANDLER": False,
        "DOWNLOADER_MIDDLEWARES": {"scrapy.downloadermiddlewares.offsite.OffsiteMiddleware": None},
        "EXTENSIONS": {
            "scrapy.extensions.logstats.LogStats": None,
            "scrapy.extensions.corestats.CoreStats": None,
        },
    }
