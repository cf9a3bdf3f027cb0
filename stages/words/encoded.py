"""A corpus as numbers on disk, so that workers share it without sending text between processes.

Articles: https://kexue.fm/archives/6920, https://kexue.fm/archives/4256.

    text -> code points -> ids 1, 2, 3, ... by first sight (16 bits), one 0 for every run of characters outside

A *piece* is what stands between two zeros. Documents end a piece too. 100 MB of Chinese text become 70 MB of ids;
one line of 50 MB is no different from a million short ones, since nothing below looks at lines.

The number: about 100 MB of text a second on one core.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stages.core import tables
from stages.core.errors import Refusal, one_line
from stages.words import alphabets

if TYPE_CHECKING:
    import pyarrow as pa

MOST_CHARACTERS = 0xFFFE  # 0 stands between pieces, 0xFFFF is KenLM's begin of a line
ID = np.dtype("<u2")
MOST_ROWS = 1 << 17


@dataclass(frozen=True)
class Encoded:
    """A corpus in a folder: `ids` [size] uint16 and `documents` int64 (the position where each one starts).

    `characters` [n + 1] uint32 are the code points of the ids (0 for id 0), `frequencies` [n + 1] int64 how often
    each occurs; `bytes` is the size of the UTF-8 text that was read.
    """

    folder: Path
    size: int
    bytes: int
    characters: np.ndarray
    frequencies: np.ndarray

    @property
    def total(self) -> int:
        """N, the number of characters of the alphabet in the corpus."""
        return int(self.frequencies[1:].sum())

    def read(self, begin: int, end: int) -> np.ndarray:
        """The ids of positions begin..end (exclusive) as uint16; zeros where that leaves the corpus."""
        ids = np.zeros(end - begin, dtype=ID)
        first, last = max(begin, 0), min(end, self.size)
        if last > first:
            ids[first - begin : last - begin] = np.fromfile(
                self.folder / "ids", dtype=ID, count=last - first, offset=first * ID.itemsize
            )
        return ids

    def documents(self) -> np.ndarray:
        """Positions where the documents start, ascending, [documents] int64 (memory-mapped)."""
        return np.memmap(self.folder / "documents", dtype=np.int64, mode="r")

    def chunks(self, length: int) -> list[tuple[int, int]]:
        """The corpus cut into ranges of `length` positions."""
        return [(begin, min(begin + length, self.size)) for begin in range(0, self.size, length)]


def encode(documents: Path, alphabet: str, folder: Path, block_bytes: int = 1 << 20) -> Encoded:
    """Write the `text` column of the table `documents` as ids into `folder`.

    Works on blocks of `block_bytes` of text, whatever the lengths of the documents, so that memory does not grow with
    the corpus (the longest document must fit).
    Raises `Refusal` for a corpus without a character of the alphabet, more than 65,534 different ones, or text that
    is not UTF-8.
    """
    inside = alphabets.members(alphabet)
    table = np.zeros(inside.size, dtype=ID)  # code point -> id
    seen = [np.zeros(1, dtype=np.uint32)]
    known, size, read = 0, 0, 0
    frequencies = np.zeros(MOST_CHARACTERS + 1, dtype=np.int64)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "ids").open("wb") as ids_file, (folder / "documents").open("wb") as documents_file:
        for codes, starts, bytes_ in _blocks(documents, block_bytes):
            new = np.unique(codes[inside[codes] & (table[codes] == 0)])
            if known + new.size > MOST_CHARACTERS:
                raise Refusal(f"{documents} has more than {MOST_CHARACTERS} different characters of '{alphabet}'")
            table[new] = np.arange(known + 1, known + 1 + new.size)
            known += new.size
            seen.append(new)
            ids = np.insert(table[codes], starts, 0)  # a zero before every document
            starts = starts + np.arange(starts.size)
            frequencies += np.bincount(ids, minlength=frequencies.size)
            keep = ids != 0
            keep[1:] |= keep[:-1]  # of a run of zeros only the first
            keep[0] = True
            ids.compress(keep).tofile(ids_file)
            places = np.cumsum(keep)
            (size + places[starts]).astype(np.int64).tofile(documents_file)
            size += int(places[-1])
            read += bytes_
    if known == 0:
        raise Refusal(f"{documents} holds no character of the alphabet '{alphabet}': give it text or another alphabet")
    return Encoded(folder, size, read, np.concatenate(seen), frequencies[: known + 1])


def _blocks(documents: Path, block_bytes: int) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
    """Code points of the text end to end (uint32), the places among them where documents start, and their bytes."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for column in _columns(documents, 4 * block_bytes):
        column = column.cast(pa.large_string()).drop_null()
        lengths = pc.utf8_length(column).to_numpy(zero_copy_only=False)
        starts, done = np.cumsum(lengths) - lengths, 0
        for data in _cut(column, block_bytes):
            try:
                codes = np.frombuffer(str(data, "utf-8", "surrogatepass").encode("utf-32-le", "surrogatepass"), "<u4")
            except UnicodeDecodeError as error:
                raise Refusal(f"{documents} has text that is not UTF-8 ({one_line(error)}); convert it") from error
            first, last = np.searchsorted(starts, (done, done + codes.size))
            yield codes, starts[first:last] - done, len(data)
            done += codes.size


def _columns(documents: Path, batch_bytes: int) -> Iterator[pa.Array]:
    """The column `text` in batches of rows that hold about `batch_bytes` where documents are of like length."""
    with tables.opened(documents, ["text"]) as file:
        leaf = [file.metadata.schema.column(i).path for i in range(file.metadata.num_columns)].index("text")
        for group in range(file.metadata.num_row_groups):
            meta = file.metadata.row_group(group)
            rows = batch_bytes * meta.num_rows // max(meta.column(leaf).total_uncompressed_size, 1)
            for batch in file.iter_batches(min(max(rows, 1), MOST_ROWS), row_groups=[group], columns=["text"]):
                yield batch.column(0)


def _cut(column: pa.LargeStringArray, block_bytes: int) -> Iterator[memoryview]:
    """The UTF-8 bytes of a column in blocks of about `block_bytes`, none of which ends inside a character."""
    offsets = np.frombuffer(column.buffers()[1], dtype=np.int64)[column.offset : column.offset + len(column) + 1]
    data = memoryview(column.buffers()[2] or b"")[offsets[0] : offsets[-1]] if len(column) else memoryview(b"")
    begin = 0
    while begin < len(data):
        end = min(begin + block_bytes, len(data))
        while end < len(data) and data[end] & 0xC0 == 0x80:
            end += 1
        yield data[begin:end]
        begin = end
