"""Text made even: one normal form, no invisible characters, one paragraph a line, one script where that is asked."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opencc import OpenCC

HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U000323af]")

_BREAKS = re.compile("\r\n?|[\u2028\u2029\x0b\x0c\x85]")
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ufeff\u200b-\u200f\u202a-\u202e\u2060]")
_BLANKS = re.compile("[ \t\u00a0\u3000]+")
_EMPTY_LINES = re.compile(" ?\n[ \n]*")
_KANA = re.compile("[\u3040-\u30ff]")
_HANGUL = re.compile("[\uac00-\ud7af]")


def clean(text: str) -> str:
    """`text` in NFC, without control characters and runs of blanks, one paragraph a line."""
    text = unicodedata.normalize("NFC", text.encode("utf-8", "replace").decode("utf-8"))
    text = _CONTROL.sub("", _BREAKS.sub("\n", text))
    return _EMPTY_LINES.sub("\n", _BLANKS.sub(" ", text)).strip()


def language(text: str) -> str:
    """zh, ja, ko or other, by the scripts of the first 2,000 characters: kana and hangul decide before Han."""
    head = text[:2000]
    letters = sum(char.isalpha() for char in head) or 1
    if len(_KANA.findall(head)) > 0.1 * letters:
        return "ja"
    if len(_HANGUL.findall(head)) > 0.3 * letters:
        return "ko"
    return "zh" if len(HAN.findall(head)) > 0.2 * letters else "other"


def simplified(text: str) -> str:
    """`text` with traditional characters turned into simplified ones, by OpenCC's phrase tables."""
    return _converter().convert(text)


@cache
def _converter() -> OpenCC:
    import opencc

    return opencc.OpenCC("t2s")
