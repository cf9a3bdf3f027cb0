"""Sealing: from the findings of a walk to an immutable round, the same bytes for the same answers."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from stages.core import files, tables
from stages.corpora.web import records
from stages.corpora.web.judge import Finding
from stages.corpora.web.rounds import KEPT, Round, Row, schema
from stages.corpora.web.spool import Spool


def seal(
    findings: Mapping[str, Finding], previous: Round, spool: Spool, shards: int, politeness: Any, out: Path
) -> list[Row]:
    """Write the round into the folder `out`, which appears whole or not at all; returns the manifest's rows.

    Records of what is unchanged are carried over from `previous` as they are, so an unchanged shard keeps its bytes.
    Raises `Refusal` on a full disk.
    """
    import pyarrow as pa

    with files.replacing(out) as beside:
        beside.mkdir()
        rows = {row.url: row for row in _shards(findings, previous, spool, shards, beside)}
        rows = {url: rows.get(url, finding.row) for url, finding in findings.items()}
        _visits(findings, rows, spool, beside / "visits.warc.gz")
        listed = [rows[url] for url in sorted(rows)]
        table = pa.Table.from_pylist([asdict(row) for row in listed], schema=schema())
        tables.write(table, beside / "manifest.parquet", sort=[("url", "ascending")])
        files.write_json(politeness, beside / "politeness.json")
    return listed


def shard_of(url: str, shards: int) -> str:
    """The file that an address belongs to, the same in every round."""
    number = int.from_bytes(hashlib.sha256(url.encode()).digest()[:8], "big") % shards
    return f"pages-{number:04d}.warc.gz"


def _shards(findings: Mapping[str, Finding], previous: Round, spool: Spool, shards: int, folder: Path) -> list[Row]:
    """Write the records of what is kept; their rows, with the places."""
    names = defaultdict(list)
    for url in sorted(findings):
        if findings[url].row.outcome in KEPT:
            names[shard_of(url, shards)].append(url)
    rows = []
    for name in sorted(names):
        with (folder / name).open("wb") as file:
            for url in names[name]:
                member = _record(findings[url], previous, spool)
                rows.append(replace(findings[url].row, shard=name, offset=file.tell(), length=len(member)))
                file.write(member)
    return rows


def _record(finding: Finding, previous: Round, spool: Spool) -> bytes:
    row = finding.row
    if row.outcome == "fetched":
        return spool.member(finding.place or (0, 0))
    before = previous.rows[row.url]
    if not before.duplicate_of:
        return previous.member(row.url)
    # It was kept under an address that no longer has it: the same payload under this one.
    record = previous.record(row.url)
    headers = [(name, value) for name, value in record.headers if name.lower() not in ("etag", "last-modified")]
    return records.response(row.url, row.fetched_at, record.status, headers, record.payload)


def _visits(findings: Mapping[str, Finding], rows: Mapping[str, Row], spool: Spool, path: Path) -> None:
    """Revisit records: what the server called unmodified, and what turned out to be a payload that is kept already."""
    with path.open("wb") as file:
        for url in sorted(rows):
            row = rows[url]
            place = findings[url].place
            if place is None or row.outcome not in ("unchanged", "duplicate"):
                continue
            answer = records.parse(spool.member(place))
            first = rows[row.duplicate_of or url]
            profile = records.NOT_MODIFIED if answer.status == 304 else records.SAME_PAYLOAD
            refers = row.digest, profile, first.url, first.fetched_at
            file.write(records.revisit(url, answer.date, answer.status, answer.headers, *refers))
