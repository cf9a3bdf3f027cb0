"""Files of every usual kind into raw rows of questions: pages, rounds, and corpora of questions in JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.core.progress import say
from stages.corpora import json_records, readers
from stages.corpora.markup import Page
from stages.corpora.questions import pages
from stages.corpora.questions.markup import tags
from stages.corpora.web import rounds

if TYPE_CHECKING:
    import pyarrow as pa

Row = tuple[str, str, str, list[str], str, str]
"""qid ("" where the address tells it), url, question, tags, source, fetched_at."""
COLUMNS = ("qid", "url", "question", "tags", "source", "fetched_at")

PAGES = ("html", "htm", "xhtml", "tar", "tgz")
JSON = ("json", "jsonl", "ndjson", "txt")
ROWS = 50_000  # of a table


def read(path: Path, kinds: Sequence[str]) -> Iterator[pa.Table]:
    """Tables of COLUMNS from a round, a file or a folder of files.

    Raises `Refusal` that names the file where one is missing, of no known kind, or broken.
    """
    if readers.is_round(path):
        yield from _tables(_crawled(path, kinds))
        return
    files = readers.listed(path, FORMATS)
    yield from _tables(row for file in files for row in FORMATS[readers.kind(file.name)](file, kinds))


def _tables(rows: Iterator[Row]) -> Iterator[pa.Table]:
    import pyarrow as pa

    columns: tuple[list, ...] = tuple([] for _ in COLUMNS)
    appends = [column.append for column in columns]
    held = 0

    def table() -> pa.Table:
        types = [pa.list_(pa.string()) if name == "tags" else pa.string() for name in COLUMNS]
        return pa.table([pa.array(*given) for given in zip(columns, types, strict=True)], COLUMNS)

    for row in rows:
        for append, value in zip(appends, row, strict=True):
            append(value)
        held += 1
        if held == ROWS:
            yield table()
            held = 0
            for column in columns:
                column.clear()
    if held:
        yield table()


def _crawled(path: Path, kinds: Sequence[str]) -> Iterator[Row]:
    for page in rounds.read(path):
        for asked in pages.asked(Page.of(page.payload, page.charset), kinds):
            yield "", page.url, asked.question, list(asked.tags), "web", page.fetched_at


def _pages(file: Path, kinds: Sequence[str]) -> Iterator[Row]:
    for raw in readers.read(file, readers.Reading("file", (), ())):
        for asked in pages.asked(Page.of(raw.payload, raw.charset), kinds):
            yield "", asked.url or raw.url, asked.question, list(asked.tags), file.name, ""


def _json(file: Path, kinds: Sequence[str]) -> Iterator[Row]:
    """One array of records, or JSON lines; what is cut or broken is passed over and told."""
    faults = json_records.Faults()
    with readers.open_bytes(file) as stream:
        for item in json_records.values(stream, faults):
            if row := record(item, file.name):
                yield row
            else:
                faults.broken += 1
    if faults.broken or faults.truncated_at is not None:
        end = "" if faults.truncated_at is None else f", cut at byte {faults.truncated_at}"
        say(f"{file}: {faults.broken} records without a question or broken{end}")


def record(item: Any, source: str) -> Row | None:
    """A row from one record: the author's {url, question, tags}, baike2018qa's or webtext2019zh's; None for others.

    A category "health-medicine" of baike2018qa is two tags; webtext2019zh has one topic.
    """
    if not isinstance(item, dict):
        return None
    question = item.get("question") or item.get("title")
    if not isinstance(question, str):
        return None
    given = item.get("tags")
    if given is None:
        category = item.get("category")
        given = category.replace("-", ",") if isinstance(category, str) else item.get("topic")
    qid, url = item.get("qid"), item.get("url")
    return (
        "" if qid is None else str(qid),
        url if isinstance(url, str) else "",
        question,
        tags(given),
        source,
        item.get("fetched_at") if isinstance(item.get("fetched_at"), str) else "",
    )


FORMATS: dict[str, Callable[[Path, Sequence[str]], Iterator[Row]]] = {
    **dict.fromkeys(PAGES, _pages),
    "warc": _crawled,
    **dict.fromkeys(JSON, _json),
}
