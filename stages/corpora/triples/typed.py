"""Values that are numbers or dates, told apart from texts, beside the text and never in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

CANDIDATE = r"^(?:[+-]?\p{Nd}|公元)"
YEARS = r"^(?:公元)?(?P<y>\d{1,4})年(?:\([^)]*\))?(?:(?P<m>\d{1,2})月(?:(?P<d>\d{1,2})[日号])?)?(?:\([^)]*\))?$"
ISO = r"^(?P<y>\d{4})[-/.](?P<m>\d{1,2})(?:[-/.](?P<d>\d{1,2}))?$"
NUMBER = (
    r"^(?P<n>[+-]?(?:[1-9]\d{0,2}(?:,\d{3})+|[1-9]\d*|0)(?:\.\d+)?) *"
    r"(?P<s>万亿|千万|百万|亿|万)? *(?P<u>[\p{Han}a-zA-Z%‰°℃µ/·^²³23]{0,8})$"
)
SCALES = {"": 1.0, "万": 1e4, "百万": 1e6, "千万": 1e7, "亿": 1e8, "万亿": 1e12}


def typed(values: pa.Array) -> dict[str, pa.Array]:
    """Columns value_type (text, number or date), number, unit and date for `values`; null where they do not apply.

    A date is as exact as its text: 1996, 1996-12 or 1996-12-13. A code with a leading zero is a text.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    size = len(values)
    place = np.flatnonzero(pc.match_substring_regex(values, CANDIDATE).to_numpy(zero_copy_only=False))
    part = pc.utf8_normalize(values.take(pa.array(place)), "NFKC")
    date = pc.coalesce(_date(part, YEARS), _date(part, ISO))
    found = pc.extract_regex(part, NUMBER)
    scale = pc.fill_null(pc.struct_field(found, "s"), "")
    factors = pa.array(list(SCALES.values())).take(pc.index_in(scale, pa.array(list(SCALES))))
    digits = pc.replace_substring(pc.struct_field(found, "n"), ",", "")
    number = pc.multiply(pc.cast(digits, pa.float64()), factors)
    number = pc.if_else(pc.is_valid(date), None, number)
    unit = pc.if_else(pc.is_valid(number), pc.struct_field(found, "u"), None)
    unit = pc.if_else(pc.equal(unit, ""), None, unit)
    kind = pc.if_else(pc.is_valid(date), "date", pc.if_else(pc.is_valid(number), "number", "text"))
    columns = {"value_type": kind, "number": number, "unit": unit, "date": date}
    where = np.full(size, -1)
    where[place] = np.arange(place.size)
    indices = pa.array(where, mask=where < 0)
    spread = {name: column.take(indices) for name, column in columns.items()}
    return spread | {"value_type": pc.fill_null(spread["value_type"], "text")}


def _date(texts: pa.Array, pattern: str) -> pa.Array:
    """ISO 8601 as exact as given; null where a text is no date or has a month or day that does not exist."""
    import pyarrow.compute as pc

    found = pc.extract_regex(texts, pattern)
    year, month, day = (pc.struct_field(found, name) for name in "ymd")
    year = pc.utf8_lpad(year, 4, "0")
    month, day = (pc.utf8_lpad(pc.if_else(pc.equal(part, ""), None, part), 2, "0") for part in (month, day))
    real = pc.and_(
        pc.fill_null(pc.and_(pc.greater_equal(month, "01"), pc.less_equal(month, "12")), True),
        pc.fill_null(pc.and_(pc.greater_equal(day, "01"), pc.less_equal(day, "31")), True),
    )
    text = pc.coalesce(
        pc.binary_join_element_wise(year, month, day, "-"), pc.binary_join_element_wise(year, month, "-"), year
    )
    return pc.if_else(real, text, None)
