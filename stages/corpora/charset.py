"""Bytes of a page into text, whatever its server and its head say about the encoding.

Chinese pages lie in both directions: gb2312 is declared where gb18030 is used, gbk where the bytes are UTF-8, UTF-8
where they are GBK. A strict decoding that succeeds is believed before any declaration; where none does, the candidate
that yields the most ordinary text wins.
"""

from __future__ import annotations

import codecs
import re

WIDER = {"gb2312": "gb18030", "gbk": "gb18030", "big5": "big5hkscs", "iso8859-1": "cp1252", "ascii": "cp1252"}
"""The encoding that is really used where the key is declared: each holds the declared one."""

MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))

_META = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]+)", re.I)
_XML = re.compile(rb"^\s*<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([A-Za-z0-9_.:-]+)", re.I)


def decode(payload: bytes, declared: str = "") -> tuple[str, str]:
    """The text of `payload` and the name of the encoding it was read in; `declared` is the header's charset.

    Never fails: bytes that no candidate can read become U+FFFD.
    """
    for mark, name in MARKS:
        if payload.startswith(mark):
            return payload.decode(name, "replace"), name
    names = dict.fromkeys(["utf-8", known(declared), known(in_head(payload)), "gb18030"])
    candidates = sorted(filter(None, names), key=lambda name: name == "cp1252")  # which reads anything: asked last
    for name in candidates:
        try:
            return payload.decode(name), name
        except UnicodeDecodeError:
            pass
    read = [(payload.decode(name, "replace"), name) for name in [*candidates, "big5hkscs"]]
    return max(read, key=lambda pair: plausibility(pair[0]))


def known(name: str) -> str:
    """The widest encoding Python knows under that name, or "" for an unknown one."""
    try:
        plain = codecs.lookup(name.strip()).name if name.strip() else ""
    except LookupError:
        return ""
    return WIDER.get(plain, plain)


def in_head(payload: bytes) -> str:
    """The encoding that a page declares in its own first 4096 bytes, or ""."""
    found = _XML.search(payload[:4096]) or _META.search(payload[:4096])
    return found.group(1).decode("ascii") if found else ""


def plausibility(text: str) -> float:
    """How much a text looks like one: the share of its bytes in GB2312's 3,755 common Han, less unreadable marks."""
    encoded = text.replace("\ufffd", "").encode("gb2312", "ignore")
    common = sum(0xB0 <= byte <= 0xD7 for byte in encoded) / 2
    return (common - 4 * text.count("\ufffd")) / (len(text) + 1)
