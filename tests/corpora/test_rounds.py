"""Rounds: the same bytes for the same site, only what changed is fetched again, and what is cut is noticed."""

from __future__ import annotations

import gzip
import json
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mock_site import Answer, Bench, MockSite, in_child
from warcio.archiveiterator import ArchiveIterator
from warcio.checker import Checker

from stages.core import tables
from stages.core.errors import Refusal
from stages.corpora.embedded.crawl import EmbeddedCrawl, embedded
from stages.corpora.embedded.truth import truth
from stages.corpora.web import records, rounds
from stages.corpora.web.crawl import crawl
from stages.corpora.web.settings import Site
from stages.corpora.web.spool import Asked, Exchange, Spool


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def small(site: MockSite) -> None:
    site.page("/", *(f"/{n}" for n in range(8)), "/gone", "/moved", "/twin", etag=True)
    for n in range(8):
        site.page(f"/{n}", "/", etag=True, text="文" * n)
    site.pages["/twin"] = site.pages["/3"]
    site.pages["/moved"] = Answer(status=301, headers={"Location": "/2"})


def visits(folder: Path) -> list[Any]:
    with (folder / "visits.warc.gz").open("rb") as handle:
        return [(record.rec_type, dict(record.rec_headers.headers)) for record in ArchiveIterator(handle)]


# Same bytes, and only what changed


def test_two_crawls_give_the_same_bytes(bench: Bench, site: MockSite) -> None:
    small(site)
    bench.crawl(1, concurrency=4)
    first = contents(bench.round(1))
    bench.round(1).rename(bench.tmp / "first")
    bench.crawl(1, concurrency=1)
    assert contents(bench.round(1)) == first
    assert {"manifest.parquet", "politeness.json", "visits.warc.gz"} < set(first)


def test_an_unchanged_site_costs_no_body_and_no_new_shard(bench: Bench, site: MockSite) -> None:
    small(site)
    bench.crawl(1)
    site.asked.clear()
    metrics = bench.crawl(2).metrics
    assert (metrics["bodies"], metrics["fetched"], metrics["unchanged"], metrics["duplicate"]) == (0, 0, 9, 1)
    asked = {path: headers.get("If-None-Match") for _, path, headers in site.asked}
    assert all(asked[path] for path in asked if path not in ("/robots.txt", "/gone", "/moved"))
    first, second = contents(bench.round(1)), contents(bench.round(2))
    shards = [name for name in first if name.startswith("pages-")]
    assert len(shards) > 1
    assert [name for name in second if name.startswith("pages-")] == shards
    assert all(first[name] == second[name] for name in shards)
    profiles = {headers["WARC-Target-URI"]: headers["WARC-Profile"] for _, headers in visits(bench.round(2))}
    assert len(profiles) == 10
    assert set(profiles.values()) == {records.NOT_MODIFIED}
    assert list(rounds.read(bench.round(1))) == list(rounds.read(bench.round(2)))
    bench.crawl(3)
    assert contents(bench.round(3)) == second


def test_a_round_made_again_asks_the_network_for_nothing(bench: Bench, site: MockSite) -> None:
    small(site)
    for name in ("first", "again"):
        in_child(crawl, None, bench.params(), bench.tmp / name, bench.tmp / "spool")
        asked, site.asked = site.asked, []
        assert bool(asked) == (name == "first")
    assert contents(bench.tmp / "first") == contents(bench.tmp / "again")


def test_a_changed_page_changes_its_shard_alone(bench: Bench, site: MockSite) -> None:
    small(site)
    bench.crawl(1, shards=64)
    site.page("/5", "/new", etag=True)
    site.page("/new")
    site.page("/", *(f"/{n}" for n in range(1, 8)), etag=True)  # /0 is linked no longer, but stands
    del site.pages["/7"]
    bench.crawl(2, shards=64)
    outcomes = bench.outcomes(2)
    assert outcomes["/5"] == outcomes["/new"] == outcomes["/"] == ("fetched", "")
    assert outcomes["/0"] == ("unchanged", "not modified")
    assert outcomes["/7"] == ("gone", "status 404")
    rows, before = bench.rows(2), bench.rows(1)
    touched = {rows[path]["shard"] for path in ("/5", "/new", "/")} | {before["/7"]["shard"]}
    first, second = contents(bench.round(1)), contents(bench.round(2))
    same = [name for name in first if name.startswith("pages-") and name not in touched]
    assert same
    assert all(first[name] == second[name] for name in same)


def test_a_body_sent_again_is_a_revisit(bench: Bench, site: MockSite) -> None:
    site.page("/", "/a")
    site.page("/a")
    bench.crawl(1)
    assert bench.crawl(2).metrics["bodies"] == 2
    assert bench.outcomes(2) == {"/": ("unchanged", "same body"), "/a": ("unchanged", "same body")}
    (kind, headers), *_ = visits(bench.round(2))
    assert kind == "revisit"
    assert headers["WARC-Profile"] == records.SAME_PAYLOAD
    with (bench.round(2) / bench.rows(2)["/"]["shard"]).open("rb") as handle:
        kept = next(iter(ArchiveIterator(handle))).rec_headers
    assert headers["WARC-Refers-To"] == kept["WARC-Record-ID"]
    assert headers["WARC-Payload-Digest"] == kept["WARC-Payload-Digest"]
    assert headers["WARC-Refers-To-Date"] == "2026-01-01T00:00:00Z"


def test_a_twin_is_kept_when_the_first_goes(bench: Bench, site: MockSite) -> None:
    site.page("/", "/a", "/b")
    site.pages["/a"] = site.pages["/b"] = Answer(b"<p>twins</p>", headers={"ETag": '"t"'})
    bench.crawl(1)
    assert bench.rows(1)["/b"]["duplicate_of"] == site.url("/a")
    del site.pages["/a"]
    bench.crawl(2)
    assert bench.outcomes(2)["/b"] == ("unchanged", "not modified")
    assert {page.url: page.payload for page in rounds.read(bench.round(2))}[site.url("/b")] == b"<p>twins</p>"
    with (bench.round(2) / bench.rows(2)["/b"]["shard"]).open("rb") as handle:
        targets = [record.rec_headers["WARC-Target-URI"] for record in ArchiveIterator(handle)]
    assert site.url("/b") in targets


# What lies in a round


def test_all_files_are_valid_warc_and_ids_and_digests_agree(bench: Bench, site: MockSite) -> None:
    small(site)
    bench.crawl(1)
    bench.crawl(2)
    ids = set()
    for path in sorted(bench.tmp.glob("round*/*.warc.gz")):
        checker = Checker(_Options())
        checker.process_one(str(path))
        assert checker.exit_value == 0
        with path.open("rb") as handle:
            for record in ArchiveIterator(handle, check_digests="raise"):
                record.content_stream().read()
                if record.rec_type == "response":
                    ids.add(record.rec_headers["WARC-Record-ID"])
    for number in (1, 2):
        for _, headers in visits(bench.round(number)):
            assert headers["WARC-Refers-To"] in ids


class _Options:
    inputs: tuple[str, ...] = ()
    verbose = False


def test_a_foreign_reader_sees_what_ours_sees(bench: Bench, site: MockSite) -> None:
    site.page("/", "/gbk", "/packed")
    site.pages["/gbk"] = Answer("<p>国标</p>".encode("gbk"), type="text/html; charset=GBK")
    body = "<p>包</p>".encode()
    site.pages["/packed"] = Answer(gzip.compress(body), headers={"Content-Encoding": "gzip"})
    bench.crawl(1)
    ours = {page.url: page for page in rounds.read(bench.round(1))}
    assert list(ours) == sorted(ours)
    assert (ours[site.url("/gbk")].charset, ours[site.url("/gbk")].payload.decode("gbk")) == ("gbk", "<p>国标</p>")
    assert ours[site.url("/packed")].payload == body
    for shard in bench.round(1).glob("pages-*.warc.gz"):
        pages = list(rounds.read_warc(shard))
        assert [page.url for page in pages] == sorted(page.url for page in pages)
        assert all(page == ours[page.url] for page in pages)
    (bench.round(1) / "manifest.parquet").unlink()
    assert {page.url: page for page in rounds.read(bench.round(1))} == ours


def test_every_column_has_a_comment_and_times_come_from_the_site(bench: Bench, site: MockSite) -> None:
    small(site)
    bench.crawl(1)
    schema = pq.read_schema(bench.round(1) / "manifest.parquet")
    assert all(field.metadata[b"comment"] for field in schema)
    assert {row["fetched_at"] for row in bench.rows(1).values() if row["status"]} == {"2026-01-01T00:00:00Z"}
    ledger = json.loads((bench.round(1) / "politeness.json").read_text())["hosts"][site.host]
    assert ledger["requests"] == len(site.asked)
    assert ledger["sooner_than_promised"] == 0


# What is cut or wrong


def test_a_shard_cut_in_the_middle_is_named(bench: Bench, site: MockSite) -> None:
    small(site)
    bench.crawl(1)
    shard = bench.round(1) / bench.rows(1)["/"]["shard"]
    whole = shard.read_bytes()
    shard.write_bytes(whole[: len(whole) - 40])
    for reader in (rounds.read, rounds.read_warc):
        with pytest.raises(Refusal, match=f"{shard.name} is (cut|damaged)") as caught:
            list(reader(bench.round(1)))
        assert "\n" not in str(caught.value)
    shard.write_bytes(whole[:60] + bytes(30) + whole[90:])
    with pytest.raises(Refusal, match=r"cut or damaged|is damaged"):
        list(rounds.read(bench.round(1)))
    shard.write_bytes(whole)
    manifest = bench.round(1) / "manifest.parquet"
    listed = tables.read(manifest)
    wrong = pa.array(["0" * 64] * len(listed))
    tables.write(
        listed.set_column(listed.schema.get_field_index("digest"), listed.schema.field("digest"), wrong), manifest
    )
    with pytest.raises(Refusal, match="its digest is not the manifest's"):
        list(rounds.read(bench.round(1)))
    shard.unlink()
    with pytest.raises(Refusal, match="dvc checkout"):
        list(rounds.read(bench.round(1)))


@pytest.mark.parametrize("packed", [True, False])
def test_a_foreign_warc_cut_anywhere_is_refused_or_short(tmp_path: Path, packed: bool) -> None:
    members = [records.response(f"http://a/{n}", DAY, 200, HTML, b"x" * (300 + n)) for n in range(3)]
    members = members if packed else [gzip.decompress(member) for member in members]
    whole, ends = b"".join(members), [len(b"".join(members[:n])) for n in range(4)]
    path = tmp_path / ("a.warc.gz" if packed else "a.warc")
    path.write_bytes(whole)
    assert [len(page.payload) for page in rounds.read(tmp_path)] == [300, 301, 302]
    for cut in random.Random(0).sample(range(1, len(whole)), 40):
        path.write_bytes(whole[:cut])
        near = any(0 <= end - cut <= 4 for end in ends)  # only the blank lines after a record are gone
        if cut in ends or (near and not packed):
            assert all(len(page.payload) >= 300 for page in rounds.read_warc(path))
        else:
            with pytest.raises(Refusal, match="is cut or damaged"):
                list(rounds.read_warc(path))


def test_no_warc_at_all(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="holds no"):
        list(rounds.read(tmp_path))
    with pytest.raises(Refusal, match="holds no"):
        list(rounds.read_warc(tmp_path / "nothing.warc.gz"))
    (tmp_path / "page.warc.gz").write_text("<html>")
    with pytest.raises(Refusal, match="cut or damaged"):
        list(rounds.read_warc(tmp_path))


# The spool

DAY = "2026-01-01T00:00:00Z"
HTML = [("Content-Type", "text/html")]


def test_the_spool_survives_a_cut_at_every_byte(tmp_path: Path) -> None:
    asked = [Asked("http://a/"), Asked("http://a/", etag='"1"'), Asked("http://a/")]
    told = [Exchange("http://a/", 500, (), b"ill", date=DAY), Exchange("http://a/", failure="silent for 1 s")]
    told.append(Exchange("http://a/", 200, tuple(HTML), b"well", date=DAY))
    spool = Spool(tmp_path / "spool", {"site": 1})
    ends = [0]
    for question, answer in zip(asked, told, strict=True):
        spool.append(question, answer)
        ends.append(spool.mark())
    spool.close()
    journal, segment = (tmp_path / "spool" / name for name in ("journal.jsonl", "exchanges.warc.gz"))
    lines, members = journal.read_bytes(), segment.read_bytes()
    for cut in [*range(0, len(lines), 9), *ends, *(end - 1 for end in ends[1:])]:
        journal.write_bytes(lines[:cut])
        segment.write_bytes(members)
        spool = Spool(tmp_path / "spool", {"site": 1})
        assert spool.replayable == sum(end <= cut for end in ends[1:])
        replayed = [spool.replay(question) for question in asked]
        assert segment.stat().st_size == max((sum(got.place) for got in replayed if got and got.place), default=0)
        spool.append(asked[0], told[0])
        spool.close()
        again = Spool(tmp_path / "spool", {"site": 1})
        assert again.replayable == spool.replayable + 1
        again.close()
        for got, answer in zip(replayed[: spool.replayable], told, strict=False):
            assert (got.status, got.body, got.failure) == (answer.status, answer.body, answer.failure)
    journal.write_bytes(lines)
    for cut in (0, 1, len(members) - 1):
        journal.write_bytes(lines)
        segment.write_bytes(members[:cut])
        spool = Spool(tmp_path / "spool", {"site": 1})
        assert spool.replayable == (0 if cut < 2 else 2)
        spool.close()


def test_a_spool_of_another_crawl_is_not_replayed(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", {"site": 1})
    spool.append(Asked("http://a/"), Exchange("http://a/", 200, (), b"one", date=DAY))
    spool.close()
    assert Spool(tmp_path / "spool", {"site": 2}).replayable == 0


def test_a_full_disk_is_one_sentence_and_keeps_the_spool(bench: Bench, site: MockSite) -> None:
    site.page("/", *(f"/{n}" for n in range(20)))
    for n in range(20):
        site.page(f"/{n}", text="".join(map(chr, random.Random(n).choices(range(0x4E00, 0x9F00), k=3000))))
    with pytest.raises(Refusal, match=r"spool .*File too large; free some space and run again"):
        in_child(_with_small_disk, bench)
    assert not bench.round().exists()
    site.asked.clear()
    assert bench.crawl().metrics["pages"] == 21
    assert "/" not in site.paths()


def _with_small_disk(bench: Bench) -> Any:
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
    return crawl(None, bench.params(), bench.round(), bench.tmp / "spool")


# The embedded site

EMBEDDED = EmbeddedCrawl(
    edition=1,
    site=Site(
        name="encyclopedia",
        start=("http://encyclopedia.test/",),
        hosts=("encyclopedia.test",),
        sitemaps=("robots",),
        allow=(),
        deny=(r"/trap/calendar/20(2[5-9]|[3-9])",),
        local=False,
    ),
    user_agent="qujing/1.0 (+https://example.org/bot)",
    respect_robots=True,
    delay_seconds=0.0,
    autothrottle=False,
    concurrency=4,
    depth=16,
    pages=5000,
    body_bytes=1_000_000,
    seconds=120.0,
    timeout_seconds=2.0,
    retries=2,
    shards=8,
)


def _recorded(after: Path | None, edition: int, folder: Path, name: str) -> Any:
    """Crawl an edition into folder/name, with the server's own journal beside it."""
    from stages.corpora.embedded import server

    serve = server.serve
    server.serve = lambda *given, **named: serve(*given, **named | {"journal": folder / f"{name}.journal"})
    return embedded(after, replace(EMBEDDED, edition=edition), folder / name, folder / f"{name}.spool")


def asked_in(journal: Path) -> list[tuple[str, int, int]]:
    """(path, status, bytes sent) of each request."""
    lines = [line.split("\t") for line in journal.read_text().splitlines()]
    return [(path, int(status), int(sent)) for _, path, _, status, sent in lines]


@pytest.fixture(scope="module")
def encyclopedia(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A round of the first edition of the embedded site."""
    folder = tmp_path_factory.mktemp("encyclopedia")
    in_child(_recorded, None, 1, folder, "1")
    return folder


def test_the_embedded_site_is_crawled_exactly(encyclopedia: Path) -> None:
    known = truth(1)
    for shard in sorted((encyclopedia / "1").glob("pages-*.warc.gz")):
        addresses = [page.url for page in rounds.read_warc(shard)]
        assert len(addresses) > 50
        assert addresses == sorted(addresses)
    rows = {row["url"]: row for row in tables.read(encyclopedia / "1" / "manifest.parquet").to_pylist()}
    kept = {page.url for page in rounds.read(encyclopedia / "1")}
    wanted = {page.url for page in known.pages if page.fate == "keep"}
    assert len(wanted) > 1000
    assert wanted <= kept
    for page in known.pages:
        if page.fate == "duplicate" and rows[page.url]["outcome"] == "duplicate":
            assert rows[page.url]["duplicate_of"] == page.same_as
    asked = asked_in(encyclopedia / "1.journal")
    paths = {"http://encyclopedia.test" + path for path, _, _ in asked}
    assert not paths & set(known.forbidden)
    assert all(rows[url]["reason"] == "robots.txt" for url in known.forbidden)
    assert not {url for url in paths if "/nofollow/" in url or url.endswith((".png", ".pdf"))}
    ledger = json.loads((encyclopedia / "1" / "politeness.json").read_text())
    assert ledger["refused"]["private address"] == 1
    assert ledger["hosts"].keys() == {"encyclopedia.test"}
    outcomes = {url.removeprefix("http://encyclopedia.test"): row["outcome"] for url, row in rows.items()}
    assert outcomes["/r/loop-a"] == outcomes["/r/self"] == outcomes["/endless/stream.html"] == "failed"
    assert outcomes["/errors/heals-500.html"] == outcomes["/errors/heals-503.html"] == "fetched"
    again = {path: count for path, count in Counter(path for path, _, _ in asked).items() if count > 1}
    assert again == {"/errors/heals-500.html": 3, "/errors/heals-503.html": 2}


@pytest.mark.slow
def test_rounds_of_the_embedded_site(encyclopedia: Path) -> None:
    in_child(_recorded, None, 1, encyclopedia, "again")
    assert contents(encyclopedia / "again") == contents(encyclopedia / "1")
    same = in_child(_recorded, encyclopedia / "1", 1, encyclopedia, "same").metrics
    assert (same["bodies"], same["fetched"], same["gone"]) == (0, 0, 2)
    changed = in_child(_recorded, encyclopedia / "1", 2, encyclopedia, "2").metrics
    assert 0 < changed["fetched"] < 100
    assert changed["gone"] > 2
    kept = {page.url for page in rounds.read(encyclopedia / "2")}
    assert {page.url for page in truth(2).pages if page.fate == "keep"} <= kept
