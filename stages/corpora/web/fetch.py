"""One polite question to a site: from the spool where it was asked before, else from the network, with retries."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urljoin, urlsplit

from stages.core.errors import Refusal
from stages.corpora.web import polite, records, urls
from stages.corpora.web.engine import Engine
from stages.corpora.web.polite import Pace, Robots
from stages.corpora.web.spool import Asked, Exchange, Spool

TRY_AGAIN = {408, 425, 429, 500, 502, 503, 504}
LONGEST_WAIT = 300.0  # seconds: a host that asks for more is left alone
SILENCE = 5  # addresses of one host in a row without any answer: the network or the site is gone
HOPS = 8  # redirects in a row that are followed


@dataclass
class Tally:
    """What a host was asked: part of the politeness ledger."""

    requests: int = 0
    retries: int = 0
    early: int = 0
    robots: Robots | None = None


@dataclass
class Fetcher:
    """Asks, retries, writes all to the spool, and keeps count. `connect` maps host names to ports of loopback."""

    engine: Engine
    spool: Spool
    pace: Pace
    token: str
    retries: int
    seconds: float
    connect: dict[str, int]
    local: bool
    hosts: dict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))
    received: int = 0  # bytes that came over the network just now, not from the spool
    began: float = field(default_factory=time.monotonic)
    silent: dict[str, int] = field(default_factory=dict)
    marks: dict[str, int] = field(default_factory=dict)

    async def ask(self, asked: Asked, any_type: bool = False) -> Exchange | None:
        """What finally came of `asked`; None where the time for the whole crawl is over."""
        host = urls.netloc(asked.url)
        exchange = None
        for attempt in range(self.retries + 1):
            if not self.spool.holds(asked) and time.monotonic() - self.began > self.seconds:
                return exchange
            exchange = await self._once(asked, host, any_type)
            self.hosts[host].retries += attempt > 0
            wait = self._again(exchange, attempt, host)
            if wait is None:
                break
            if attempt < self.retries and not self.spool.holds(asked):
                self.pace.hold(host, wait)
        await self._listen(asked.url, host, exchange)
        return exchange

    async def robots(self, url: str) -> Robots:
        """The rules of the host of `url`, by asking for its robots.txt; its promise holds from here on."""
        address = f"{urls.origin(url)}/robots.txt"
        exchange = None
        for _ in range(HOPS):
            exchange = await self.ask(Asked(address), any_type=True)
            if exchange is None or not (300 <= exchange.status < 400 and exchange.header("Location")):
                break
            try:
                address = urls.canonical(urljoin(address, exchange.header("Location")))
            except ValueError:
                break
            if urls.private(urlsplit(address).hostname or "") and not self.local:
                break
        status, failure, body = (exchange.status, exchange.failure, exchange.body) if exchange else (0, "no time", b"")
        rules = polite.robots(status, failure, body, self.token)
        host = urls.netloc(url)
        self.pace.promise(host, rules.delay)
        self.hosts[host].robots = rules
        return rules

    async def _once(self, asked: Asked, host: str, any_type: bool) -> Exchange:
        exchange = self.spool.replay(asked) or self.spool.append(asked, await self._send(asked, host, any_type))
        self.hosts[host].requests += 1
        self.hosts[host].early += exchange.early
        return exchange

    async def _send(self, asked: Asked, host: str, any_type: bool) -> Exchange:
        self.marks.setdefault(host, self.spool.mark())
        url, headers = asked.url, {}
        if asked.etag:
            headers["If-None-Match"] = asked.etag
        if asked.last_modified:
            headers["If-Modified-Since"] = asked.last_modified
        if host in self.connect:
            headers["Host"] = host
            url = url.replace(f"//{host}", f"//127.0.0.1:{self.connect[host]}", 1)
        response, failure, answered, early = await self.engine.send(url, headers, host, any_type)
        if response is None:
            return Exchange(asked.url, failure=failure, answered=answered, early=early)
        self.received += len(response.body)
        fields = tuple((_text(name), _text(value)) for name, values in response.headers.items() for value in values)
        clock = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        date = records.date_of(fields, clock)
        return Exchange(asked.url, response.status, fields, response.body, early=early, date=date)

    def _again(self, exchange: Exchange, attempt: int, host: str) -> float | None:
        """Seconds to wait before asking again, None where that is of no use."""
        backoff = self.pace.delay(host) * 2**attempt
        if exchange.failure:
            final = exchange.answered or exchange.failure == "private address"
            return None if final and exchange.failure != "connection lost" else backoff
        if exchange.status not in TRY_AGAIN:
            return None
        asked = _seconds(exchange.header("Retry-After"), exchange.header("Date"))
        return None if asked > LONGEST_WAIT else max(backoff, asked)

    async def _listen(self, url: str, host: str, exchange: Exchange | None) -> None:
        """Give up when a host has fallen silent, and forget the silence, so that the next start asks again."""
        if exchange is not None and not exchange.answered and exchange.failure != "private address":
            self.silent[host] = self.silent.get(host, 0) + 1
            if self.silent[host] < SILENCE:
                return
            exchange = await self._once(Asked(f"{urls.origin(url)}/robots.txt"), host, any_type=True)
        if exchange is None or exchange.answered or exchange.failure == "private address":
            self.silent[host] = 0
            self.marks.pop(host, None)
        else:
            self.spool.rewind(min(self.marks.values(), default=self.spool.mark()))
            raise Refusal(
                f"{host} stopped answering ({exchange.failure}): look at the network and run again, "
                f"the {self.hosts[host].requests} requests before that are kept in {self.spool.folder}"
            )


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _seconds(retry_after: str, date: str) -> float:
    """Seconds in a Retry-After header, which holds a number or a date; 0 for none."""
    if retry_after.strip().isdigit():
        return float(retry_after)
    try:
        until = parsedate_to_datetime(retry_after)
        now: Any = parsedate_to_datetime(date) if date else datetime.now(UTC)
        return max(0.0, (until - now).total_seconds())
    except (ValueError, TypeError):
        return 0.0
