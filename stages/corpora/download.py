"""Downloads: files of the world by address and checksum, from a mirror first, resumed where they were cut."""

from __future__ import annotations

import hashlib
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.core import files, progress, tables
from stages.core.errors import Refusal, Unreachable, one_line
from stages.core.systems import Findings
from stages.corpora import mirror

if TYPE_CHECKING:
    import requests

ATTEMPTS = 4
BACKOFF = 1.0  # seconds before the second attempt, doubled before each further one
TIMEOUT = (10.0, 60.0)  # seconds to connect, and between two pieces of the answer
PIECE = 1 << 20  # bytes
PASSING = {408, 425, 429, 500, 502, 503, 504}  # statuses worth another attempt


@dataclass(frozen=True)
class Source:
    """One file: where it can be had, what it must be, and on what terms."""

    urls: tuple[str, ...]
    sha256: str  # "" where nobody has told it: the file is taken as it comes, and its digest is told
    licence: str
    note: str = ""


@dataclass(frozen=True)
class Download:
    """The files of one corpus, by the name each gets."""

    sources: dict[str, Source]


class _Unavailable(Exception):
    """An address does not give the file; the message says why, `gone` whether the file is not there at all."""

    def __init__(self, why: str, gone: bool = False) -> None:
        super().__init__(why)
        self.gone = gone


def download(after: Path | None, params: Download, out: Path, spool: Path) -> Findings:
    """Bring all sources to `out`/files and list them in `out`/manifest.parquet; `after` is not used.

    Each is looked for in the mirror (see mirror.py), then under its addresses in turn. What is half downloaded stays
    in `spool` and is gone on with next time.

    Raises `Refusal`, and leaves `out` alone, for a wrong checksum, a file found nowhere, no network, a full disk or
    an address that is none.
    """
    import pyarrow as pa

    began, came = time.monotonic(), {}
    for name, source in sorted(params.sources.items()):
        _check(name, source)
        came[name] = _obtain(name, source, Path(spool))
    rows = []
    with files.replacing(out) as beside:
        (beside / "files").mkdir(parents=True)
        for name, (path, url) in came.items():
            target = beside / "files" / name
            source = params.sources[name]
            mirror.copy(path, target, source.sha256) if url == "mirror" else shutil.move(path, target)
            first, size, digest = next(iter(source.urls), ""), target.stat().st_size, source.sha256
            if not digest:
                digest = _sha256(target).hexdigest()
                progress.say(f"{name} was taken as it came; to be sure of it, write into params.yaml: sha256: {digest}")
            rows.append({"name": name, "url": first, "sha256": digest, "bytes": size, "licence": source.licence})
        columns = tables.schema(
            name=(pa.string(), "file in the folder files"),
            url=(pa.string(), "its first address, empty for none"),
            sha256=(pa.string(), "digest of its bytes, hexadecimal"),
            bytes=(pa.int64(), "its size"),
            licence=(pa.string(), "terms it is under"),
        )
        tables.write(pa.Table.from_pylist(rows, schema=columns), beside / "manifest.parquet", [("name", "ascending")])
    files.remove(Path(spool))
    total = float(sum(row["bytes"] for row in rows))
    seconds = time.monotonic() - began
    facts = {"seconds": seconds, "bytes_per_second": total / max(seconds, 1e-9)}
    return Findings(metrics={"files": float(len(rows)), "bytes": total}, facts=facts)


def _check(name: str, source: Source) -> None:
    if Path(name).name != name:
        raise Refusal(f"source '{name}' must be a plain file name, without folders")
    if source.sha256 and (len(source.sha256) != 64 or set(source.sha256) - set("0123456789abcdef")):
        raise Refusal(f"source {name}: sha256 is '{source.sha256}', but must be 64 digits 0-9a-f (see `sha256sum`)")


def _obtain(name: str, source: Source, spool: Path) -> tuple[Path, str]:
    """Where the file with the right checksum now lies, and the address it came from."""
    names = [name, *(url.rpartition("/")[2] for url in source.urls)]
    if source.sha256 and (found := mirror.find(names, source.sha256)):
        return found, "mirror"
    partial = spool / f"{source.sha256 or name}.partial"
    note = partial.with_suffix(".from")
    reasons, gone = [], []
    try:
        spool.mkdir(parents=True, exist_ok=True)
        if partial.exists() and note.exists() and _sha256(partial).hexdigest() == source.sha256:
            return partial, files.read_json(note)["url"]
        for url in source.urls:
            try:
                _fetch(name, url, source.sha256, partial)
                return partial, url
            except _Unavailable as error:
                reasons.append(f"{url}: {error}")
                gone.append(error.gone)
    except OSError as error:
        raise Refusal(
            f"{name} cannot be written to {spool}: {error.strerror or one_line(error)}; free some space and run again"
        ) from error
    told = "; ".join(reasons) or "it has no urls"
    if all(gone):
        raise Refusal(
            f"{name} is not there ({told}): correct its urls in params.yaml, or put it into {mirror.VARIABLE}"
        )
    raise Unreachable(
        f"{name} could not be downloaded ({told}): look at the network and run again, "
        f"or put the file into a folder and name that folder in {mirror.VARIABLE}"
    )


def _fetch(name: str, url: str, sha256: str, partial: Path) -> None:
    """Complete `partial` from `url` in several attempts; raises `_Unavailable`, or `Refusal` for a wrong checksum."""
    import requests
    import urllib3
    from requests.exceptions import InvalidSchema, InvalidURL, MissingSchema

    restarted = False
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(BACKOFF * 2 ** (attempt - 1))
        held = partial.stat().st_size if partial.exists() else 0
        try:
            got = _stream(name, url, partial)
        except requests.exceptions.HTTPError as error:
            status = error.response.status_code
            if status not in PASSING:
                raise _Unavailable(f"status {status}", gone=status in (404, 410)) from error
            last = f"status {status}"
        except (InvalidURL, InvalidSchema, MissingSchema) as error:
            raise Refusal(f"source {name}: '{url}' is not an address: write it as https://host/path") from error
        except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError) as error:
            last = _plainly(error)
        else:
            if sha256 in (got, ""):
                return
            files.remove(partial)
            if not held or restarted:
                raise Refusal(
                    f"{name} from {url} has sha256 {got}, but {sha256} is expected: the file has changed or was "
                    f"damaged on its way: look at it and correct params.yaml, or put the right one in {mirror.VARIABLE}"
                )
            restarted = True  # the part we held may have been of another file
            last = "a part that did not fit"
    raise _Unavailable(last)


def _stream(name: str, url: str, partial: Path) -> str:
    """Ask for what is missing of `partial` and write it there; the sha256 of the whole."""
    import requests

    note = partial.with_suffix(".from")
    held = partial.stat().st_size if partial.exists() else 0
    headers = {"Accept-Encoding": "identity", "User-Agent": "qujing (python-requests)"}
    if held:
        headers["Range"] = f"bytes={held}-"
        before = files.read_json(note) if note.exists() else {}
        if before.get("url") == url and before.get("validator"):
            headers["If-Range"] = before["validator"]
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        if response.status_code == 416:  # nothing is missing, or what is held is not of this file
            return _sha256(partial).hexdigest()
        response.raise_for_status()
        if response.status_code != 206 or not response.headers.get("Content-Range", "").startswith(f"bytes {held}-"):
            held = 0
        etag = response.headers.get("ETag", "")
        validator = etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified", "")
        files.write_json({"url": url, "validator": validator}, note)
        return _append(name, response, partial, held)


def _append(name: str, response: requests.Response, partial: Path, held: int) -> str:
    size = response.headers.get("Content-Length", "")
    total = (held + int(size)) / 1e6 if size.isdigit() else None
    with partial.open("r+b" if held else "wb") as file, progress.counting(f"download {name}", total, "MB") as advance:
        seen: Any = _sha256(partial) if held else hashlib.sha256()
        file.seek(held)
        advance(held / 1e6)
        for piece in response.raw.stream(PIECE, decode_content=False):
            file.write(piece)
            seen.update(piece)
            advance(len(piece) / 1e6)
    return seen.hexdigest()


def _sha256(path: Path) -> Any:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256")


def _plainly(error: Exception) -> str:
    """The kind of a network error in a few words."""
    import requests

    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not trusted"
    if isinstance(error, requests.exceptions.Timeout):
        return "no answer in time"
    text = repr(error)
    if "NameResolution" in text or "getaddrinfo" in text:
        return "no such host, or no network"
    return "connection refused" if "refused" in text else "connection lost"
