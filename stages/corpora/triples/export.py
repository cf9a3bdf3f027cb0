"""Triples for other programs: the author's CSV, the files of neo4j-admin, N-Triples.

CSV follows RFC 4180: a field is quoted where it needs to be and quotes in it are doubled. N-Triples follow
https://www.w3.org/TR/n-triples/. The import of Neo4j is https://neo4j.com/docs/operations-manual/current/import/.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from stages.core import tables
from stages.core.files import replacing
from stages.corpora.columns import hashes, once, replaced

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from pyarrow import csv as csv_writer

NOT_IN_IRIS = '%<>"{}|^`\\/?#[]'  # besides blanks and control characters; % first
NODES = ["id:ID", "name", "sense", ":LABEL"]
LINKS = [":START_ID", ":END_ID", ":TYPE", "source"]
ESCAPES = (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t"))


def csv(path: Path, out: Path) -> None:
    """The author's file: rows of entity, attribute, value without a heading, UTF-8."""
    from pyarrow import csv as arrow

    columns = ["entity", "attribute", "value"]
    options = arrow.WriteOptions(include_header=False, quoting_style="needed")
    with replacing(out) as beside:
        schema = _schema(path, columns)
        with arrow.CSVWriter(beside, schema, write_options=options) as writer:
            for batch in tables.batches(path, columns):
                writer.write(batch)


def _schema(path: Path, columns: list[str]) -> pa.Schema:
    import pyarrow as pa

    with tables.opened(path, columns) as file:
        return pa.schema([file.schema_arrow.field(name).remove_metadata() for name in columns])


def neo4j(path: Path, out: Path) -> None:
    """nodes.csv (entities and values) and relationships.csv in the folder `out`, for `neo4j-admin database import`.

    An entity's :ID is a number for its title and sense, so that namesakes are two nodes. A value that is the title of
    exactly one entity is that entity; any other is a node :Value, once. Line breaks become blanks, because the import
    reads none unless told.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    titles, ids = _entities(path)
    seen = _Seen()
    with replacing(out) as folder:
        folder.mkdir()
        nodes = _writer(folder / "nodes.csv", NODES)
        links = _writer(folder / "relationships.csv", LINKS)
        with nodes, links:
            for batch in tables.batches(path, ["entity", "sense", "entity_id", "attribute", "value", "source_url"]):
                subject = batch["entity_id"].to_numpy()
                first = np.flatnonzero(np.r_[True, subject[1:] != subject[:-1]])
                first = first[seen.new(subject[first])]
                _rows(
                    nodes,
                    NODES,
                    _hex("e", subject[first]),
                    *(batch[c].take(first) for c in ("entity", "sense")),
                    "Entity",
                )
                value = hashes(batch["value"])
                entity = _looked_up(titles, ids, value)
                end = pc.if_else(pa.array(entity != 0), _hex("e", entity), _hex("v", value))
                plain = np.flatnonzero(entity == 0)
                _, once_here = np.unique(value[plain], return_index=True)
                plain = plain[np.sort(once_here)]
                plain = plain[seen.new(value[plain] ^ np.uint64(1))]
                _rows(nodes, NODES, _hex("v", value[plain]), batch["value"].take(plain), "", "Value")
                _rows(links, LINKS, _hex("e", subject), end, batch["attribute"], batch["source_url"])


class _Seen:
    """Numbers met so far, in sorted arrays whose sizes double: memory of 8 bytes each."""

    def __init__(self) -> None:
        self.parts: list[np.ndarray] = []

    def new(self, numbers: np.ndarray) -> np.ndarray:
        """True for those not met before; they are now. `numbers` must be distinct."""
        import numpy as np

        fresh = np.ones(numbers.size, dtype=bool)
        for part in self.parts:
            place = np.minimum(np.searchsorted(part, numbers), part.size - 1)
            fresh &= part[place] != numbers
        added = np.sort(numbers[fresh])
        while self.parts and self.parts[-1].size <= added.size:
            added = np.sort(np.concatenate([self.parts.pop(), added]))
        if added.size:
            self.parts.append(added)
        return fresh


def _entities(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Hashes of the titles that only one entity has, sorted, and that entity's number."""
    import numpy as np

    titles, ids = [np.empty(0, np.uint64)], [np.empty(0, np.uint64)]
    for batch in tables.batches(path, ["entity", "entity_id"]):
        number = batch["entity_id"].to_numpy()
        first = np.flatnonzero(np.r_[True, number[1:] != number[:-1]])
        titles.append(hashes(batch["entity"].take(first)))
        ids.append(number[first])
    title, number = np.concatenate(titles), np.concatenate(ids)
    number, first = np.unique(number, return_index=True)
    title, first, count = np.unique(title[first], return_index=True, return_counts=True)
    return title[count == 1], number[first[count == 1]]


def _looked_up(titles: np.ndarray, ids: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The number of the entity whose title has that hash, 0 where there is none."""
    import numpy as np

    if not titles.size:
        return np.zeros_like(wanted)
    place = np.minimum(np.searchsorted(titles, wanted), titles.size - 1)
    return np.where(titles[place] == wanted, ids[place], np.uint64(0))


def _hex(letter: str, numbers: np.ndarray) -> pa.Array:
    """Numbers as text: a letter and 16 hexadecimal digits."""
    import numpy as np
    import pyarrow as pa

    digits = np.frombuffer(b"0123456789abcdef", np.uint8)
    nibbles = np.ascontiguousarray(numbers).byteswap().view(np.uint8).reshape(-1, 8)
    text = np.empty((len(numbers), 17), np.uint8)
    text[:, 0], text[:, 1::2], text[:, 2::2] = ord(letter), digits[nibbles >> 4], digits[nibbles & 15]
    offsets = pa.py_buffer(np.arange(0, 17 * len(numbers) + 1, 17, dtype=np.int32))
    return pa.StringArray.from_buffers(len(numbers), offsets, pa.py_buffer(text.tobytes()))


def _writer(path: Path, names: list[str]) -> csv_writer.CSVWriter:
    import pyarrow as pa
    from pyarrow import csv as arrow

    schema = pa.schema([(name, pa.string()) for name in names])
    return arrow.CSVWriter(path, schema, write_options=arrow.WriteOptions(quoting_style="all_valid"))


def _rows(writer: csv_writer.CSVWriter, names: list[str], *columns: pa.Array | str) -> None:
    import pyarrow as pa

    size = len(columns[0])
    arrays = [pa.repeat(c, size) if isinstance(c, str) else replaced(c, r"[\r\n]+", " ") for c in columns]
    writer.write(pa.record_batch(arrays, names=names))


def ntriples(path: Path, out: Path, base: str) -> None:
    """N-Triples: <base/entity/title[/sense]> <base/attribute/name> "value" . for each row, UTF-8."""
    import pyarrow.compute as pc

    base = base.rstrip("/")
    with replacing(out) as beside, beside.open("wb") as stream:
        for batch in tables.batches(path, ["entity", "sense", "attribute", "value"]):
            title, sense, name = (once(batch[column], iri_part) for column in ("entity", "sense", "attribute"))
            sense = pc.if_else(pc.equal(sense, ""), "", pc.binary_join_element_wise("/", sense, ""))
            parts = (f"<{base}/entity/", title, sense, f"> <{base}/attribute/", name, '> "', literal(batch["value"]))
            lines = pc.binary_join_element_wise(*parts, '" .\n', "")
            stream.write("".join(lines.to_pylist()).encode())


def iri_part(texts: pa.Array) -> pa.Array:
    """Texts as one step of an IRI's path: what may not stand there, and what would end the step, percent-encoded."""
    import pyarrow.compute as pc

    for char in NOT_IN_IRIS:
        texts = pc.replace_substring(texts, char, f"%{ord(char):02X}")
    for code in (*range(0x21), 0x7F):
        texts = pc.replace_substring(texts, chr(code), f"%{code:02X}")
    return texts


def literal(texts: pa.Array) -> pa.Array:
    """Texts as they stand between the quotes of a literal of N-Triples."""
    import pyarrow.compute as pc

    for char, escaped in ESCAPES:
        texts = pc.replace_substring(texts, char, escaped)
    return texts
