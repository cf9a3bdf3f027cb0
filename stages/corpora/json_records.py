"""JSON values of a file one by one, whether it is one huge array, JSON lines, or values with anything between them.

A value that is cut off at the end of the file, or broken in the middle, is passed over and counted, never the rest.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

from stages.corpora.charset import decode

CHUNK = 1 << 20  # bytes read at a time
LONGEST = 1 << 26  # characters of one value
NEARLY = 12  # characters: an error this near to the end may be for want of more
BETWEEN = re.compile(r"[\s,\[\]\ufeff\x1e]*")
NEXT = re.compile(r"\n|\}[\s,]*(?=\{)")


@dataclass
class Faults:
    """What was wrong in a file."""

    broken: int = 0  # values that are no JSON
    truncated_at: int | None = None  # the byte where the value begins that the end of the file cuts


def values(stream: IO[bytes], faults: Faults) -> Iterator[Any]:
    """The values of `stream`, an outer array opened; `faults` is told what was passed over."""
    head = stream.read(CHUNK)
    charset = _charset(head)
    read = codecs.getincrementaldecoder(charset)("replace").decode  # keeps a character cut between two chunks
    scan, text, place, end = json.JSONDecoder().raw_decode, read(head), 0, not head
    plain = charset.removesuffix("-sig")
    passed = 3 if head.startswith(codecs.BOM_UTF8) else 0  # bytes before `text`
    while True:
        place = BETWEEN.match(text, place).end()
        try:
            value, place = scan(text, place)
        except json.JSONDecodeError as error:
            short = place == len(text) or error.msg.startswith("Unterminated") or error.pos >= len(text) - NEARLY
            if short and not end and len(text) - place < LONGEST:
                chunk = stream.read(CHUNK)
                end = not chunk
                passed += len(text[:place].encode(plain, "replace"))
                text, place = text[place:] + read(chunk, end), 0
                continue
            if place == len(text):
                return
            if short and end and error.pos >= place:
                faults.truncated_at = passed + len(text[:place].encode(plain, "replace"))
                return
            faults.broken += 1
            following = NEXT.search(text, max(error.pos, place + 1))
            place = following.end() if following else len(text)
        else:
            yield value


def _charset(head: bytes) -> str:
    cut = head.rfind(b"\n") + 1 or head.rfind(b"}") + 1 or len(head)
    name = decode(head[:cut])[1]
    return "utf-8-sig" if name == "utf-8" else name
