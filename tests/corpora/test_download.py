"""Downloads: resumed where cut, checked, and every failure one sentence that leaves nothing behind."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mock_site import Answer, MockSite, in_child

from stages.core import tables
from stages.core.errors import Refusal
from stages.corpora import download as module
from stages.corpora.download import Download, Source, download

BODY = bytes(range(256)) * 8000  # 2 MB
SHA256 = hashlib.sha256(BODY).hexdigest()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(module, "BACKOFF", 0.01)
    monkeypatch.setattr(module, "TIMEOUT", (1.0, 0.3))
    monkeypatch.delenv("QUJING_MIRROR", raising=False)
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return


def get(tmp: Path, *urls: str, sha256: str = SHA256, name: str = "corpus.bin") -> Any:
    params = Download({name: Source(urls, sha256, "CC0-1.0")})
    return download(None, params, tmp / "out", tmp / "spool")


def whole(tmp: Path, url: str) -> None:
    assert (tmp / "out" / "files" / "corpus.bin").read_bytes() == BODY
    (row,) = tables.read(tmp / "out" / "manifest.parquet").to_pylist()
    assert row == {"name": "corpus.bin", "url": url, "sha256": SHA256, "bytes": len(BODY), "licence": "CC0-1.0"}
    assert sorted(path.name for path in (tmp / "out").iterdir()) == ["files", "manifest.parquet"]
    assert not (tmp / "spool").exists()


def refused(tmp: Path, match: str, *urls: str, **named: Any) -> None:
    with pytest.raises(Refusal, match=match) as caught:
        get(tmp, *urls, **named)
    assert "\n" not in str(caught.value)
    assert not (tmp / "out").exists()


def ranged(cut_at: int, honour: bool = True, etag: str = '"v1"') -> Any:
    """A server that cuts the first answer after `cut_at` bytes, and honours Range (or not) from then on."""

    def answer(path: str, before: int) -> Answer:
        if before == 0:
            headers = {"Content-Length": str(len(BODY)), "ETag": etag, "Connection": "close"}
            return Answer(BODY[:cut_at], headers=headers)
        if not honour:
            return Answer(BODY, headers={"ETag": etag})
        where = {"Content-Range": f"bytes {cut_at}-{len(BODY) - 1}/{len(BODY)}", "ETag": etag}
        return Answer(BODY[cut_at:], 206, headers=where)

    return answer


def test_a_file_and_its_manifest(site: MockSite, tmp_path: Path) -> None:
    site.pages["/corpus.bin"] = Answer(BODY)
    findings = get(tmp_path, site.url("/corpus.bin"))
    whole(tmp_path, site.url("/corpus.bin"))
    assert findings.metrics == {"files": 1.0, "bytes": float(len(BODY))}


def test_a_cut_file_is_gone_on_with(site: MockSite, tmp_path: Path) -> None:
    site.pages["/f"] = ranged(700_000)
    get(tmp_path, site.url("/f"))
    whole(tmp_path, site.url("/f"))
    headers = site.asked[1][2]
    assert (headers["Range"], headers["If-Range"]) == ("bytes=700000-", '"v1"')


def test_a_server_that_knows_no_ranges(site: MockSite, tmp_path: Path) -> None:
    site.pages["/f"] = ranged(700_000, honour=False)
    get(tmp_path, site.url("/f"))
    whole(tmp_path, site.url("/f"))
    assert site.count("/f") == 2


def test_a_kill_between_two_starts_loses_nothing(site: MockSite, tmp_path: Path) -> None:
    site.pages["/f"] = lambda path, before: ranged(700_000)(path, 0)
    refused(tmp_path, "connection lost.*look at the network and run again", site.url("/f"))
    held = next((tmp_path / "spool").glob("*.partial")).stat().st_size
    assert held >= 700_000
    site.pages["/f"] = lambda path, before: ranged(held)(path, 1)
    site.asked.clear()
    get(tmp_path, site.url("/f"))
    whole(tmp_path, site.url("/f"))
    assert [headers["Range"] for _, _, headers in site.asked] == [f"bytes={held}-"]


def test_a_partial_file_of_something_else_is_thrown_away(site: MockSite, tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / f"{SHA256}.partial").write_bytes(b"z" * 1000)
    site.pages["/f"] = lambda path, before: ranged(1000)(path, 1) if before == 0 else Answer(BODY)
    get(tmp_path, site.url("/f"))
    whole(tmp_path, site.url("/f"))


def test_what_is_complete_is_not_asked_for_again(site: MockSite, tmp_path: Path) -> None:
    site.pages["/a"] = Answer(BODY)
    sources = {"a.bin": Source((site.url("/a"),), SHA256, "x"), "b.bin": Source((site.url("/b"),), "0" * 64, "x")}
    with pytest.raises(Refusal, match=r"b\.bin is not there"):
        download(None, Download(sources), tmp_path / "out", tmp_path / "spool")
    del sources["b.bin"]
    download(None, Download(sources), tmp_path / "out", tmp_path / "spool")
    assert site.count("/a") == 1
    assert (tmp_path / "out" / "files" / "a.bin").read_bytes() == BODY


def test_an_ill_server_is_asked_again_and_the_next_address_after_it(site: MockSite, tmp_path: Path) -> None:
    site.pages["/heals"] = lambda path, before: Answer(status=503) if before < 2 else Answer(BODY)
    get(tmp_path, site.url("/gone"), site.url("/heals"))
    whole(tmp_path, site.url("/gone"))  # the manifest names the first address, wherever the bytes came from
    assert (site.count("/gone"), site.count("/heals")) == (1, 3)
    assert site.paths() == ["/gone", "/heals", "/heals", "/heals"]


def test_a_wrong_checksum(site: MockSite, tmp_path: Path) -> None:
    site.pages["/f"] = Answer(b"another file")
    got = hashlib.sha256(b"another file").hexdigest()
    refused(tmp_path, f"has sha256 {got}, but {SHA256} is expected", site.url("/f"))
    assert not list((tmp_path / "spool").glob("*.partial"))


def test_not_there_at_all(site: MockSite, tmp_path: Path) -> None:
    site.pages["/b"] = Answer(status=410)
    refused(tmp_path, "corpus.bin is not there .*404.*status 410.*correct its urls", site.url("/a"), site.url("/b"))


def test_no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fails(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", fails)
    refused(tmp_path, "no such host, or no network.*QUJING_MIRROR", "https://example.org/corpus.bin")


def test_nobody_listens(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    refused(tmp_path, "connection refused.*QUJING_MIRROR", f"http://127.0.0.1:{port}/f")


def test_a_server_that_hangs(site: MockSite, tmp_path: Path) -> None:
    site.pages["/f"] = lambda path, before: time.sleep(0.5) or Answer(BODY)
    refused(tmp_path, "no answer in time", site.url("/f"))
    assert site.count("/f") == module.ATTEMPTS


@pytest.mark.parametrize("url", ["example.org/f", "ftp://example.org/f", "http://", "http://[::1/f"])
def test_what_is_no_address(tmp_path: Path, url: str) -> None:
    refused(tmp_path, "is not an address: write it as https://host/path", url)


def test_names_and_checksums_are_looked_at_first(tmp_path: Path) -> None:
    refused(tmp_path, "must be a plain file name", "http://a/", name="../f")
    refused(tmp_path, "must be 64 digits", "http://a/", sha256="abc")


def test_a_full_disk(site: MockSite, tmp_path: Path) -> None:
    site.pages["/f"] = Answer(BODY)
    with pytest.raises(Refusal, match=r"corpus.bin cannot be written to .*File too large; free some space"):
        in_child(_with_small_disk, tmp_path, site.url("/f"))
    assert not (tmp_path / "out").exists()


def _with_small_disk(tmp: Path, url: str) -> Any:
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))
    return get(tmp, url)


def test_the_mirror_goes_first(site: MockSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror = tmp_path / "mirror" / "deep"
    mirror.mkdir(parents=True)
    (mirror / "original.bin").write_bytes(BODY)  # by the name in the address
    (mirror / "corpus.bin").write_bytes(b"an old one")
    monkeypatch.setenv("QUJING_MIRROR", str(tmp_path / "mirror"))
    get(tmp_path, site.url("/original.bin"))
    whole(tmp_path, site.url("/original.bin"))
    assert site.asked == []
    assert (mirror / "original.bin").exists()


@pytest.mark.parametrize(("suffix", "pack"), [(".xz", lzma.compress), (".gz", gzip.compress)])
def test_the_mirror_may_hold_it_packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, pack: Any) -> None:
    monkeypatch.setenv("QUJING_MIRROR", str(tmp_path / "mirror"))
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / f"corpus.bin{suffix}").write_bytes(pack(BODY))
    get(tmp_path)
    whole(tmp_path, "")
    packed = hashlib.sha256(pack(BODY)).hexdigest()
    get(tmp_path, sha256=packed, name=f"corpus.bin{suffix}")
    assert (tmp_path / "out" / "files" / f"corpus.bin{suffix}").read_bytes() == pack(BODY)


def test_a_mirror_that_lacks_the_file_or_is_none(
    site: MockSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "another.bin").write_bytes(BODY)
    monkeypatch.setenv("QUJING_MIRROR", str(tmp_path / "mirror"))
    site.pages["/f"] = Answer(BODY)
    get(tmp_path, site.url("/f"))
    whole(tmp_path, site.url("/f"))
    monkeypatch.setenv("QUJING_MIRROR", str(tmp_path / "nowhere"))
    with pytest.raises(Refusal, match=r"QUJING_MIRROR is .* no folder"):
        get(tmp_path, site.url("/f"))
