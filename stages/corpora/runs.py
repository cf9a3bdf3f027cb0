"""Sorting tables larger than memory by a column of text: sorted runs on disk, merged range by range.

Knuth, The Art of Computer Programming 3, section 5.4. The runs are Arrow files of small batches whose first keys are
kept; evenly spaced keys, taken from all runs, cut the whole into ranges of a bounded number of rows, and the rows of a
range come from the few batches of each run that touch it. Equal keys always fall into one range.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

BATCH = 1024  # rows of a batch in a run


class Runs:
    """The sorted runs of one table, in `folder`, which must exist; `key` is the column (string) that orders them."""

    def __init__(self, folder: Path, key: str) -> None:
        self.folder, self.key = folder, key
        self.firsts: list[list[str]] = []  # [run][batch]: the first key of the batch
        self.rows = 0
        self.schema: pa.Schema | None = None

    def add(self, table: pa.Table) -> None:
        """Sort `table` and write it as one run."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if not table.num_rows:
            return
        coded = table[self.key].combine_chunks().dictionary_encode()
        rank = pc.rank(coded.dictionary, tiebreaker="dense").take(coded.indices)
        table = table.take(pc.array_sort_indices(rank))
        self.schema = table.schema
        keys = table[self.key]
        self.firsts.append([keys[i].as_py() for i in range(0, len(keys), BATCH)])
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        path = str(self._path(len(self.firsts) - 1))
        with pa.OSFile(path, "wb") as sink, pa.ipc.new_file(sink, table.schema, options=options) as out:
            out.write_table(table.combine_chunks(), max_chunksize=BATCH)
        self.rows += table.num_rows

    def ranges(self, rows: int) -> Iterator[pa.Table]:
        """Tables of about `rows` rows in the order of the key, each with all rows of its keys, unsorted inside."""
        import pyarrow as pa

        keys = sorted(key for firsts in self.firsts for key in firsts)
        step = max(1, rows // BATCH)
        cuts = sorted(set(keys[step::step]))
        files = [pa.OSFile(str(self._path(i)), "rb") for i in range(len(self.firsts))]
        readers = [pa.ipc.open_file(file) for file in files]
        try:
            for low, high in zip([None, *cuts], [*cuts, None], strict=True):
                parts = [
                    self._between(reader, firsts, low, high)
                    for reader, firsts in zip(readers, self.firsts, strict=True)
                ]
                if parts:
                    yield pa.concat_tables(parts).combine_chunks()
        finally:
            for file in files:
                file.close()

    def _between(self, reader: pa.RecordBatchFileReader, firsts: list[str], low: str | None, high: str | None):
        """The rows of one run with low <= key < high; None is open."""
        import pyarrow as pa
        import pyarrow.compute as pc

        begin = 0 if low is None else max(0, bisect.bisect_left(firsts, low) - 1)
        end = len(firsts) if high is None else bisect.bisect_left(firsts, high)
        table = pa.Table.from_batches([reader.get_batch(i) for i in range(begin, end)], self.schema)
        if low is not None:
            table = table.filter(pc.greater_equal(table[self.key], low))
        return table if high is None else table.filter(pc.less(table[self.key], high))

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:05d}.arrow"
