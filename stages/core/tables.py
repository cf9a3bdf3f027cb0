"""Parquet tables: one way to write them, so that the same rows are the same bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from stages.core.errors import Refusal, one_line
from stages.core.files import replacing

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq


def schema(**columns: tuple[pa.DataType, str]) -> pa.Schema:
    """A schema in which every column carries a comment: `schema(word=(pa.string(), "the word"), ...)`."""
    import pyarrow as pa

    return pa.schema([pa.field(name, kind, metadata={"comment": text}) for name, (kind, text) in columns.items()])


def write(table: pa.Table, path: Path, sort: Sequence[tuple[str, str]] | None = None) -> None:
    """Write `table` to `path` as zstd Parquet, atomically; `sort` is the look-up key, e.g. [("count", "descending")].

    The sort is made total by all remaining columns of a plain type, so that equal rows cannot change places.
    """
    if sort:
        table = table.take(_order(table, sort))
    with writer(path, table.schema) as out:
        out.write_table(table)


@contextmanager
def writer(path: Path, columns: pa.Schema) -> Iterator[pq.ParquetWriter]:
    """A Parquet writer for tables that do not fit in memory; the file appears whole when the block ends."""
    import pyarrow.parquet as pq

    with (
        replacing(path) as beside,
        pq.ParquetWriter(beside, columns, compression="zstd", version="2.6", write_page_index=True) as out,
    ):
        yield out


def read(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """The table at `path`, or only `columns` of it; raises `Refusal` where it is missing, corrupt or lacks a column."""
    with opened(path, columns) as file:
        return file.read(columns=list(columns) if columns else None)


def batches(path: Path, columns: Sequence[str] | None = None, rows: int = 65536) -> Iterator[pa.RecordBatch]:
    """The rows of `path` in batches, for tables that do not fit in memory; errors as in `read`."""
    with opened(path, columns) as file:
        yield from file.iter_batches(batch_size=rows, columns=list(columns) if columns else None)


@contextmanager
def opened(path: Path, columns: Sequence[str] | None = None) -> Iterator[pq.ParquetFile]:
    """The open Parquet file at `path`; what is wrong with it becomes one sentence."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            missing = set(columns or ()) - set(file.schema_arrow.names)
            if missing:
                have = ", ".join(file.schema_arrow.names)
                raise Refusal(f"{path} has no column '{min(missing)}'; its columns are: {have}")
            yield file
    except FileNotFoundError as error:
        raise Refusal(f"{path} is missing: run the stage that makes it (`dvc repro`)") from error
    except (pa.ArrowInvalid, OSError) as error:
        raise Refusal(f"{path} is not a readable Parquet file: {one_line(error)}; make it again") from error


def _order(table: pa.Table, sort: Sequence[tuple[str, str]]) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    named = {name for name, _ in sort}
    plain = [f.name for f in table.schema if not pa.types.is_nested(f.type) and f.name not in named]
    return pc.sort_indices(table, sort_keys=[*sort, *((name, "ascending") for name in plain)])
