"""Any source of text into one table of clean documents, and a table of what was dropped and why.

Pages lose their shell, charsets are repaired, traditional characters become simplified where params say so, exact
and near duplicates go. Nothing disappears silently: `dropped.parquet` has a row for every document left out.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urljoin

from stages.core import tables
from stages.core.errors import Refusal
from stages.core.progress import counting
from stages.core.systems import Findings
from stages.corpora.clean import clean, language, simplified
from stages.corpora.html import main_text
from stages.corpora.near import Near, groups, signatures
from stages.corpora.readers import Raw, Reading, read

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

BATCH, BATCH_CHARACTERS = 2000, 1 << 23
"""Documents that are cleaned and written together, and characters from which on a batch is full."""

FEW = 100
"""Documents that are not worth another process."""


@dataclass(frozen=True)
class Documents:
    """Params of a data set of documents."""

    reading: Reading
    script: Literal["keep", "simplified"]  # "simplified" turns traditional characters into simplified ones
    shortest: int  # documents with fewer Han or letters are dropped
    most_links: float  # pages with a larger share of link text are dropped
    near: Near
    workers: int  # processes that clean


def documents(source: Path | None, params: Documents, out: Path) -> Findings:
    """Write `documents.parquet` and `dropped.parquet` into `out` from a file, a folder or a round.

    Documents keep the order in which they are read. Raises `Refusal` where no document is left.
    """
    import numpy as np

    if source is None:
        raise Refusal("params.yaml: a corpus of documents needs an `input`: a round, a folder or a file")
    if params.workers < 1:
        raise Refusal(f"params.yaml: workers is {params.workers}, but must be at least 1")
    started = time.monotonic()
    out.mkdir(parents=True)
    whole, seen, prints, outcome = out / "all.parquet", {}, [], Counter()
    with tables.writer(out / "dropped.parquet", _drops()) as drops, counting("documents") as advance:
        with tables.writer(whole, columns()) as written:
            for batch in _batches(source, params):
                rows, left = [], []
                for row, reason in batch:
                    twin = "" if reason else seen.setdefault(_key(row["text"]), row["id"])
                    if reason or twin != row["id"]:
                        left.append({**row, "reason": reason or "duplicate", "twin": twin})
                    else:
                        rows.append(row)
                prints.append(signatures([row["text"] for row in rows], params.near))
                _put(written, rows)
                _put(drops, left)
                outcome.update(f"dropped, {row['reason']}" for row in left)
                advance(len(batch))
        if seen:
            outcome.update(
                _keep_firsts(whole, out / "documents.parquet", groups(np.concatenate(prints), params.near), drops)
            )
    whole.unlink()
    if not seen:
        reasons = ", ".join(f"{n} {what}" for what, n in sorted(outcome.items()))
        raise Refusal(
            f"{source} yields no document ({reasons or 'it holds no text'}); look at the source and at `shortest`"
        )
    return _findings(outcome, time.monotonic() - started)


def columns() -> pa.Schema:
    """The columns of `documents.parquet`."""
    import pyarrow as pa

    text = pa.string()
    return tables.schema(
        id=(text, "16 hex digits of the md5 of source, url and text"),
        source=(text, "file the document was in, or `web`"),
        url=(text, "address, or file and number"),
        title=(text, "title, empty where there is none"),
        text=(text, "main text, NFC, one paragraph a line"),
        language=(text, "zh, ja, ko, other"),
    )


def _batches(source: Path, params: Documents) -> Iterator[list[tuple[dict[str, str], str]]]:
    """Cleaned rows with the reason to drop each ("" to keep it), batch by batch, in the order of reading."""
    with ProcessPoolExecutor(params.workers, get_context("spawn")) as pool:  # threads may run here: no fork
        for batch in _grouped(read(source, params.reading)):
            few = params.workers == 1 or len(batch) < FEW
            yield list(map(_row, batch, repeat(params)) if few else pool.map(_row, batch, repeat(params), chunksize=50))


def _grouped(raws: Iterator[Raw]) -> Iterator[list[Raw]]:
    """Batches that are bounded in documents and in characters, however long the documents are."""
    batch: list[Raw] = []
    size = 0
    for raw in raws:
        batch.append(raw)
        size += len(raw.text) + len(raw.payload)
        if len(batch) == BATCH or size > BATCH_CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _row(raw: Raw, params: Documents) -> tuple[dict[str, str], str]:
    """The clean row of a raw document and why it is dropped, or ""."""
    title, text, reason = raw.title, raw.text, ""
    if raw.payload:
        page = main_text(raw.payload, raw.charset)
        title, text = page.title, page.text
        if page.noindex or raw.noindex:
            reason = "noindex"
        elif page.links > params.most_links:
            reason = "list of links"
        elif page.canonical and urljoin(raw.url, page.canonical) != raw.url:
            reason = "canonical elsewhere"
    title, text = clean(title), clean(text)
    if params.script == "simplified":
        title, text = simplified(title), simplified(text)
    if not reason and sum(char.isalnum() for char in text[: 50 * params.shortest]) < params.shortest:
        reason = "empty" if not text else "short"
    name = hashlib.md5("\0".join((raw.source, raw.url, text)).encode()).hexdigest()[:16]
    row = {"id": name, "source": raw.source, "url": raw.url, "title": title, "text": text, "language": language(text)}
    return row, reason


def _keep_firsts(whole: Path, final: Path, firsts: np.ndarray, drops: pq.ParquetWriter) -> Counter:
    """Copy the rows of `whole` that are the first of their group to `final`, the others to `drops`; count both."""
    import numpy as np
    import pyarrow as pa

    ids = tables.read(whole, ["id"]).column("id")
    outcome: Counter = Counter()
    at = 0
    with tables.writer(final, columns()) as written:
        for batch in tables.batches(whole, rows=BATCH):
            mine = firsts[at : at + len(batch)]
            first = mine == np.arange(at, at + len(batch))
            left = [batch.slice(i, 1).to_pylist()[0] for i in np.flatnonzero(~first)]
            twins = [ids[int(mine[i])].as_py() for i in np.flatnonzero(~first)]
            _put(
                drops,
                [{**row, "reason": "near duplicate", "twin": twin} for row, twin in zip(left, twins, strict=True)],
            )
            kept = batch.filter(pa.array(first))
            written.write_batch(kept)
            outcome.update(f"kept, {name}" for name in kept.column("language").to_pylist())
            outcome["characters"] += sum(map(len, kept.column("text").to_pylist()))
            outcome["dropped, near duplicate"] += len(left)
            at += len(batch)
    return outcome


def _put(writer: pq.ParquetWriter, rows: list[dict[str, str]]) -> None:
    import pyarrow as pa

    rows = [{**row, "characters": len(row["text"])} for row in rows]
    writer.write_table(pa.Table.from_pylist(rows, schema=writer.schema))


def _drops() -> pa.Schema:
    """The columns of `dropped.parquet`."""
    import pyarrow as pa

    return tables.schema(
        url=(pa.string(), "address, or file and number"),
        source=(pa.string(), "file the document was in, or `web`"),
        title=(pa.string(), "title"),
        reason=(pa.string(), "why it was dropped"),
        twin=(pa.string(), "id of the document that is kept instead"),
        characters=(pa.int64(), "length of its text"),
    )


def _findings(outcome: Counter, seconds: float) -> Findings:
    import pyarrow as pa

    characters = outcome.pop("characters")
    kept = sum(n for what, n in outcome.items() if what.startswith("kept"))
    rows = [{"outcome": what, "documents": n} for what, n in sorted(outcome.items()) if n]
    metrics = {what.replace(", ", "_").replace(" ", "_"): float(n) for what, n in outcome.items()}
    metrics |= {"documents": float(kept), "characters": float(characters)}
    facts = {"documents_per_second": sum(outcome.values()) / max(seconds, 1e-9)}
    return Findings(metrics=metrics, tables={"outcome": pa.Table.from_pylist(rows)}, facts=facts)


def _key(text: str) -> bytes:
    return hashlib.md5("".join(text.split()).encode()).digest()
