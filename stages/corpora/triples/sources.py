"""Files of every usual kind into raw rows of triples: pages, rounds, dumps of MediaWiki, records, tables of triples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.core.errors import one_line
from stages.core.progress import say
from stages.corpora import json_records, readers
from stages.corpora.markup import Page, canonical
from stages.corpora.triples import pages, tabular, wikitext
from stages.corpora.triples.markup import Box, Entry, parted
from stages.corpora.web import rounds

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = ("page", "url", "fetched_at", "entity", "sense", "name", "value")
PAGES = ("html", "htm", "xhtml", "tar", "tgz")
URLS, TITLES, SENSES = ("url", "link"), ("title", "name", "entity", "lemmaTitle"), ("sense", "lemmaDesc")
BOXES = ("infobox", "info", "basic_info", "attributes", "card", "pairs")
TRIPLES = (("subject", "predicate", "object"), ("entity", "attribute", "value"), ("实体", "属性", "值"))
HEADERS = {first.lower() for first, *_ in TRIPLES} | {"主体", "head", "s"}


def read(path: Path, kinds: Sequence[str], rows: int) -> Iterator[pa.Table]:
    """Tables of COLUMNS of about `rows` rows, pages whole, from a round, a file or a folder of files.

    Raises `Refusal` that names the file where one is missing, of no known kind, or broken.
    """
    if readers.is_round(path):
        yield from gathered(_crawled(path, kinds), rows)
        return
    files = readers.listed(path, FORMATS)
    entries = (
        entry for file in files if (reader := ENTRIES.get(readers.kind(file.name))) for entry in reader(file, kinds)
    )
    yield from gathered(entries, rows)
    for file in files:
        if reader := TABLES.get(readers.kind(file.name)):
            yield from reader(file)


def gathered(entries: Iterator[Entry], rows: int) -> Iterator[pa.Table]:
    """Entries as tables of COLUMNS, at least `rows` rows each but the last."""
    import numpy as np
    import pyarrow as pa

    heads: list[tuple[str, str, str, str]] = []
    sizes: list[int] = []
    names: list[str] = []
    values: list[str] = []

    def table() -> pa.Table:
        page = pa.array(np.repeat(np.arange(len(sizes)), sizes))
        columns = [pa.array(column, pa.string()).take(page) for column in zip(*heads, strict=True)]
        return pa.table([page, *columns, pa.array(names, pa.string()), pa.array(values, pa.string())], COLUMNS)

    for entry in entries:
        pairs = entry.box.pairs
        if pairs:
            heads.append((entry.url, entry.fetched_at, entry.box.title, entry.box.sense))
            sizes.append(len(pairs))
            for name, value in pairs:
                names.append(name)
                values.append(value)
        if len(names) >= rows:
            yield table()
            for column in (heads, sizes, names, values):
                column.clear()
    if names:
        yield table()


def _crawled(path: Path, kinds: Sequence[str]) -> Iterator[Entry]:
    for page in rounds.read(path):
        if box := pages.box(Page.of(page.payload, page.charset), kinds):
            yield Entry(page.url, page.fetched_at, box)


def _pages(file: Path, kinds: Sequence[str]) -> Iterator[Entry]:
    """Saved pages: their address is the one they name, or else the file's name."""
    for raw in readers.read(file, readers.Reading("file", (), ())):
        page = Page.of(raw.payload, raw.charset)
        if box := pages.box(page, kinds):
            yield Entry(canonical(page) or raw.url, "", box)


def _dump(file: Path, kinds: Sequence[str]) -> Iterator[Entry]:
    """A dump of MediaWiki (pages-articles.xml)."""
    from lxml import etree

    try:
        with readers.open_bytes(file) as stream:
            for title, time, text in wikitext.pages(stream):
                if box := wikitext.box(title, text):
                    yield Entry(title, time, box)
    except (etree.XMLSyntaxError, EOFError, OSError) as error:
        say(f"{file} is cut or damaged ({one_line(error)}): the articles before that are kept")


def _records(file: Path, kinds: Sequence[str]) -> Iterator[Entry]:
    """JSON lines, or one array, of entries with a box each, or of single triples."""
    faults = json_records.Faults()
    with readers.open_bytes(file) as stream:
        yield from filter(None, map(record, json_records.values(stream, faults)))
    if faults.broken or faults.truncated_at is not None:
        end = "" if faults.truncated_at is None else f", cut at byte {faults.truncated_at}"
        say(f"{file}: {faults.broken} broken records passed over{end}")


def record(item: Any) -> Entry | None:
    """An entry from one JSON record: a box as [[name, value]], as {name: value} or as a list of two-field objects."""
    if not isinstance(item, dict):
        return None
    for subject, name, value in TRIPLES:
        if subject in item and name in item:
            box = Box(str(item[subject]), _first(item, SENSES), tuple(_pairs([[item[name], item.get(value)]])))
            return Entry(_first(item, URLS), str(item.get("fetched_at") or ""), box)
    title = _first(item, TITLES)
    given = next((item[key] for key in BOXES if item.get(key)), None)
    if not title or given is None:
        return None
    sense = _first(item, SENSES)
    if not sense:
        title, sense = parted(title, "（）")
    return Entry(_first(item, URLS), str(item.get("fetched_at") or ""), Box(title, sense, tuple(_pairs(given))))


def _first(item: dict[str, Any], keys: Sequence[str]) -> str:
    for key in keys:
        if value := item.get(key):
            return value if isinstance(value, str) else str(value)
    return ""


def _pairs(given: Any) -> Iterator[tuple[str, str]]:
    pairs = given.items() if isinstance(given, dict) else given if isinstance(given, list) else ()
    for pair in pairs:
        if type(pair) is list and len(pair) == 2 and type(pair[0]) is str and type(pair[1]) is str:
            yield pair[0], pair[1]
            continue
        if isinstance(pair, dict):
            pair = (pair.get("name") or pair.get("key") or pair.get("attribute"), pair.get("value"))
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            continue
        name, value = pair
        if isinstance(value, list):
            value = "\n".join(str(part) for part in value if part is not None)
        if name is not None and value is not None:
            yield str(name), str(value)


def _table(file: Path, delimiter: str, quote: str | bool) -> Iterator[pa.Table]:
    """A table of three columns (subject, attribute, value), with or without a line of headings."""
    import numpy as np
    import pyarrow as pa

    for number, batch in enumerate(tabular.triples(file, delimiter, quote)):
        if batch.num_rows and number == 0 and batch["entity"][0].as_py().lower() in HEADERS:
            batch = batch.slice(1)
        if batch.num_rows:
            codes = batch["entity"].combine_chunks().dictionary_encode().indices.to_numpy()
            page = np.cumsum(np.r_[0, codes[1:] != codes[:-1]])
            blank, url = pa.repeat("", batch.num_rows), pa.repeat(file.name, batch.num_rows)
            yield pa.table([page, url, blank, batch["entity"], blank, batch["name"], batch["value"]], COLUMNS)


ENTRIES: dict[str, Callable[[Path, Sequence[str]], Iterator[Entry]]] = {
    **dict.fromkeys(PAGES, _pages),
    "warc": _crawled,
    "xml": _dump,
    **dict.fromkeys(("jsonl", "ndjson", "json"), _records),
}
TABLES: dict[str, Callable[[Path], Iterator[pa.Table]]] = {
    "csv": partial(_table, delimiter=",", quote='"'),
    "tsv": partial(_table, delimiter="\t", quote=False),
}
FORMATS = (*ENTRIES, *TABLES)
