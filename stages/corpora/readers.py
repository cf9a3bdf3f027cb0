"""Files of every usual kind into raw documents: plain text, JSON, JSON lines, TSV, Parquet, HTML, WARC, and archives.

Compressed files (.xz, .gz, .bz2, .zst) and tar archives are looked into; a round of a crawl is read by its manifest.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import IO, Any

from stages.core import tables
from stages.core.errors import Refusal, one_line
from stages.corpora.charset import decode
from stages.corpora.clean import HAN
from stages.corpora.web import rounds


@dataclass(frozen=True)
class Raw:
    """A document as found: either `text`, or the `payload` of a page still to be read."""

    source: str  # file name, or "web"
    url: str
    title: str = ""
    text: str = ""
    payload: bytes = b""
    charset: str = ""
    noindex: bool = False  # the server asked (X-Robots-Tag) that it be in no index


@dataclass(frozen=True)
class Reading:
    """Params of reading files that are not pages."""

    unit: str  # what is one document of a plain text or TSV file: "file" or "line"
    fields: tuple[str, ...]  # JSON fields and Parquet columns that hold text; () takes every text with Han in it
    skip: tuple[str, ...]  # names, or patterns like "*.log", of files and members of archives to leave out


def read(path: Path, params: Reading) -> Iterator[Raw]:
    """All documents of a file, a folder (files in order of name) or a sealed round.

    Raises `Refusal` that names the file where one is missing, of no known kind, or broken.
    """
    if is_round(path):
        yield from (_web("web", page) for page in rounds.read(path))
        return
    for file in listed(path, KINDS):
        if file != path and not _wanted(file.name, params):
            continue
        try:
            yield from _file(file, params)
        except (OSError, EOFError, tarfile.TarError) as error:
            raise Refusal(f"{file} cannot be read: {one_line(error)}; get it again or `skip` it") from error


def is_round(path: Path) -> bool:
    """Whether `path` is a sealed round of a crawl."""
    return (path / "politeness.json").exists()  # only a crawl's round has one


def listed(path: Path, kinds: Collection[str]) -> list[Path]:
    """`path` itself, or the files in that folder whose kind is one of `kinds`, hidden ones left out, in order of name.

    Raises `Refusal` where it is missing, of another kind, or a folder without such a file.
    """
    known = f"{', '.join(sorted(kinds))}, compressed or not"
    if not path.exists():
        raise Refusal(f"{path} is missing: name a file or a folder that exists")
    if path.is_file():
        if kind(path.name) not in kinds:
            raise Refusal(f"{path} is of no known kind; give one of: {known}")
        return [path]
    files = [file for file in path.rglob("*") if file.is_file() and file.name[0] != "." and kind(file.name) in kinds]
    if not files:
        raise Refusal(f"{path} holds no file of a known kind ({known})")
    return sorted(files)


def kind(name: str) -> str:
    """The kind of a file by its name, compression looked through: "news.jsonl.xz" is "jsonl"."""
    suffixes = PurePosixPath(name.lower()).suffixes
    while suffixes and suffixes[-1] in (".xz", ".gz", ".bz2", ".zst"):
        suffixes.pop()
    return suffixes[-1][1:] if suffixes else ""


def _wanted(name: str, params: Reading) -> bool:
    """Whether a file found in a folder or an archive is read: not the manifest of a round, nor a hidden file."""
    left_out = name.startswith(".") or name == "manifest.parquet" or any(fnmatch(name, p) for p in params.skip)
    return not left_out and kind(name) in KINDS


def _file(file: Path, params: Reading) -> Iterator[Raw]:
    if kind(file.name) == "warc":
        yield from (_web(file.name, page) for page in rounds.read_warc(file))
    elif kind(file.name) == "parquet":
        yield from _parquet(file, params)
    else:
        with open_bytes(file) as stream:
            yield from _stream(file.name, stream, params)


def _web(source: str, page: rounds.Page) -> Raw:
    asked = " ".join(value for name, value in page.headers if name.lower() == "x-robots-tag").lower()
    return Raw(source, page.url, payload=page.payload, charset=page.charset, noindex="noindex" in asked)


def open_bytes(file: Path) -> IO[bytes]:
    """The bytes of a file, decompressed by its suffix."""
    import pyarrow as pa

    suffix = file.suffix.lower()
    if suffix == ".xz":
        import lzma

        return lzma.open(file)
    if suffix == ".tgz":
        return io.BufferedReader(pa.CompressedInputStream(pa.OSFile(str(file)), "gzip"))
    if suffix in (".gz", ".bz2", ".zst"):
        codec = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}[suffix]
        return io.BufferedReader(pa.CompressedInputStream(pa.OSFile(str(file)), codec))
    return file.open("rb")


def _stream(name: str, stream: IO[bytes], params: Reading) -> Iterator[Raw]:
    reader = KINDS.get(kind(name))
    if reader is None:
        raise Refusal(f"{name} is of no known kind; give one of: {', '.join(sorted(KINDS))}, compressed or not")
    try:
        yield from reader(name, stream, params)
    except json.JSONDecodeError as error:
        raise Refusal(f"{name} cannot be read as JSON: {one_line(error)}; get it again or `skip` it") from error


def _plain(name: str, stream: IO[bytes], params: Reading) -> Iterator[Raw]:
    """Plain text and Markdown: the whole file, or each of its lines."""
    if params.unit == "file":
        text, _ = decode(stream.read())
        yield Raw(name, "", text=text)
        return
    for number, line in enumerate(stream):
        text, _ = decode(line)
        yield Raw(name, f"{name}#{number}", text=text.strip())


def _tsv(name: str, stream: IO[bytes], params: Reading) -> Iterator[Raw]:
    """Tab-separated lines: the fields that hold Han."""
    for number, line in enumerate(stream):
        text, _ = decode(line)
        yield Raw(name, f"{name}#{number}", text="\n".join(f for f in text.rstrip("\r\n").split("\t") if HAN.search(f)))


def _json_lines(name: str, stream: IO[bytes], params: Reading) -> Iterator[Raw]:
    for number, line in enumerate(stream):
        if line.strip():
            yield _record(name, number, json.loads(decode(line)[0]), params)


def _json(name: str, stream: IO[bytes], params: Reading) -> Iterator[Raw]:
    """One JSON value: the items of a list, or of the list under `data`; a file of JSON lines is read as that."""
    content = stream.read()
    try:
        value = json.loads(decode(content)[0])
    except json.JSONDecodeError:
        yield from _json_lines(name, io.BytesIO(content), params)
        return
    if isinstance(value, dict) and isinstance(value.get("data"), list):
        value = value["data"]
    for number, item in enumerate(value if isinstance(value, list) else [value]):
        yield _record(name, number, item, params)


def _record(name: str, number: int, record: Any, params: Reading) -> Raw:
    fields = record if isinstance(record, dict) else {}
    texts = dict.fromkeys(_texts(record, frozenset(params.fields)))
    title = fields.get("title", "")
    return Raw(name, str(fields.get("url") or f"{name}#{number}"), str(title), "\n".join(texts))


def _texts(value: Any, wanted: frozenset[str], inside: bool = False) -> Iterator[str]:
    """The texts in a JSON value: those below the wanted keys, or, with none wanted, all that hold Han."""
    if isinstance(value, str):
        if (inside or not wanted) and HAN.search(value):
            yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(item, wanted, inside or key in wanted)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item, wanted, inside)


def _parquet(file: Path, params: Reading) -> Iterator[Raw]:
    """A table: its `fields`, or its column `text`; columns `url` and `title` are taken where they are."""
    texts = list(params.fields) or ["text"]
    with tables.opened(file, texts) as opened:
        more = [column for column in ("url", "title") if column in opened.schema_arrow.names]
    number = 0
    for batch in tables.batches(file, [*texts, *more]):
        for row in batch.to_pylist():
            text = "\n".join(str(row[column]) for column in texts if row[column])
            yield Raw(file.name, row.get("url") or f"{file.name}#{number}", row.get("title") or "", text)
            number += 1


def _page(name: str, stream: IO[bytes], params: Reading) -> Iterator[Raw]:
    yield Raw(name, name, payload=stream.read())


def _tar(name: str, stream: IO[bytes], params: Reading) -> Iterator[Raw]:
    """The members of an archive whose kind is known, each by its kind."""
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        for member in archive:
            if member.isfile() and _wanted(PurePosixPath(member.name).name, params):
                yield from _stream(f"{name}/{member.name}", archive.extractfile(member), params)


KINDS: dict[str, Callable[[str, IO[bytes], Reading], Iterator[Raw]]] = {
    "txt": _plain,
    "md": _plain,
    "text": _plain,
    "tsv": _tsv,
    "jsonl": _json_lines,
    "ndjson": _json_lines,
    "json": _json,
    "html": _page,
    "htm": _page,
    "xhtml": _page,
    "tar": _tar,
    "tgz": _tar,
    "parquet": _parquet,
    "warc": _page,
}
