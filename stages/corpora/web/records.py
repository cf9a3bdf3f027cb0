"""WARC records: one gzip member each, the same bytes for the same content."""

from __future__ import annotations

import base64
import hashlib
import uuid
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from io import BytesIO
from typing import Any, BinaryIO

Headers = Sequence[tuple[str, str]]

NOT_MODIFIED = "http://netpreserve.org/warc/1.1/revisit/server-not-modified"
SAME_PAYLOAD = "http://netpreserve.org/warc/1.1/revisit/identical-payload-digest"
OF_THE_CONNECTION = {"connection", "keep-alive", "transfer-encoding", "content-length", "proxy-connection"}


@dataclass(frozen=True)
class Record:
    """A response record read back."""

    url: str
    date: str
    status: int
    headers: tuple[tuple[str, str], ...]
    payload: bytes


def header(headers: Headers, name: str) -> str:
    """The first value of a header, "" where there is none."""
    return next((value for key, value in headers if key.lower() == name.lower()), "")


def date_of(headers: Headers, otherwise: str) -> str:
    """The time in the response's Date header as `2026-01-31T12:00:00Z`, or `otherwise` where none can be read."""
    try:
        moment = parsedate_to_datetime(header(headers, "Date"))
    except ValueError:
        return otherwise
    moment = moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def digest(payload: bytes) -> str:
    """sha256 of a payload, in hexadecimal."""
    return hashlib.sha256(payload).hexdigest()


def response(url: str, date: str, status: int, headers: Headers, payload: bytes) -> bytes:
    """A response record; headers that speak of the connection or of its coding are left out."""
    kept = [(name, value) for name, value in headers if name.lower() not in OF_THE_CONNECTION]
    kept.append(("Content-Length", str(len(payload))))
    named = {"WARC-Date": date, "WARC-Record-ID": identity(url, date, digest(payload))}
    named["WARC-Payload-Digest"] = _label(digest(payload))
    return _member(url, "response", named, _http(status, kept), payload)


def revisit(
    url: str, date: str, status: int, headers: Headers, sha256: str, profile: str, first: str, first_date: str
) -> bytes:
    """A revisit record: at `date`, `url` had the payload of the response record of `first` made at `first_date`."""
    named = {"WARC-Date": date, "WARC-Record-ID": identity(f"revisit {url}", date, sha256), "WARC-Profile": profile}
    named["WARC-Refers-To"] = identity(first, first_date, sha256)
    named["WARC-Refers-To-Target-URI"] = first
    named["WARC-Refers-To-Date"] = first_date
    named["WARC-Payload-Digest"] = _label(sha256)
    kept = [(name, value) for name, value in headers if name.lower() not in OF_THE_CONNECTION]
    return _member(url, "revisit", named, _http(status, kept), b"")


def parse(member: bytes) -> Record:
    """The response record in one gzip member; raises ValueError where the member is cut or is none."""
    from warcio.archiveiterator import ArchiveIterator
    from warcio.exceptions import ArchiveLoadFailed

    inflate = zlib.decompressobj(zlib.MAX_WBITS + 16)
    try:
        plain = inflate.decompress(member)
    except zlib.error as error:
        raise ValueError(f"damaged record: {error}") from error
    if not inflate.eof:
        raise ValueError("cut record")
    try:
        record = next(iter(ArchiveIterator(BytesIO(plain))))
        return read(record)
    except (ArchiveLoadFailed, StopIteration, EOFError) as error:
        raise ValueError(f"not a WARC record: {error}") from error


def read(record: Any) -> Record:
    """A `Record` from warcio's; raises ValueError where the file ended before the record did."""
    fields, http = record.rec_headers, record.http_headers
    payload = record.content_stream().read()
    if fields.get_header("Content-Length") is None or getattr(record.raw_stream, "limit", 0) > 0:
        raise ValueError("cut record")
    status = int(http.get_statuscode()) if http is not None and http.get_statuscode().isdigit() else 0
    headers = tuple(http.headers) if http is not None else ()
    return Record(fields.get_header("WARC-Target-URI"), fields.get_header("WARC-Date"), status, headers, payload)


def complete(file: BinaryIO, packed: bool) -> bool:
    """Whether what is left of `file` is no more than one whole gzip member, or (plain) than blank lines."""
    if not packed:
        return not file.read(1 << 10).strip()
    inflate, left = zlib.decompressobj(zlib.MAX_WBITS + 16), b""
    while piece := file.read(1 << 16):
        if inflate.eof:
            return False
        inflate.decompress(piece)
        left = piece
    return (inflate.eof and not inflate.unused_data) or not left


def identity(url: str, date: str, sha256: str) -> str:
    """The id of a record, made of what it records."""
    return f"<urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'{url} {date} {sha256}')}>"


def _member(url: str, kind: str, named: dict[str, str], http: Any, payload: bytes) -> bytes:
    from warcio.warcwriter import WARCWriter

    buffer = BytesIO()
    writer = WARCWriter(buffer, gzip=True, warc_version="1.1")
    record = writer.create_warc_record(
        url, kind, payload=BytesIO(payload), length=len(payload), warc_headers_dict=named, http_headers=http
    )
    writer.write_record(record)
    return buffer.getvalue()


def _http(status: int, headers: Headers) -> Any:
    from warcio.statusandheaders import StatusAndHeaders

    phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Unknown"
    return StatusAndHeaders(f"{status} {phrase}", list(headers), protocol="HTTP/1.1")


def _label(sha256: str) -> str:
    return "sha256:" + base64.b32encode(bytes.fromhex(sha256)).decode("ascii")
