"""Tables of triples as text: CSV by RFC 4180, and TSV without quotes, in whatever charset they are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.core.errors import Refusal, one_line
from stages.core.progress import say
from stages.corpora import readers
from stages.corpora.charset import decode

if TYPE_CHECKING:
    import pyarrow as pa


def triples(file: Path, delimiter: str, quote: str | bool) -> Iterator[pa.Table]:
    """The three columns (entity, name, value) of a CSV (RFC 4180) or TSV file as they are, in batches.

    Lines with other than three fields are passed over and counted. Raises `Refusal` for bytes that no charset reads.
    """
    import pyarrow as pa
    from pyarrow import csv

    wrong = 0

    def skip(row: Any) -> str:
        nonlocal wrong
        wrong += 1
        return "skip"

    names = ["entity", "name", "value"]
    with readers.open_bytes(file) as stream:
        head = stream.read(1 << 16)
    charset = decode(head[: head.rfind(b"\n") + 1] or head)[1]
    parse = csv.ParseOptions(
        delimiter=delimiter, quote_char=quote, newlines_in_values=bool(quote), invalid_row_handler=skip
    )
    reading = csv.ReadOptions(
        column_names=names,
        block_size=1 << 24,
        encoding="utf8" if charset.startswith("utf-8") else charset,
        use_threads=False,
    )
    convert = csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False)
    if not head:
        return
    try:
        with readers.open_bytes(file) as stream, csv.open_csv(stream, reading, parse, convert) as batches:
            for batch in batches:
                yield pa.Table.from_batches([batch])
    except (pa.ArrowInvalid, OSError, EOFError) as error:
        raise Refusal(
            f"{file} cannot be read as a table of triples: {one_line(error)}; mend it and try again"
        ) from error
    if wrong:
        say(f"{file}: {wrong} lines with other than three fields passed over")
