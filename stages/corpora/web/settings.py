"""What to crawl, and how: the params of a round."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Site:
    """What to crawl."""

    name: str
    start: tuple[str, ...]  # addresses to begin with
    hosts: tuple[str, ...]  # hosts (with their port where it is unusual) that the crawl stays on
    sitemaps: tuple[str, ...]  # addresses of sitemaps; the word `robots` stands for those that robots.txt names
    allow: tuple[str, ...]  # regular expressions, one of which an address must match; none: all
    deny: tuple[str, ...]  # regular expressions, none of which it may match
    local: bool  # loopback and private addresses may be asked: the site is ours


@dataclass(frozen=True)
class Crawl:
    """How to crawl it. Every limit is a promise: what is left out because of one is in the manifest as skipped."""

    site: Site
    user_agent: str  # must name a contact
    respect_robots: bool
    delay_seconds: float  # least time between two requests to a host; robots.txt can ask for more
    autothrottle: bool  # slow down further when the site answers slowly
    concurrency: int  # requests at once to a host
    depth: int  # links from a start address
    pages: int  # addresses asked in all
    body_bytes: int  # of one response
    seconds: float  # for the whole crawl
    timeout_seconds: float  # for one request, from connecting to its last byte
    retries: int  # of one address, after the first failure
    shards: int  # files the pages are spread over
