"""Triples on disk, and finding them: by subject, by attribute, by value.

X.parquet is sorted by subject, in row groups of a bounded size, with statistics on the subject only (all others would
make the footer slow to read): one subject is one or two row groups. X.index.parquet says for (a hash of) every
attribute and every value which row groups hold it, so that a look-up in reverse reads those groups only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from stages.core import tables
from stages.core.errors import Refusal
from stages.core.files import replacing
from stages.corpora.columns import hashes
from stages.corpora.triples.merge import schema

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

GROUP = 1 << 15  # rows of a row group
INDEXED = ("attribute", "value")


def index_of(path: Path) -> Path:
    """Where the index of the table at `path` lies."""
    return path.with_name(f"{path.stem}.index.parquet")


def write(parts: Iterable[pa.Table], path: Path, group: int = GROUP) -> int:
    """Write tables in the order of their subjects to `path`, and the index beside it; the number of rows.

    Both files appear whole, the index last.
    """
    import pyarrow.parquet as pq

    rows, groups, postings = 0, 0, []
    order = pq.SortingColumn.from_ordering(schema(), [("entity", "ascending"), ("sense", "ascending")])
    with (
        replacing(path) as beside,
        pq.ParquetWriter(
            beside,
            schema(),
            compression="zstd",
            version="2.6",
            write_statistics=["entity"],
            sorting_columns=order,
            use_dictionary=[f.name for f in schema() if f.name not in ("number", "sources")],
        ) as out,
    ):
        for table in parts:
            for start in range(0, table.num_rows, group):
                part = table.slice(start, group)
                out.write_table(part, row_group_size=group)
                postings.append(_postings(part, groups))
                groups += 1
            rows += table.num_rows
    _write_index(postings, index_of(path))
    return rows


def _keys(texts: pa.Array, column: str) -> np.ndarray:
    """32 bits of a hash of each text, other ones for each column."""
    import numpy as np

    salt = np.uint64(0x9E3779B97F4A7C15 * (INDEXED.index(column) + 1) & ((1 << 64) - 1))
    return (hashes(texts) ^ salt) * np.uint64(0xD6E8FEB86659FD93) >> np.uint64(32)


def _postings(table: pa.Table, number: int) -> np.ndarray:
    """Distinct (key, row group) of the attributes and values of a row group, as one number each."""
    import numpy as np

    keys = [_keys(table[name].combine_chunks().dictionary_encode().dictionary, name) for name in INDEXED]
    return np.unique(np.concatenate(keys)) << np.uint64(32) | np.uint64(number)


def _write_index(postings: list[np.ndarray], path: Path) -> None:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    pairs = np.concatenate([np.empty(0, np.uint64), *postings])
    postings.clear()
    pairs.sort()
    columns = tables.schema(
        key=(pa.uint32(), "hash of a value or of an attribute"),
        row_group=(pa.uint32(), "a row group that holds it"),
    )
    packed = dict.fromkeys(columns.names, "DELTA_BINARY_PACKED")
    with (
        replacing(path) as beside,
        pq.ParquetWriter(
            beside, columns, compression="zstd", version="2.6", use_dictionary=False, column_encoding=packed
        ) as out,
    ):
        for start in range(0, max(1, pairs.size), GROUP):
            part = pairs[start : start + GROUP]
            high, low = part >> np.uint64(32), part & np.uint64(0xFFFFFFFF)
            out.write_table(pa.table([high.astype(np.uint32), low.astype(np.uint32)], schema=columns))


def find(
    path: Path,
    subject: str | None = None,
    attribute: str | None = None,
    value: str | None = None,
    columns: Sequence[str] | None = None,
) -> Iterator[pa.Table]:
    """The triples at `path` that have all that is asked for, in tables of `columns` (or all), in the order of the file.

    Only row groups are read that can hold an answer. Raises `Refusal` where the file is missing or is no such table.
    """
    import pyarrow.compute as pc

    asked = {"entity": subject, "attribute": attribute, "value": value}
    asked = {name: text for name, text in asked.items() if text is not None}
    with tables.opened(path, schema().names) as file:
        for group in _candidates(file, path, asked):
            keys = file.read_row_group(group, list(asked), use_threads=False)
            hit = None
            for name, text in asked.items():
                same = pc.equal(keys[name], text)
                hit = same if hit is None else pc.and_(hit, same)
            if hit is None:
                yield file.read_row_group(group, columns)
            elif (first := pc.index(hit, True).as_py()) >= 0:
                last = keys.num_rows - pc.index(hit.combine_chunks()[::-1], True).as_py()
                part = file.read_row_group(group, columns).slice(first, last - first)
                yield part.filter(hit.slice(first, last - first))


def _candidates(file: pq.ParquetFile, path: Path, asked: dict[str, str]) -> Iterable[int]:
    """The row groups that can hold an answer: by statistics for a subject, else by the index where it lies there."""
    groups: Iterable[int] = range(file.metadata.num_row_groups)
    if "entity" in asked:
        return _by_subject(file.metadata, asked["entity"])
    index = index_of(path)
    if not index.exists():
        return groups
    for name in INDEXED:
        if name in asked:
            holding = _holding(index, asked[name], name)
            groups = [group for group in groups if group in holding]
    return groups


def _by_subject(metadata: pq.FileMetaData, subject: str) -> range:
    """Binary search over the smallest and largest subject of each row group."""
    if not metadata.num_row_groups:
        return range(0)
    column = metadata.schema.names.index("entity")

    def bounds(group: int) -> tuple[str, str]:
        found = metadata.row_group(group).column(column).statistics
        if found is None or not found.has_min_max:
            raise Refusal("the table has no statistics on `entity`: write it with `qujing triples`")
        return found.min, found.max

    def search(before) -> int:
        low, high = 0, metadata.num_row_groups
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if before(*bounds(middle)) else (low, middle)
        return low

    return range(search(lambda _, most: most < subject), search(lambda least, _: least <= subject))


def _holding(index: Path, text: str, column: str) -> set[int]:
    import pyarrow as pa
    import pyarrow.compute as pc

    key = int(_keys(pa.array([text]), column)[0])
    found: set[int] = set()
    with tables.opened(index) as file:
        for group in range(file.metadata.num_row_groups):
            bounds = file.metadata.row_group(group).column(0).statistics
            if bounds is not None and bounds.min <= key <= bounds.max:
                rows = file.read_row_group(group, use_threads=False)
                found.update(rows.filter(pc.equal(rows["key"], key))["row_group"].to_pylist())
    return found
