"""The spool of a crawl: every exchange with the network, on disk before anyone sees it, so that a kill loses nothing.

A journal of JSON lines says what was asked and what came back; responses lie in a WARC segment beside it, a gzip
member each. A crawl that begins again asks the spool first: what is there is answered without the network, in the
order in which it happened, so the same crawl unfolds up to the point where it was killed.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections import defaultdict, deque
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from stages.core import files, progress
from stages.core.errors import Refusal
from stages.corpora.web import records


@dataclass(frozen=True)
class Asked:
    """What makes two requests the same: the address, and what they make the answer depend on."""

    url: str
    etag: str = ""
    last_modified: str = ""


@dataclass(frozen=True)
class Exchange:
    """One request and what came of it: a response, or why none came (`status` 0, `failure` says it)."""

    url: str
    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    failure: str = ""
    answered: bool = True  # False where not even headers came
    early: bool = False  # sent sooner than promised
    date: str = ""  # of the Date header, or our clock where none was sent; "" where no response came
    place: tuple[int, int] | None = None  # offset and length of the response's record in the segment

    def header(self, name: str) -> str:
        """The first value of a header of the response, or ""."""
        return records.header(self.headers, name)


class Spool:
    """The journal and the segment in `folder`, for the crawl that `key` describes; another crawl's are thrown away."""

    def __init__(self, folder: Path, key: dict[str, Any]) -> None:
        self.folder = Path(folder)
        self._waiting: dict[Asked, deque[dict[str, Any]]] = defaultdict(deque)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = (self.folder / "lock").open("a")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._claim(key)
            self._segment = (self.folder / "exchanges.warc.gz").open("a+b", buffering=0)
            self._journal = (self.folder / "journal.jsonl").open("a+b", buffering=0)
        except BlockingIOError as error:
            raise Refusal(f"another crawl is at work in {folder}: wait for it or stop it") from error
        except OSError as error:
            raise Refusal(f"cannot keep the spool {folder}: {error.strerror}; free space or mend the rights") from error
        self.replayable = self._recover()

    def replay(self, asked: Asked) -> Exchange | None:
        """The next thing that came of `asked` when it was last asked, None where the network must be asked."""
        waiting = self._waiting.get(asked)
        if not waiting:
            return None
        line = waiting.popleft()
        exchange = Exchange(**line)
        if exchange.place is None:
            return exchange
        record = records.parse(self.member(exchange.place))
        return replace(exchange, headers=record.headers, body=record.payload)

    def holds(self, asked: Asked) -> bool:
        """Whether `replay` would answer."""
        return bool(self._waiting.get(asked))

    def append(self, asked: Asked, exchange: Exchange) -> Exchange:
        """Write one exchange down and sync it; returns it with the place of its record."""
        try:
            if exchange.status:
                member = records.response(exchange.url, exchange.date, exchange.status, exchange.headers, exchange.body)
                offset = self._segment.seek(0, os.SEEK_END)
                _write(self._segment, member)
                exchange = replace(exchange, place=(offset, len(member)))
            fields = {name: value for name, value in vars(exchange).items() if name not in ("headers", "body")}
            line = json.dumps({"asked": asdict(asked), "got": fields}, ensure_ascii=False, sort_keys=True)
            _write(self._journal, line.encode() + b"\n")
        except OSError as error:
            raise Refusal(
                f"cannot write to the spool {self.folder}: {error.strerror}; free some space and run again, "
                "what was fetched is kept"
            ) from error
        return exchange

    def member(self, place: tuple[int, int]) -> bytes:
        """The record at a place of the segment, as it lies there."""
        return os.pread(self._segment.fileno(), place[1], place[0])

    def mark(self) -> int:
        """Where the journal ends now, for `rewind`."""
        return self._journal.seek(0, os.SEEK_END)

    def rewind(self, mark: int) -> None:
        """Forget what was written after `mark`."""
        self._journal.truncate(mark)

    def close(self) -> None:
        """Let go of the files; they stay for the next start."""
        for file in (self._segment, self._journal, self._lock):
            file.close()

    def clear(self) -> None:
        """Throw all away: the round is sealed, or nothing here is worth keeping."""
        self.close()
        files.remove(self.folder)

    def _claim(self, key: dict[str, Any]) -> None:
        note = self.folder / "crawl.json"
        if note.exists() and note.read_text(encoding="utf-8") != json.dumps(key, sort_keys=True):
            progress.say(f"{self.folder} holds the spool of another crawl or of other settings: starting anew")
            for name in ("journal.jsonl", "exchanges.warc.gz"):
                (self.folder / name).unlink(missing_ok=True)
        with files.replacing(note) as beside:
            beside.write_text(json.dumps(key, sort_keys=True), encoding="utf-8")

    def _recover(self) -> int:
        """Read the journal up to the first line that is not whole, and cut both files there; the number of lines."""
        size = self._segment.seek(0, os.SEEK_END)
        good = end = count = 0
        self._journal.seek(0)
        for raw in self._journal.read().splitlines(keepends=True):
            try:
                line = json.loads(raw) if raw.endswith(b"\n") else None
            except ValueError:
                line = None
            if line is None or (line["got"]["place"] and sum(line["got"]["place"]) > size):
                break
            if line["got"]["place"]:
                line["got"]["place"] = tuple(line["got"]["place"])
                end = sum(line["got"]["place"])
            self._waiting[Asked(**line["asked"])].append(line["got"])
            good += len(raw)
            count += 1
        self._journal.truncate(good)
        self._segment.truncate(end)
        return count


def _write(file: Any, data: bytes) -> None:
    """Write all of `data` to an unbuffered file and have it on disk."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
    os.fsync(file.fileno())
