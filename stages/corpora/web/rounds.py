"""Sealed rounds of a crawl: what lies in them, and how to read them.

pages-0000.warc.gz ...   response records of the pages kept, sorted by address within a shard
visits.warc.gz           revisit records of what was found unchanged, or under a second address
manifest.parquet         one row an address: what came of it
politeness.json          what was promised to each host, and that it was kept
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stages.core import tables
from stages.core.errors import Refusal, one_line
from stages.corpora.web import records

if TYPE_CHECKING:
    import pyarrow as pa

TYPES = ("text/html", "application/xhtml+xml", "text/plain")  # media types of pages
KEPT = ("fetched", "unchanged")  # outcomes whose bodies are in the round


@dataclass(frozen=True)
class Row:
    """One row of the manifest: what came of one address in this round."""

    url: str
    depth: int
    kind: str = "page"
    status: int = 0
    outcome: str = ""
    reason: str = ""
    digest: str = ""
    etag: str = ""
    last_modified: str = ""
    content_type: str = ""
    charset: str = ""
    location: str = ""
    duplicate_of: str = ""
    bytes: int = 0
    fetched_at: str = ""
    shard: str = ""
    offset: int = 0
    length: int = 0


@dataclass(frozen=True)
class Page:
    """A page as it came: `payload` is the body after content decoding, `charset` what the header declared, or ""."""

    url: str
    status: int
    headers: tuple[tuple[str, str], ...]
    payload: bytes
    content_type: str
    charset: str
    fetched_at: str


def schema() -> pa.Schema:
    """The columns of the manifest, each with its comment, in the order of the fields of `Row`."""
    import pyarrow as pa

    text, number = pa.string(), pa.int64()
    return tables.schema(
        url=(text, "canonical address"),
        depth=(number, "links from a start address"),
        kind=(text, "page or sitemap"),
        status=(number, "HTTP status of the last answer in this round, 0 for none"),
        outcome=(text, "fetched, unchanged, duplicate, redirect, gone, refused, failed or skipped"),
        reason=(text, "why it is not fetched, empty for fetched"),
        digest=(text, "sha256 of the payload, hexadecimal, empty where there is none"),
        etag=(text, "ETag to ask with next time, empty where none was given"),
        last_modified=(text, "Last-Modified to ask with next time, empty where none was given"),
        content_type=(text, "media type of the payload, lower case"),
        charset=(text, "charset declared in the Content-Type header, empty for none"),
        location=(text, "where a redirect leads"),
        duplicate_of=(text, "address under which the same payload is kept"),
        bytes=(number, "size of the payload"),
        fetched_at=(text, "Date of the response that brought the payload (of the last answer where there is none)"),
        shard=(text, "file that holds the record, empty where none is kept"),
        offset=(number, "first byte of the record in the shard"),
        length=(number, "bytes of the record in the shard"),
    )


class Round:
    """A sealed round opened for look-ups by address; `Round(None)` is the round before the first, with nothing in it.

    Raises `Refusal` where the folder holds no round.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.rows: dict[str, Row] = {}
        if path is not None:
            listed = tables.read(Path(path) / "manifest.parquet").to_pylist()
            self.rows = {row["url"]: Row(**row) for row in listed}

    def kept(self, url: str) -> Row | None:
        """The row of `url` where its payload is in this round, under this or another address."""
        row = self.rows.get(url)
        return row if row is not None and (row.shard or row.duplicate_of) else None

    def member(self, url: str) -> bytes:
        """The record that holds the payload of `url`, as it lies in its shard."""
        row = self.rows[url]
        row = self.rows[row.duplicate_of] if row.duplicate_of else row
        return _member(Path(self.path or "") / row.shard, row.offset, row.length)

    def record(self, url: str) -> records.Record:
        """The same record, read."""
        return _parsed(Path(self.path or ""), self.rows[url], self.member(url))


def read(path: Path) -> Iterator[Page]:
    """The pages of a sealed round in the order of its manifest (by address), or of foreign WARC files.

    Raises `Refusal` where a file is missing, cut in the middle or not what the manifest says.
    """
    path = Path(path)
    if not (path / "manifest.parquet").exists():
        yield from read_warc(path)
        return
    for batch in tables.batches(path / "manifest.parquet", rows=1024):
        for row in (Row(**fields) for fields in batch.to_pylist()):
            if row.outcome in KEPT and row.kind == "page":
                record = _parsed(path, row, _member(path / row.shard, row.offset, row.length))
                yield _page(row.url, record, row.fetched_at)


def read_warc(path: Path) -> Iterator[Page]:
    """The pages (HTML or plain text, status 200) of a WARC file, or of all *.warc and *.warc.gz files of a folder.

    Raises `Refusal` where there is none, and for a file that is cut or damaged.
    """
    path = Path(path)
    found = sorted(p for p in path.rglob("*") if p.name.endswith((".warc", ".warc.gz"))) if path.is_dir() else [path]
    if not found or not found[0].exists():
        raise Refusal(f"{path} holds no *.warc or *.warc.gz file: name a crawl's folder or a WARC file")
    for file in found:
        yield from _pages_in(file)


def _pages_in(file: Path) -> Iterator[Page]:
    from warcio.archiveiterator import ArchiveIterator
    from warcio.exceptions import ArchiveLoadFailed

    try:
        with file.open("rb") as handle:
            archive, start, end = ArchiveIterator(handle), 0, 0
            for raw in archive:
                record = records.read(raw)
                start = archive.get_record_offset()
                end = start + archive.get_record_length()
                if raw.rec_type == "response" and record.status == 200:
                    page = _page(record.url, record, record.date)
                    if page.content_type in TYPES:
                        yield page
            handle.seek(start if file.suffix == ".gz" else end)
            if not records.complete(handle, packed=file.suffix == ".gz"):
                raise ValueError("its last record is not whole")
    except (ArchiveLoadFailed, AttributeError, EOFError, OSError, ValueError, zlib.error) as error:
        raise Refusal(
            f"{file} is cut or damaged ({one_line(error)}): fetch it again, or mend it with `warcio recompress`"
        ) from error


def _page(url: str, record: records.Record, fetched_at: str) -> Page:
    declared = records.header(record.headers, "Content-Type")
    kind, charset = split_type(declared)
    return Page(url, record.status, record.headers, record.payload, kind, charset, fetched_at)


def split_type(content_type: str) -> tuple[str, str]:
    """(`text/html`, `gbk`) of `Text/HTML; charset="GBK"`; the charset is "" where none is declared."""
    from email.message import Message

    message = Message()
    message["Content-Type"] = content_type or "application/octet-stream"
    return (message.get_content_type() if content_type else ""), str(message.get_content_charset() or "")


def _member(shard: Path, offset: int, length: int) -> bytes:
    try:
        with shard.open("rb") as handle:
            handle.seek(offset)
            member = handle.read(length)
    except OSError as error:
        raise Refusal(f"{shard} cannot be read ({error.strerror}): bring it back with `dvc checkout`") from error
    if len(member) < length:
        raise Refusal(f"{shard} is cut after byte {offset + len(member)}: bring it back with `dvc checkout`")
    return member


def _parsed(folder: Path, row: Row, member: bytes) -> records.Record:
    try:
        record = records.parse(member)
        if hashlib.sha256(record.payload).hexdigest() != row.digest:
            raise ValueError("its digest is not the manifest's")
    except ValueError as error:
        shard = folder / row.shard
        raise Refusal(
            f"{shard} is damaged at byte {row.offset} ({one_line(error)}): bring it back with `dvc checkout`"
        ) from error
    return record
