"""The embedded site: its bytes, its editions, its manners over HTTP, and its truth."""

from __future__ import annotations

import gzip
import http.client
import socket
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

import pytest

from stages.corpora.embedded.corner import calendar
from stages.corpora.embedded.editions import (
    DATES,
    GONE,
    NEW_ARTICLES,
    NEW_ENTRIES,
    REVISED_ARTICLES,
    REVISED_ENTRIES,
)
from stages.corpora.embedded.facts import KINDS, entries
from stages.corpora.embedded.pages import FATES
from stages.corpora.embedded.prose import articles, terms
from stages.corpora.embedded.questions import questions
from stages.corpora.embedded.sentences import fill, say
from stages.corpora.embedded.server import serve
from stages.corpora.embedded.site import build
from stages.corpora.embedded.traps import TRAPS
from stages.corpora.embedded.truth import depths, truth

ROOT = Path(__file__).parents[2]
known = cache(truth)


@pytest.fixture(scope="module")
def server():
    with serve(1) as running:
        yield running


def get(server, path, method="GET", **headers):
    """Status, headers and body of one request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    try:
        connection.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def by_path(pages):
    return {p.url.removeprefix("http://encyclopedia.test"): p for p in pages}


# --- the text -----------------------------------------------------------------------------------------------


def test_every_article_has_a_title_and_enough_text():
    assert len(articles()) >= 60
    for article in articles():
        assert 2 <= len(article.title) <= 20, article.slug
        assert 400 <= sum(map(len, article.paragraphs)) <= 900, article.slug
        assert not set("".join(article.paragraphs)) & set(",;?!"), f"{article.slug}: half-width punctuation"


def test_no_slug_and_no_question_twice():
    for slugs in (
        [(e.kind, e.slug) for e in entries()],
        [a.slug for a in articles()],
        [q.slug for q in questions()],
        [q.question for q in questions()],
        [(e.kind, e.name) for e in entries()],
        [a.title for a in articles()],
        terms(),
    ):
        assert len(slugs) == len(set(slugs))


def test_entries_tell_facts():
    table = {(e.kind, e.slug): e for e in entries()}
    assert {e.kind for e in entries()} == set(KINDS)
    assert 800 <= len(table) <= 1100
    assert dict(table["territory", "af"].infobox)["货币"] == "阿富汗尼"
    assert dict(table["currency", "kwd"].infobox)["小数位数"] == "3"
    assert dict(table["language", "ru"].infobox)["文字"] == "西里尔文"
    assert all(4 <= len(e.sentences) <= 8 for e in entries())
    assert all((kind, slug) in table for e in entries() for kind, slug in e.related)


def test_a_template_is_filled_word_by_word():
    assert fill("{a} 在 {b} 。", a="甲", b=("乙", "丙", "丁")) == (
        "甲",
        "在",
        "乙",
        "、",
        "丙",
        "和",
        "丁",
        "。",
    )
    with pytest.raises(KeyError):
        fill("{missing} 。")
    group = ("{a} 一", "{a} 二", "{a} 三")
    assert {say(str(i), group, a="甲")[1] for i in range(30)} == {"一", "二", "三"}


# --- the site -----------------------------------------------------------------------------------------------


DIGEST = """
import hashlib
from stages.corpora.embedded.site import build
digest = [hashlib.sha256(repr(build(edition)).encode()).hexdigest() for edition in (1, 2)]
"""


def test_another_process_makes_the_same_bytes():
    here: dict = {}
    exec(DIGEST, here)
    there = subprocess.run(
        [sys.executable, "-c", DIGEST + "print(digest)"],
        env={"PYTHONHASHSEED": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert there.stdout.strip() == str(here["digest"])
    assert here["digest"][0] != here["digest"][1]


def test_an_unknown_edition_is_refused():
    with pytest.raises(ValueError, match="edition 3"):
        build(3)


def test_the_editions_differ_where_they_say():
    one, two = build(1), build(2)
    gone = {f"/wiki/{kind}/{slug}.html": status for (kind, slug), status in GONE.items()}
    added = {path for path in two if path not in one and not path.endswith(".print")}
    changed = {p for p in one if one[p] != two[p]} - set(gone) - {"/sitemaps/entries.xml"}
    assert set(one) <= set(two)
    assert len(added) == len(NEW_ARTICLES) + len(NEW_ENTRIES) == 10
    assert len(changed) == len(REVISED_ARTICLES) + len(REVISED_ENTRIES) + len({"/news.html"}) == 20
    assert {path: two[path].status for path in gone} == gone
    assert all(one[path].status == 200 for path in gone)
    for path in changed:
        assert one[path].etag != two[path].etag
        assert dict(two[path].headers)["Last-Modified"] == DATES[2]


@pytest.mark.parametrize("edition", [1, 2])
def test_every_document_is_reachable(edition):
    site = build(edition)
    far = depths(site)
    for path, page in site.items():
        if page.fate in ("keep", "index") and not path.startswith("/orphan/"):
            assert far.get(path, 99) <= 6, path
    orphans = [p for p in site if p.startswith("/orphan/")]
    listed = gzip.decompress(site["/sitemaps/orphans.xml.gz"].body).decode()
    assert len(orphans) == 5
    assert all(p not in far and p in listed for p in orphans)
    assert "/private/draft.html" in listed
    assert far["/deep/12.html"] > 6


def test_every_trap_is_there():
    site = build(1)
    for address in TRAPS:
        path = address.removeprefix("http://encyclopedia.test:80").split("#")[0].split("?utm_")[0]
        assert path in site or calendar(path), address
    assert {p.fate for p in site.values()} <= set(FATES)
    assert site["/mirror/minhash.html"].body == site["/article/minhash.html"].body
    assert site["/repost/gan.html"].text != site["/article/gan.html"].text
    assert b"2025-01.html" in calendar("/trap/calendar/2024-12.html").body
    assert calendar("/trap/calendar/x.html") is None


def test_every_page_decodes_as_the_truth_says():
    site = build(1)
    for page in site.values():
        if page.charset and page.text:
            source = page.body.decode(page.charset, "replace")
            for paragraph in page.text:
                assert paragraph in source.replace("&amp;", "&"), page.path
    for path in (
        "/legacy/gbk.html",
        "/legacy/says-utf8-is-gbk.html",
        "/legacy/undeclared-gbk.html",
        "/legacy/invalid-bytes.html",
    ):
        with pytest.raises(UnicodeDecodeError):
            site[path].body.decode("utf-8")
    with pytest.raises(UnicodeDecodeError):
        site["/legacy/gb2312.html"].body.decode("gbk")
    assert b"charset" not in site["/legacy/undeclared-gbk.html"].body
    assert site["/legacy/bom.html"].body.startswith(b"\xef\xbb\xbf")
    assert "GBK" in dict(site["/legacy/says-gbk-is-utf8.html"].headers)["Content-Type"]


# --- the truth ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("edition", [1, 2])
def test_gold_sentences_joined_are_the_text_of_the_page(edition):
    told = known(edition)
    pages = {p.url: p for p in told.pages}
    joined: dict[str, str] = {}
    for sentence in told.gold:
        joined[sentence.url] = joined.get(sentence.url, "") + "".join(sentence.words)
    assert len(joined) == sum(p.kind in KINDS and p.fate == "keep" for p in told.pages)
    for url, text in joined.items():
        assert text == pages[url].text.replace("\n", ""), url


def test_names_occur():
    told = known(1)
    text = "\n".join(p.text for p in told.pages if p.fate == "keep")
    assert sum(n.count >= 5 for n in told.names) >= 900
    assert all(n.as_word <= n.count == text.count(n.name) for n in told.names)
    assert all(n.count >= 3 for n in told.names if n.kind != "term")
    assert {n.kind for n in told.names} == {*KINDS, "term"}


def test_what_must_not_be_requested_is_not_expected():
    told = known(1)
    assert "http://encyclopedia.test/private/draft.html" in told.forbidden
    assert "http://encyclopedia.test/private/open/notice.html" not in told.forbidden
    assert not set(told.forbidden) & {p.url for p in told.pages}
    assert by_path(told.pages)["/mirror/minhash.html"].same_as == "http://encyclopedia.test/article/minhash.html"
    assert by_path(known(2).pages)["/wiki/territory/bv.html"].status == 404


# --- over HTTP ----------------------------------------------------------------------------------------------


def test_a_page_comes_as_built_plain_packed_and_as_head(server):
    page = build(1)["/article/gan.html"]
    status, headers, body = get(server, page.path)
    assert (status, body, headers["ETag"], headers["Date"]) == (200, page.body, page.etag, DATES[1])
    _, packed, small = get(server, page.path, Accept_Encoding="gzip, deflate")
    assert packed["Content-Encoding"] == "gzip"
    assert gzip.decompress(small) == page.body
    assert packed["ETag"] != headers["ETag"]
    status, head, nothing = get(server, page.path, "HEAD")
    assert (status, nothing, head["Content-Length"]) == (200, b"", str(len(page.body)))


@pytest.mark.parametrize(
    "path",
    ["/article/gan.html?utm_source=a", "/article/%67an.html", "http://encyclopedia.test/article/gan.html"],
)
def test_one_page_under_many_spellings(server, path):
    assert get(server, path)[2] == build(1)["/article/gan.html"].body


def test_parameters_come_in_any_order_and_escapes_in_any_case(server):
    assert get(server, "/show?kind=article&utm_source=a&id=zipf")[2] == build(1)["/show?id=zipf&kind=article"].body
    assert get(server, "/topic/%e5%af%b9%e8%81%94.html")[2] == build(1)["/topic/%E5%AF%B9%E8%81%94.html"].body


def test_conditional_requests(server):
    page = build(1)["/wiki/territory/af.html"]
    for headers in (
        {"If_None_Match": page.etag},
        {"If_None_Match": f'"other", {page.etag}'},
        {"If_None_Match": page.etag[:-1] + '-gzip"'},
        {"If_Modified_Since": DATES[1]},
    ):
        status, _, body = get(server, page.path, **headers)
        assert (status, body) == (304, b""), headers
        assert server.requests[-1].conditional
    assert get(server, page.path, If_None_Match='"other"', If_Modified_Since=DATES[1])[0] == 200
    assert get(server, page.path, If_Modified_Since="Sun, 05 Jan 2025 08:00:00 GMT")[0] == 200
    assert get(server, page.path, If_Modified_Since="yesterday")[0] == 200


def test_the_second_edition_confirms_what_did_not_change():
    one = build(1)
    with serve(2) as second:
        assert get(second, "/article/gan.html", If_None_Match=one["/article/gan.html"].etag)[0] == 304
        assert get(second, "/article/hmm.html", If_None_Match=one["/article/hmm.html"].etag)[0] == 200
        assert get(second, "/wiki/currency/adp.html")[0] == 410
        assert get(second, "/wiki/language/eu.html")[1]["Last-Modified"] == DATES[2]


def test_errors_heal_once_per_server():
    for _ in range(2):
        with serve(1) as fresh:
            answers = [get(fresh, "/errors/heals-500.html") for _ in range(4)]
            assert [status for status, _, _ in answers] == [500, 500, 200, 200]
            status, headers, _ = get(fresh, "/errors/heals-503.html")
            assert (status, headers["Retry-After"]) == (503, "1")
            assert get(fresh, "/errors/heals-503.html")[0] == 200


def test_redirects_lead_where_they_say(server):
    assert get(server, "/r/moved")[:2][0] == 301
    assert get(server, "/r/found")[1]["Location"] == "../article/vae.html"
    assert get(server, "/r/loop-a")[1]["Location"] == "/r/loop-b"
    assert get(server, "/r/outside")[1]["Location"].startswith("http://other.invalid/")
    assert get(server, "/no/such/page.html")[0] == 404


def test_only_its_own_host_is_served(server):
    assert get(server, "/", Host="Encyclopedia.test")[0] == 200
    assert get(server, "/", Host="other.invalid")[0] == 421


def test_the_slow_page_is_slow(server):
    start = time.perf_counter()
    assert get(server, "/slow/one-second.html")[0] == 200
    assert 0.9 < time.perf_counter() - start < 3


def test_the_endless_page_stops_when_the_client_leaves():
    with serve(1) as fresh:
        client = socket.create_connection(("127.0.0.1", fresh.port), timeout=5)
        client.sendall(b"GET /endless/stream.html HTTP/1.1\r\nHost: encyclopedia.test\r\n\r\n")
        seen = b""
        while seen.count(b"<p>") < 5:
            seen += client.recv(4096)
        assert not fresh.requests
        client.close()
        end = time.perf_counter() + 3
        while not fresh.requests and time.perf_counter() < end:
            time.sleep(0.01)
        assert fresh.requests[0].path == "/endless/stream.html"
        assert fresh.requests[0].sent > 0


def test_the_server_closes_quickly_while_it_drips():
    with serve(1) as fresh:
        client = socket.create_connection(("127.0.0.1", fresh.port), timeout=5)
        client.sendall(b"GET /endless/stream.html HTTP/1.1\r\nHost: encyclopedia.test\r\n\r\n")
        client.recv(4096)
        start = time.perf_counter()
    assert time.perf_counter() - start < 1
    client.close()
    with pytest.raises(ConnectionError):
        get(fresh, "/")


def test_the_journal_has_a_line_for_every_request(tmp_path):
    journal = tmp_path / "requests.tsv"
    for _ in range(2):
        with serve(1, journal=journal) as fresh:
            get(fresh, "/robots.txt")
            get(fresh, "/?a=1")
    lines = journal.read_text().splitlines()
    assert [line.split("\t")[:2] for line in lines] == [["GET", "/robots.txt"], ["GET", "/?a=1"]] * 2


def test_answers_come_at_once_on_a_kept_connection(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    times = []
    for page in list(build(1).values())[:200]:
        if page.status == 200 and not (page.delay or page.endless or page.failures):
            start = time.perf_counter()
            connection.request("GET", page.path)
            assert connection.getresponse().read() == page.body
            times.append(time.perf_counter() - start)
    connection.close()
    assert sorted(times)[len(times) // 2] < 0.01  # a stall of the Nagle kind would be 0.04
