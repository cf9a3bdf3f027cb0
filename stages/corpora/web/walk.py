"""The walk over a site, breadth first, one level after the other, so that the same site gives the same round.

All addresses of a level are asked (hosts side by side, each at its own pace); only then are the answers looked at, in
the order in which their addresses were found. What comes out does not depend on who answered first.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from stages.core.progress import Advance
from stages.corpora.web import links, urls
from stages.corpora.web.fetch import HOPS, Fetcher
from stages.corpora.web.judge import Finding, judge
from stages.corpora.web.polite import Robots
from stages.corpora.web.rounds import Round, Row
from stages.corpora.web.spool import Asked

if TYPE_CHECKING:
    from stages.corpora.web.settings import Crawl


@dataclass(frozen=True)
class Item:
    """An address to visit; `via` are the redirects (or sitemaps) that led to it."""

    url: str
    depth: int
    kind: str = "page"
    via: tuple[str, ...] = ()


@dataclass
class Walk:
    """A walk in progress: `findings` by address, `left` counts what was not even considered, by reason."""

    params: Crawl
    previous: Round
    fetcher: Fetcher
    advance: Advance
    findings: dict[str, Finding] = field(default_factory=dict)
    left: Counter[str] = field(default_factory=Counter)
    rules: dict[str, Robots] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    first: dict[str, str] = field(default_factory=dict)  # digest -> address under which it is kept
    asked: int = 0

    async def go(self) -> None:
        """Visit all there is, within the limits; pages of the previous round that nothing links to come last."""
        level = await self._start()
        following: list[Item] = []
        known = sorted(url for url in self.previous.rows if self.previous.kept(url))
        while level:
            same: list[Item] = []
            for item, finding in await self._visit_all(await self._permitted(level)):
                self._settle(item, finding, same, following)
            if same:
                level = same
            elif following:
                level, following = following, []
            else:
                rows = [self.previous.rows[url] for url in known]
                level, known = self._admitted(Item(row.url, row.depth, row.kind) for row in rows), []
        self._name_loops()

    async def _start(self) -> list[Item]:
        site = self.params.site
        items = [Item(url, 0, "start") for url in site.start]
        for name in site.sitemaps:
            if name != "robots":
                items.append(Item(name, 0, "sitemap"))
                continue
            for url in dict.fromkeys(urls.origin(start) for start in site.start):
                items += [Item(named, 0, "sitemap") for named in (await self._rules(url)).sitemaps]
        return self._admitted(items)

    def _admitted(self, items: Iterable[Item]) -> list[Item]:
        """Those that are new and within the site, in canonical form."""
        return [item for item in map(self._admit, items) if item is not None]

    def _admit(self, item: Item) -> Item | None:
        site = self.params.site
        try:
            url = urls.canonical(item.url)
        except ValueError as error:
            self.left["address too long" if "too long" in str(error) else "not an http address"] += 1
            return None
        if url in self.seen:
            return None
        self.seen.add(url)
        named = item.kind in ("start", "sitemap")  # by the person who wrote the params, or by the site itself
        item = replace(item, url=url, kind="page" if item.kind == "start" else item.kind)
        if urls.private(urlsplit(url).hostname or "") and not site.local:
            self.left["private address"] += 1
        elif urls.netloc(url) not in site.hosts:
            self.left["another host"] += 1
        elif not named and not _wanted(url, site.allow, site.deny):
            self.left["address pattern"] += 1
        elif not named and links.binary(url):
            self._note(item, "refused", "not text by its name")
        elif item.depth > self.params.depth:
            self._note(item, "skipped", "depth limit")
        else:
            return item
        return None

    async def _permitted(self, items: list[Item]) -> list[Item]:
        """Those that robots.txt allows, as many as may still be asked."""
        permitted = []
        for item in items:
            rules = await self._rules(item.url)
            if not rules.allows(item.url):
                self._note(item, "refused", "robots.txt unreachable" if rules.unreachable else "robots.txt")
            elif self.asked >= self.params.pages:
                self._note(item, "skipped", "page limit")
            else:
                self.asked += 1
                permitted.append(item)
        return permitted

    async def _rules(self, url: str) -> Robots:
        origin = urls.origin(url)
        if origin not in self.rules:
            if self.params.respect_robots:
                self.rules[origin] = await self.fetcher.robots(url)
            else:
                self.rules[origin] = Robots("404", None, None, (), self.fetcher.token, None)
        return self.rules[origin]

    async def _visit_all(self, items: list[Item]) -> list[tuple[Item, Finding]]:
        gates: dict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(self.params.concurrency))

        async def one(item: Item) -> tuple[Item, Finding]:
            async with gates[urls.netloc(item.url)]:
                return item, await self._visit(item)

        tasks = [asyncio.ensure_future(one(item)) for item in items]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    async def _visit(self, item: Item) -> Finding:
        before = self.previous.kept(item.url)
        asked = Asked(item.url, before.etag, before.last_modified) if before else Asked(item.url)
        exchange = await self.fetcher.ask(asked, any_type=item.kind == "sitemap")
        self.advance(1, item.url)
        return judge(Row(item.url, item.depth, item.kind), exchange, self.previous, self.params.body_bytes)

    def _settle(self, item: Item, finding: Finding, same: list[Item], following: list[Item]) -> None:
        """Write down what came of `item`, and put what it leads to where it belongs."""
        row, via = finding.row, (*item.via, item.url)
        if row.outcome == "redirect":
            row, target = self._redirect(row, item, via)
            same += self._admitted(target)
        elif row.digest:
            kept = self.first.setdefault(row.digest, row.url)
            if kept != row.url:
                row = replace(row, outcome="duplicate", reason="same body", duplicate_of=kept)
            else:
                following += self._admitted(Item(url, item.depth + 1) for url in finding.pages)
                if len(via) <= HOPS:
                    same += self._admitted(Item(url, item.depth, "sitemap", via) for url in finding.sitemaps)
        self.findings[row.url] = Finding(row, finding.place)

    def _redirect(self, row: Row, item: Item, via: tuple[str, ...]) -> tuple[Row, list[Item]]:
        try:
            target = urls.canonical(row.location)
        except ValueError:
            return replace(row, outcome="failed", reason="redirect to no http address"), []
        if len(via) > HOPS:
            return replace(row, outcome="failed", reason="too many redirects"), []
        return row, [Item(target, item.depth, item.kind, via)]

    def _name_loops(self) -> None:
        """Redirects that lead round and round are failures."""
        to = {url: f.row.location for url, f in self.findings.items() if f.row.outcome == "redirect"}
        for start in to:
            url, passed = start, set()
            while url in to and url not in passed:
                passed.add(url)
                url = urls.canonical(to[url])
            if url in passed:
                finding = self.findings[start]
                row = replace(finding.row, outcome="failed", reason="redirect loop")
                self.findings[start] = replace(finding, row=row)

    def _note(self, item: Item, outcome: str, reason: str) -> None:
        self.findings[item.url] = Finding(Row(item.url, item.depth, item.kind, outcome=outcome, reason=reason))


def _wanted(url: str, allow: tuple[str, ...], deny: tuple[str, ...]) -> bool:
    """Whether an address matches one of `allow` (or there is none) and none of `deny`."""
    return (not allow or any(re.search(p, url) for p in allow)) and not any(re.search(p, url) for p in deny)
