"""The crawl keeps its promises to sites, and to us."""

from __future__ import annotations

import gzip
import itertools
import json
import multiprocessing
import os
import random
import signal
import socket
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from mock_site import Answer, Bench, MockSite, in_child

from stages.core import tables
from stages.core.errors import Refusal
from stages.corpora.web import urls
from stages.corpora.web.crawl import crawl


def ledger(bench: Bench) -> dict[str, Any]:
    return json.loads((bench.round() / "politeness.json").read_text())


# Politeness


def test_robots_rules_and_wildcards_are_kept(bench: Bench, site: MockSite) -> None:
    robots = b"User-agent: *\nDisallow: /no/\nDisallow: /*.cgi$\nAllow: /no/but\n\nUser-agent: other\nDisallow: /\n"
    site.pages["/robots.txt"] = Answer(robots, type="text/plain")
    site.page("/", "/yes", "/no/page", "/no/but", "/x/run.cgi", "/x/run.cgi?more=1")
    for path in ("/yes", "/no/page", "/no/but", "/x/run.cgi", "/x/run.cgi?more=1"):
        site.page(path)
    bench.crawl()
    assert set(site.paths()) == {"/robots.txt", "/", "/yes", "/no/but", "/x/run.cgi?more=1"}
    assert bench.outcomes()["/no/page"] == ("refused", "robots.txt")
    assert ledger(bench)["refused"] == {"robots.txt": 2}
    assert ledger(bench)["hosts"][site.host]["robots"] == robots.decode()


def test_rules_for_our_name_go_before_those_for_all(bench: Bench, site: MockSite) -> None:
    robots = b"User-agent: *\nDisallow:\n\nUser-agent: qujing\nDisallow: /a\n"
    site.pages["/robots.txt"] = Answer(robots, type="text/plain")
    site.page("/", "/a")
    bench.crawl()
    assert "/a" not in site.paths()


def test_robots_that_cannot_be_had_forbids_all_and_none_there_allows(bench: Bench, site: MockSite) -> None:
    site.page("/")
    site.pages["/robots.txt"] = Answer(status=500)
    with pytest.raises(Refusal, match=r"no answer from .*500 for robots.txt"):
        bench.crawl()
    assert "/" not in site.paths()
    site.pages["/robots.txt"] = Answer(status=404)
    assert bench.crawl().metrics["pages"] == 1


def test_crawl_delay_of_robots_is_kept_where_longer_than_ours(bench: Bench, site: MockSite) -> None:
    site.pages["/robots.txt"] = Answer(b"User-agent: *\nCrawl-delay: 0.3\n", type="text/plain")
    site.page("/", "/a", "/b")
    site.page("/a")
    site.page("/b")
    findings = bench.crawl(delay_seconds=0.05, concurrency=3, autothrottle=True)
    times = [at for at, _, _ in site.asked]
    assert min(b - a for a, b in itertools.pairwise(times)) >= 0.28  # as the site saw it
    assert findings.metrics["sooner_than_promised"] == 0
    assert ledger(bench)["hosts"][site.host]["delay_promised"] == 0.3


def test_our_own_delay_is_the_floor(bench: Bench, site: MockSite) -> None:
    site.page("/", "/a")
    site.page("/a")
    bench.crawl(delay_seconds=0.25)
    times = [at for at, _, _ in site.asked]
    assert len(times) == 3
    assert min(b - a for a, b in itertools.pairwise(times)) >= 0.23


def test_nofollow_of_links_pages_and_headers(bench: Bench, site: MockSite) -> None:
    site.pages["/"] = Answer(b'<a href="/a" rel="nofollow">a</a><a href="/b">b</a><a href="/c">c</a>')
    site.pages["/b"] = Answer(b'<meta name="Robots" content="index, NOFOLLOW"><a href="/b1">1</a>')
    site.pages["/c"] = Answer(b'<p>c</p><a href="/c1">1</a>', headers={"X-Robots-Tag": "nofollow"})
    bench.crawl()
    assert set(site.paths()) == {"/robots.txt", "/", "/b", "/c"}


def test_retry_after_is_waited_for(bench: Bench, site: MockSite) -> None:
    busy = Answer(status=429, headers={"Retry-After": "1"})
    site.pages["/"] = lambda path, before: busy if before == 0 else Answer(b"well")
    assert bench.crawl().metrics["retries"] == 1
    times = [at for at, path, _ in site.asked if path == "/"]
    assert len(times) == 2
    assert times[1] - times[0] >= 0.95


def test_a_host_that_asks_for_an_hour_is_left_alone(bench: Bench, site: MockSite) -> None:
    site.page("/", "/busy")
    site.pages["/busy"] = Answer(status=503, headers={"Retry-After": "3600"})
    bench.crawl()
    assert site.count("/busy") == 1
    assert bench.outcomes()["/busy"] == ("failed", "status 503")


def test_user_agent_must_name_a_contact(bench: Bench) -> None:
    with pytest.raises(Refusal, match="names nobody: add an address"):
        bench.crawl(user_agent="qujing/1.0")


# Where it does not go


def test_other_hosts_and_private_addresses_are_not_asked(bench: Bench, site: MockSite) -> None:
    other = MockSite()
    other.page("/")
    site.page("/", other.url("/linked"), "/away", "http://10.0.0.1/", "mailto:a@b.c", "javascript:x()")
    site.pages["/away"] = Answer(status=302, headers={"Location": other.url("/redirected")})
    bench.crawl()
    assert other.asked == []
    assert bench.outcomes()["/away"] == ("redirect", "status 302")
    assert ledger(bench)["refused"] == {"another host": 3}


def test_a_name_that_leads_home_is_refused_unless_the_site_is_local(bench: Bench, site: MockSite) -> None:
    port = site.server.server_port
    site.page("/")
    where = {"start": (f"http://example.test:{port}/",), "hosts": (f"example.test:{port}",)}
    with pytest.raises(Refusal, match="leads to a private address: set `local: true`"):
        in_child(_with_names, bench, where | {"local": False})
    assert site.asked == []
    assert in_child(_with_names, bench, where | {"local": True}).metrics["pages"] == 1


def _with_names(bench: Bench, where: dict[str, Any]) -> Any:
    """Crawl with `example.test` leading to loopback, as a hostile name server would have it."""
    real = socket.getaddrinfo
    socket.getaddrinfo = lambda host, *a, **k: real("127.0.0.1" if host == "example.test" else host, *a, **k)
    socket.gethostbyname = lambda host: "127.0.0.1"
    return crawl(None, bench.params(where), bench.round(), bench.tmp / "spool")


def test_a_redirect_into_our_network_is_refused_even_to_a_listed_host(bench: Bench, site: MockSite) -> None:
    port = site.server.server_port
    where = {"start": (site.url(),), "hosts": (site.host, f"localhost:{port}"), "local": False}
    with pytest.raises(Refusal, match="leads to a private address"):
        bench.crawl(site=where)
    assert site.asked == []


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("10.1.2.3", True),
        ("169.254.169.254", True),
        ("100.64.0.1", True),
        ("::1", True),
        ("[fe80::1]", True),
        ("::ffff:192.168.0.1", True),
        ("2002:7f00:1::", True),
        ("0.0.0.0", True),
        ("224.0.0.1", True),
        ("localhost", True),
        ("93.184.216.34", False),
        ("2606:2800:220:1::1", False),
        ("example.org", False),
    ],
)
def test_private_addresses_are_known(host: str, expected: bool) -> None:
    assert urls.private(host) is expected


def test_start_outside_hosts_is_refused(bench: Bench) -> None:
    with pytest.raises(Refusal, match=r"outside its hosts \(example.org\): add '127"):
        bench.crawl(site={"hosts": ("example.org",)})


# Traps


def test_an_endless_page_ends(bench: Bench, site: MockSite) -> None:
    def drip(out: Any) -> None:
        for _ in range(100):
            out.write(b"more ")
            out.flush()
            time.sleep(0.1)

    def flood(out: Any) -> None:
        for _ in range(100):
            out.write(b"x" * 10_000)

    site.page("/", "/drip", "/flood", "/big", "/after")
    site.pages["/drip"] = Answer(write=drip)
    site.pages["/flood"] = Answer(write=flood)
    site.pages["/big"] = Answer(b"x" * 200_000)
    site.page("/after")
    began = time.monotonic()
    bench.crawl()
    assert time.monotonic() - began < 6
    outcomes = bench.outcomes()
    assert outcomes["/drip"] == ("failed", "not whole after 1 s")
    assert site.count("/drip") == 1
    assert outcomes["/flood"] == outcomes["/big"] == ("refused", "larger than 100000 bytes")
    assert outcomes["/after"] == ("fetched", "")


def test_a_link_trap_is_bounded_by_depth_and_pages(bench: Bench, site: MockSite) -> None:
    def deeper(path: str, before: int) -> Answer:
        return Answer(f'{path}<a href="{path}x/">deeper</a><a href="{path}y/">deeper</a>'.encode())

    site.unasked = deeper  # type: ignore[assignment]
    site.pages["/robots.txt"] = Answer(status=404)
    bench.crawl(depth=3)
    assert len(site.asked) == 1 + 1 + 2 + 4 + 8
    assert Counter(bench.outcomes().values())[("skipped", "depth limit")] == 16
    site.asked.clear()
    bench.crawl(2, pages=20)
    assert len(site.asked) == 1 + 20


def test_a_500_that_heals_and_one_that_does_not(bench: Bench, site: MockSite) -> None:
    site.page("/", "/heals", "/ill")
    site.pages["/heals"] = lambda path, before: Answer(status=500) if before < 2 else Answer(b"well")
    site.pages["/ill"] = Answer(status=500)
    findings = bench.crawl()
    assert bench.outcomes()["/heals"] == ("fetched", "")
    assert site.count("/heals") == 3
    assert bench.outcomes()["/ill"] == ("failed", "status 500")
    assert site.count("/ill") == 3
    assert findings.metrics["retries"] == 4


def test_redirects_are_followed_and_loops_end(bench: Bench, site: MockSite) -> None:
    def to(place: str) -> Answer:
        return Answer(status=301, headers={"Location": place})

    site.page("/", "/old", "/loop1", "/self", "/chain0")
    site.page("/new")
    site.pages |= {"/old": to("/new"), "/loop1": to("/loop2"), "/loop2": to("/loop1"), "/self": to("/self")}
    site.pages |= {f"/chain{n}": to(f"/chain{n + 1}") for n in range(30)}
    bench.crawl()
    outcomes = bench.outcomes()
    assert outcomes["/old"] == ("redirect", "status 301")
    assert outcomes["/new"] == ("fetched", "")
    assert bench.rows()["/old"]["location"] == site.url("/new")
    assert bench.rows()["/new"]["depth"] == bench.rows()["/old"]["depth"] == 1
    assert outcomes["/loop1"] == outcomes["/loop2"] == outcomes["/self"] == ("failed", "redirect loop")
    assert outcomes["/chain8"] == ("failed", "too many redirects")
    assert "/chain9" not in outcomes
    assert max(Counter(site.paths()).values()) == 1


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("HTTP://Example.ORG:80", "http://example.org/"),
        ("https://example.org:443/a#part", "https://example.org/a"),
        ("http://example.org/a?b=2&a=1&utm_source=x&PHPSESSID=1", "http://example.org/a?a=1&b=2"),
        ("http://example.org/a;jsessionid=A1?sid=2", "http://example.org/a"),
        ("http://example.org/%7Ea/%e4%b8%ad", "http://example.org/~a/%E4%B8%AD"),
        ("http://example.org/中", "http://example.org/%E4%B8%AD"),
        ("http://例子.org/", "http://xn--fsqu00a.org/"),
        ("http://example.org/a/../b/./c", "http://example.org/b/c"),
        ("http://user:word@example.org./", "http://example.org/"),
        ("http://[::1]:8000/", "http://[::1]:8000/"),
    ],
)
def test_canonical_addresses(url: str, expected: str) -> None:
    assert urls.canonical(url) == expected
    assert urls.canonical(expected) == expected


@pytest.mark.parametrize("url", ["ftp://a/", "http://", "mailto:a@b", "http://a:port/", "http://a/" + "x" * 2000, "a"])
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        urls.canonical(url)


def test_one_page_under_many_addresses_is_asked_once_and_one_body_kept_once(bench: Bench, site: MockSite) -> None:
    site.page("/", "/a?x=1&y=2", "/a?y=2&x=1#there", "/a?x=1&y=2&utm_medium=z", "/b", "/twin")
    site.page("/a?x=1&y=2")
    site.pages["/b"] = site.pages["/twin"] = Answer(b"the same")
    bench.crawl()
    assert max(Counter(site.paths()).values()) == 1
    row = bench.rows()["/twin"]
    assert (row["outcome"], row["duplicate_of"]) == ("duplicate", site.url("/b"))
    assert row["digest"] == bench.rows()["/b"]["digest"]
    assert row["shard"] == ""


def test_only_text_is_kept(bench: Bench, site: MockSite) -> None:
    site.page("/", "/plain", "/picture", "/picture.PNG", "/unnamed", "/nothere")
    site.pages["/plain"] = Answer(b"text", type="text/plain; charset=gbk")
    site.pages["/picture"] = Answer(b"\x89PNG" * 50_000, type="image/png")  # nor waited for
    site.pages["/unnamed"] = Answer(b"what", type="")
    bench.crawl()
    outcomes, rows = bench.outcomes(), bench.rows()
    assert outcomes["/plain"] == ("fetched", "")
    assert rows["/plain"]["charset"] == "gbk"
    assert outcomes["/picture"] == ("refused", "type image/png")
    assert outcomes["/picture.PNG"] == ("refused", "not text by its name")
    assert "/picture.PNG" not in site.paths()
    assert outcomes["/unnamed"] == ("refused", "type not declared")
    assert outcomes["/nothere"] == ("gone", "status 404")


def test_sitemaps_plain_packed_and_nested(bench: Bench, site: MockSite) -> None:
    def named(kind: str, *paths: str) -> bytes:
        entry = "sitemap" if kind == "sitemapindex" else "url"
        inner = "".join(f"<{entry}><loc>{site.url(path)}</loc></{entry}>" for path in paths)
        return f'<{kind} xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{inner}</{kind}>'.encode()

    site.pages["/robots.txt"] = Answer(f"Sitemap: {site.url('/index.xml')}\n".encode(), type="text/plain")
    nested = named("sitemapindex", "/one.xml", "/two.xml.gz", "/broken.xml")
    site.pages["/index.xml"] = Answer(nested, type="application/xml")
    site.pages["/broken.xml"] = Answer(b"no xml", type="application/xml")
    site.pages["/one.xml"] = Answer(named("urlset", "/a", "/b"), type="text/xml")
    site.pages["/two.xml.gz"] = Answer(gzip.compress(named("urlset", "/c")), type="application/gzip")
    for path in ("/", "/a", "/b", "/c"):
        site.page(path)
    assert bench.crawl(site={"sitemaps": ("robots",)}).metrics["pages"] == 4
    assert bench.rows()["/one.xml"]["kind"] == "sitemap"


def test_patterns_allow_and_deny(bench: Bench, site: MockSite) -> None:
    site.page("/", "/doc/1", "/doc/2?print=1", "/other")
    for path in ("/doc/1", "/doc/2?print=1", "/other"):
        site.page(path)
    bench.crawl(site={"allow": ("/doc/",), "deny": (r"[?&]print=",)})
    assert set(site.paths()) == {"/robots.txt", "/", "/doc/1"}
    with pytest.raises(Refusal, match="not a regular expression"):
        bench.crawl(site={"allow": ("(",)})


# Ends


def test_unreachable_site(bench: Bench, site: MockSite, tmp_path: Path) -> None:
    site.server.shutdown()
    site.server.server_close()
    with pytest.raises(Refusal, match=r"no answer from 127.0.0.1:\d+ \(connection refused.*network"):
        bench.crawl()
    assert list(tmp_path.iterdir()) == []


def test_robots_that_forbid_all(bench: Bench, site: MockSite) -> None:
    site.pages["/robots.txt"] = Answer(b"User-agent: *\nDisallow: /\n", type="text/plain")
    with pytest.raises(Refusal, match="forbids every start address to 'qujing'"):
        bench.crawl()


def test_no_page_kept(bench: Bench, site: MockSite, tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"kept no page \(1 status 404\)"):
        bench.crawl()
    assert list(tmp_path.iterdir()) == []


def test_a_site_that_falls_silent_midway_can_be_gone_on_with(bench: Bench, site: MockSite) -> None:
    paths = [f"/{n}" for n in range(12)]
    site.page("/", *paths)
    for path in paths:
        site.page(path)
    ill = [True]

    def hang(path: str, before: int) -> Answer:
        if ill[0]:
            time.sleep(0.5)
        return Answer(path.encode())

    site.pages |= dict.fromkeys(paths[4:], hang)
    site.pages["/robots.txt"] = lambda path, before: hang(path, before) if before else Answer(status=404)
    with pytest.raises(Refusal, match=r"stopped answering .*run again, the .* kept in"):
        bench.crawl(timeout_seconds=0.15, retries=0)
    assert not bench.round().exists()
    ill[0] = False
    site.asked.clear()
    assert bench.crawl(timeout_seconds=0.15, retries=0).metrics["pages"] == 13
    assert "/3" not in site.paths()
    assert "/4" in site.paths()


def test_a_few_addresses_that_hang_do_not_end_the_crawl(bench: Bench, site: MockSite) -> None:
    site.page("/", *(f"/{n}" for n in range(8)))
    site.pages |= {f"/{n}": lambda path, before: time.sleep(0.4) or Answer() for n in range(6)}
    site.page("/6")
    site.page("/7")
    assert bench.crawl(timeout_seconds=0.15, retries=0).metrics["pages"] == 3
    assert bench.outcomes()["/5"] == ("failed", "silent for 0.15 s")


def test_the_time_limit_leaves_the_rest_as_skipped(bench: Bench, site: MockSite) -> None:
    site.page("/", *(f"/{n}" for n in range(9)))
    for n in range(9):
        site.page(f"/{n}")
    bench.crawl(delay_seconds=0.2, seconds=1.0)
    counts = Counter(bench.outcomes().values())
    assert counts[("fetched", "")] >= 2
    assert counts[("skipped", "time limit")] >= 3


def test_ctrl_c_stops_in_order_and_the_next_start_goes_on(bench: Bench, site: MockSite) -> None:
    _branching(site, 30)
    child = _start(bench, delay_seconds=0.05)
    while len(site.asked) < 10:
        time.sleep(0.01)
    os.kill(child.pid or 0, signal.SIGINT)
    child.join(10)
    assert child.exitcode == 3
    assert not bench.round().exists()
    bench.crawl(delay_seconds=0.01)
    assert len(bench.rows()) == 30
    assert set(site.paths()) == {"/robots.txt"} | set(bench.rows())
    assert len(site.asked) <= 1 + 30 + 1 + 1  # robots.txt, the pages, one retry, at most one again


def test_after_a_kill_a_host_is_not_asked_before_a_whole_delay(bench: Bench, site: MockSite) -> None:
    site.page("/", "/1")
    site.page("/1")
    child = _start(bench, delay_seconds=0.2)
    while len(site.asked) < 2:
        time.sleep(0.005)
    time.sleep(0.1)
    child.kill()
    child.join()
    asked, began = len(site.asked), time.monotonic()
    bench.crawl(delay_seconds=1.0)
    assert site.asked[asked][0] - began >= 1.0


def test_two_crawls_cannot_share_a_spool(bench: Bench, site: MockSite) -> None:
    _branching(site, 30)
    child = _start(bench, delay_seconds=0.05)
    while len(site.asked) < 3:
        time.sleep(0.01)
    try:
        with pytest.raises(Refusal, match="another crawl is at work"):
            bench.crawl()
    finally:
        child.kill()
        child.join()


# Kills


HEALING = "/25"


def _branching(site: MockSite, count: int) -> None:
    """A tree of pages; among its leaves a redirect, twins, and a 503 that heals."""
    for n in range(count):
        site.page(f"/{n}" if n else "/", *(f"/{m}" for m in (3 * n + 1, 3 * n + 2, 3 * n + 3) if m < count))
    site.pages[f"/{count - 1}"] = Answer(status=302, headers={"Location": "/1"})
    site.pages[f"/{count - 2}"] = site.pages[f"/{count - 3}"] = Answer(b"twin")
    site.pages[HEALING] = lambda path, before: Answer(status=503) if before < 1 else Answer(b"healed")


def _start(bench: Bench, **changes: Any) -> Any:
    def work() -> None:
        try:
            crawl(None, bench.params(**changes), bench.round(), bench.tmp / "spool")
        except Refusal:
            os._exit(3)

    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    return child


def _drill(bench: Bench, site: MockSite, kills: int, seed: int) -> None:
    _branching(site, 60)
    bench.crawl(1, delay_seconds=0.005)
    whole = _digests(bench.round())
    once = Counter(site.paths())
    site.asked.clear()
    site.pages[HEALING] = Answer(b"healed")
    files = {path: path.read_bytes() for path in bench.round().iterdir() if "pages-" in path.name}
    bench.round().rename(bench.tmp / "whole")
    chance, done = random.Random(seed), 0
    for kill in range(kills):
        child = _start(bench, delay_seconds=0.005)
        goal = len(site.asked) + chance.randint(1, max(1, 120 // kills))
        deadline = time.monotonic() + 10
        while len(site.asked) < goal and child.is_alive() and time.monotonic() < deadline:
            time.sleep(0.0005)
        time.sleep(chance.random() * 0.004)
        if child.is_alive():
            done += 1
        child.kill()
        child.join()
        if bench.round().exists():
            break
        if kill == 0:  # and once, as a machine that loses power would leave it
            with (bench.tmp / "spool" / "journal.jsonl").open("ab") as file:
                file.write(b'{"asked": {"url": "http')
            with (bench.tmp / "spool" / "exchanges.warc.gz").open("ab") as file:
                file.write(b"\x1f\x8b\x08\x00torn")
    if not bench.round().exists():
        bench.crawl(1, delay_seconds=0.005)
    assert done >= kills // 2
    assert _digests(bench.round()) == whole
    again = Counter(site.paths())
    once[HEALING] = 1  # healed by the first crawl
    assert sum((again - once).values()) <= done
    assert set(again) == set(once)
    for path, content in files.items():
        assert (bench.round() / path.name).read_bytes() == content


def _digests(path: Path) -> list[tuple[str, str, str]]:
    rows = tables.read(path / "manifest.parquet").to_pylist()
    return [(row["url"], row["digest"], row["outcome"]) for row in rows]


def test_six_kills_change_nothing(bench: Bench, site: MockSite) -> None:
    _drill(bench, site, 6, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_twenty_kills_change_nothing(bench: Bench, site: MockSite, seed: int) -> None:
    _drill(bench, site, 20, seed)
