"""A crawl: one round over one site, polite, resumable, and the same bytes for the same site.

The fetcher writes each exchange to a spool before it is looked at; when all is visited the spool is sealed into a
round. The next round asks only for what changed since.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.core import files, progress
from stages.core.errors import Refusal, Unreachable
from stages.core.systems import Findings
from stages.corpora.web import engine, urls
from stages.corpora.web.fetch import Fetcher
from stages.corpora.web.polite import Pace, agent_token
from stages.corpora.web.rounds import KEPT, Round, Row
from stages.corpora.web.seal import seal
from stages.corpora.web.settings import Crawl
from stages.corpora.web.spool import Spool
from stages.corpora.web.walk import Walk

if TYPE_CHECKING:
    import pyarrow as pa


def crawl(
    after: Path | None, params: Crawl, out: Path, spool: Path, connect: Mapping[str, int] | None = None
) -> Findings:
    """Crawl a site into the sealed round `out`; `after` is the round before, None for the first.

    `connect` names hosts that are asked at a port of 127.0.0.1 instead of where their names lead.

    `spool` is a folder that outlives a kill: started again with the same one, the crawl goes on where it was. It
    stays, so that the same round made again asks the network for nothing. Scrapy's reactor allows one crawl a process.

    Raises `Refusal` (one sentence, nothing left in `out`) for a site that cannot be reached or forbids all, a start
    address outside the hosts, a user agent without contact, a crawl that keeps no page, a full disk, or Ctrl-C.
    """
    token = agent_token(params.user_agent)
    site = _checked(params).site
    previous = Round(after)
    key = {"site": site.name, "user_agent": params.user_agent}  # what answers depend on
    key |= {"body_bytes": params.body_bytes, "timeout_seconds": params.timeout_seconds}
    key["after"] = files.digest(after / "manifest.parquet") if after else ""
    began = time.monotonic()
    with ExitStack() as stack:
        advance = stack.enter_context(progress.counting(f"crawl {site.name}", unit="addresses"))
        store = Spool(spool, key)
        stack.callback(store.close)
        if store.replayable:
            progress.say(f"crawl {site.name}: going on after {store.replayable} requests kept in {spool}")
        pace = Pace(params.delay_seconds, resumed=store.replayable > 0)
        walks: list[Walk] = []

        async def main(running: engine.Engine) -> None:
            fetcher = Fetcher(
                running, store, pace, token, params.retries, params.seconds, connect=connect or {}, local=site.local
            )
            walks.append(Walk(params, previous, fetcher, advance))
            await walks[0].go()

        try:
            engine.run(_limits(params, ours=bool(connect)), pace, main)
        except engine.Stopped as stop:
            raise Refusal(
                f"the crawl of {site.name} was stopped: run it again to go on, what was fetched is kept in {spool}"
            ) from stop
        walk = walks[0]
        if not any(finding.row.outcome in KEPT for finding in walk.findings.values()):
            store.clear()
            raise _nothing(walk, params, token)
        rows = seal(walk.findings, previous, store, params.shards, _politeness(walk, params, pace), out)
    return _findings(rows, walk, time.monotonic() - began)


def _checked(params: Crawl) -> Crawl:
    """`params`, or a `Refusal` that names what makes no sense in it."""
    site = params.site
    for address in (*site.start, *(name for name in site.sitemaps if name != "robots")):
        try:
            host = urls.netloc(urls.canonical(address))
        except ValueError as error:
            raise Refusal(f"site {site.name}: {error}; write it as https://host/path") from error
        if host not in site.hosts:
            raise Refusal(f"site {site.name}: {address} is outside its hosts ({', '.join(site.hosts)}): add '{host}'")
    if not site.start:
        raise Refusal(f"site {site.name} has no start address: add one")
    for pattern in (*site.allow, *site.deny):
        try:
            re.compile(pattern)
        except re.error as error:
            raise Refusal(f"site {site.name}: '{pattern}' is not a regular expression ({error})") from error
    least = {"concurrency": 1, "shards": 1, "pages": 1, "body_bytes": 1, "depth": 0, "retries": 0, "delay_seconds": 0}
    for name, value in least.items():
        if getattr(params, name) < value:
            raise Refusal(f"crawl of {site.name}: {name} is {getattr(params, name)}, but must be at least {value}")
    return params


def _limits(params: Crawl, ours: bool) -> engine.Limits:
    fields = ("user_agent", "body_bytes", "timeout_seconds", "concurrency", "delay_seconds", "autothrottle")
    hosts = ("127.0.0.1",) if ours else ()
    return engine.Limits(**{name: getattr(params, name) for name in fields}, local=params.site.local, ours=hosts)


def _politeness(walk: Walk, params: Crawl, pace: Pace) -> dict[str, Any]:
    """The ledger: what each host's robots.txt said, what we promised it, and that it was kept."""
    hosts = {}
    for host, tally in sorted(walk.fetcher.hosts.items()):
        rules = tally.robots
        hosts[host] = {
            "robots": rules.text if rules else None,
            "robots_answer": rules.answer if rules else "not asked",
            "delay_asked": rules.delay if rules else None,
            "delay_promised": pace.delay(host),
            "requests": tally.requests,
            "retries": tally.retries,
            "sooner_than_promised": tally.early,
        }
    reasons = Counter(f.row.reason for f in walk.findings.values() if f.row.outcome in ("refused", "skipped"))
    return {
        "user_agent": params.user_agent,
        "respect_robots": params.respect_robots,
        "hosts": hosts,
        "refused": dict(reasons + walk.left),
    }


def _nothing(walk: Walk, params: Crawl, token: str) -> Refusal:
    """Why no page was kept, in one sentence."""
    name, rows = params.site.name, [finding.row for finding in walk.findings.values()]
    reasons = Counter(row.reason for row in rows) + walk.left
    answers = {tally.robots.answer for tally in walk.fetcher.hosts.values() if tally.robots}
    host = urls.netloc(params.site.start[0])
    if set(reasons) == {"private address"} or answers == {"private address"}:
        return Refusal(f"{host} leads to a private address: set `local: true` for site {name} if it is yours")
    if set(reasons) == {"robots.txt"}:
        told = f"robots.txt of {host} forbids every start address to '{token}'"
        return Refusal(f"{told}: ask its owner, or start elsewhere")
    silent = [row.reason for row in rows if row.status == 0 and row.outcome == "failed"]
    if "robots.txt unreachable" in reasons:
        why = next(answer for answer in sorted(answers) if not answer.startswith(("2", "4")))
        return Unreachable(f"no answer from {host} ({why} for robots.txt): look at the address and the network")
    if rows and len(silent) == len(rows):
        return Unreachable(f"no answer from {host} ({silent[0]}): look at the address and the network")
    told = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
    told = told or "nothing to ask"
    return Refusal(f"the crawl of {name} kept no page ({told}): look at its start, allow, deny and limits")


def _findings(rows: Sequence[Row], walk: Walk, seconds: float) -> Findings:
    outcomes = Counter(row.outcome for row in rows)
    names = ("fetched", "unchanged", "duplicate", "redirect", "gone", "refused", "failed", "skipped")
    metrics = {name: float(outcomes[name]) for name in names}
    tallies = walk.fetcher.hosts.values()
    metrics["pages"] = float(sum(row.outcome in KEPT and row.kind == "page" for row in rows))
    metrics["bodies"] = float(sum(row.status == 200 and row.digest != "" for row in rows))
    metrics["bytes"] = float(sum(row.bytes for row in rows if row.outcome in KEPT))
    metrics["requests"] = float(sum(tally.requests for tally in tallies))
    metrics["retries"] = float(sum(tally.retries for tally in tallies))
    metrics["sooner_than_promised"] = float(sum(tally.early for tally in tallies))
    facts = {
        "seconds": seconds,
        "pages_per_second": metrics["pages"] / max(seconds, 1e-9),
        "received_bytes": float(walk.fetcher.received),
    }
    return Findings(metrics=metrics, tables={"outcomes": _outcomes(rows, walk.left)}, facts=facts)


def _outcomes(rows: Sequence[Row], left: Counter[str]) -> pa.Table:
    """How many addresses came to which end, and why; `ignored` are those that were never considered."""
    import pyarrow as pa

    from stages.core import tables

    counts = Counter((row.outcome, row.reason) for row in rows)
    counts.update({("ignored", reason): count for reason, count in left.items()})
    columns = tables.schema(
        outcome=(pa.string(), "what came of the address"),
        reason=(pa.string(), "why"),
        count=(pa.int64(), "addresses"),
    )
    listed = [{"outcome": o, "reason": r, "count": n} for (o, r), n in sorted(counts.items())]
    return pa.Table.from_pylist(listed, schema=columns)
