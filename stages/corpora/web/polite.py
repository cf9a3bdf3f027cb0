"""Politeness: what robots.txt forbids and asks, how far apart requests are sent, and where they never go."""

from __future__ import annotations

import re
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from stages.core.errors import Refusal
from stages.corpora.web.urls import private

if TYPE_CHECKING:
    from protego import Protego

ROBOTS_BYTES = 512 * 1024  # RFC 9309, 2.5: at least 500 KiB are read
EARLY = 0.001  # seconds by which a clock may be off


def agent_token(user_agent: str) -> str:
    """The product name robots.txt is asked about; raises `Refusal` where `user_agent` holds no way to reach a person.

    >>> agent_token("qujing/1.0 (+https://example.org/bot)")
    'qujing'
    """
    if "@" not in user_agent and "+http" not in user_agent:
        raise Refusal(
            f"user_agent '{user_agent}' names nobody: add an address that site owners can write to, "
            "such as 'name/1.0 (+https://example.org/bot)' or 'name/1.0 (me@example.org)'"
        )
    return re.split(r"[/\s(]", user_agent.strip(), maxsplit=1)[0]


@dataclass(frozen=True)
class Robots:
    """What one host's robots.txt means for us, by RFC 9309: none there allows all, an unreachable one forbids all."""

    answer: str  # status, or why no answer came
    text: str | None  # the file, None where there is none
    delay: float | None  # seconds between requests that it asks for
    sitemaps: tuple[str, ...]
    token: str
    rules: Protego | None

    def allows(self, url: str) -> bool:
        """Whether `url` may be fetched."""
        if self.rules is None:
            return self.answer.startswith("4")
        return self.rules.can_fetch(url, self.token)

    @property
    def unreachable(self) -> bool:
        """Whether the host gave no usable answer, so that everything is forbidden for now."""
        return self.rules is None and not self.answer.startswith("4")


def robots(status: int, failure: str, body: bytes, token: str) -> Robots:
    """The rules in an answer to a request for robots.txt; `failure` says why there was none."""
    from protego import Protego

    if status != 200:
        answer = failure or str(status)
        return Robots(answer, None, None, (), token, None)
    text = body[:ROBOTS_BYTES].decode("utf-8-sig", "replace")
    rules = Protego.parse(text)
    delays = [rules.crawl_delay(token)]
    if rate := rules.request_rate(token):
        delays.append(rate.seconds / rate.requests)
    delay = max((float(delay) for delay in delays if delay), default=None)
    return Robots("200", text, delay, tuple(rules.sitemaps), token, rules)


@dataclass
class Pace:
    """When each host may be asked next. `floor` is our own least number of seconds between two requests.

    After a restart (`resumed`) nobody knows when a host was asked last, so the first request waits a whole delay.
    """

    floor: float
    resumed: bool
    promised: dict[str, float] = field(default_factory=dict)
    taken: dict[str, float] = field(default_factory=dict)  # time of the latest turn that a request took
    held: dict[str, float] = field(default_factory=dict)  # not before: the host said Retry-After
    last: dict[str, float] = field(default_factory=dict)  # time of the latest request sent
    begun: float = field(default_factory=time.monotonic)

    def delay(self, host: str) -> float:
        """Seconds promised between two requests to `host`."""
        return self.promised.get(host, self.floor)

    def promise(self, host: str, asked: float | None) -> None:
        """Keep from now on the longer of our own delay and the one that `host` asked for."""
        self.promised[host] = max(self.delay(host), asked or 0.0)

    def hold(self, host: str, seconds: float) -> None:
        """Ask `host` nothing for so long."""
        self.held[host] = max(self.held.get(host, 0.0), time.monotonic() + seconds)

    def turn(self, host: str) -> float:
        """Seconds to wait before trying again to take the turn of asking `host`; 0 where it is taken hereby."""
        now = time.monotonic()
        before = self.taken.get(host, self.begun if self.resumed else now - self.delay(host))
        wait = max(before + self.delay(host), self.held.get(host, 0.0)) - now
        if wait <= 0:
            self.taken[host] = now
        return max(0.0, wait)

    def sent(self, host: str) -> bool:
        """Note that a request goes out now; whether that is sooner than was promised (never, if turns are kept)."""
        now = time.monotonic()
        early = host in self.last and now - self.last[host] < self.delay(host) - EARLY
        self.last[host] = now
        return early


class PublicOnly:
    """A name resolver for Twisted that hands on public addresses only, so that no name can lead into our network.

    The connection is made to the very address that was checked, so a name that changes its mind gains nothing.
    Names in `ours` may lead anywhere.
    """

    def __init__(self, resolver: Any, ours: Collection[str], refused: set[str]) -> None:
        self.resolver = resolver
        self.ours = ours
        self.refused = refused

    def resolveHostName(self, receiver: Any, hostName: str, *rest: Any, **named: Any) -> Any:
        """As Twisted's IHostnameResolver; names that led to private addresses are added to `refused`."""
        sieve = receiver if hostName in self.ours else _Sieve(receiver, hostName, self.refused)
        return self.resolver.resolveHostName(sieve, hostName, *rest, **named)


class _Sieve:
    """Passes on the public addresses of one name."""

    def __init__(self, receiver: Any, name: str, refused: set[str]) -> None:
        self.receiver, self.name, self.refused = receiver, name, refused

    def resolutionBegan(self, resolution: Any) -> None:
        self.receiver.resolutionBegan(resolution)

    def addressResolved(self, address: Any) -> None:
        if private(address.host):
            self.refused.add(self.name)
        else:
            self.receiver.addressResolved(address)

    def resolutionComplete(self) -> None:
        self.receiver.resolutionComplete()
