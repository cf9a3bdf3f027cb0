"""Questions made even, column by column, and which of them are left out for what reason.

The text stays as it was written but for entities of HTML, line breaks, invisible characters and what could tell who
somebody is: numbers of mobile phones and identity cards, addresses of mail.
"""

from __future__ import annotations

import html
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stages.core.errors import Refusal, one_line
from stages.corpora.columns import folded, hashes, replaced, rewritten

if TYPE_CHECKING:
    import pyarrow as pa

INVISIBLE = r"[\x00-\x08\x0e-\x1f\x7f\x{200b}\x{200e}\x{200f}\x{202a}-\x{202e}\x{2060}\x{feff}]"  # emoji need U+200D
ENTITY = r"&(?:[a-zA-Z]{2,8}|#\d{1,7}|#[xX][0-9a-fA-F]{1,6});"
PRIVATE = (
    (r"(^|\D)\d{17}[\dXx](\D|$)", r"\1[身份证]\2"),
    (r"(^|[^\d.])(?:(?:\+|00)?86[- ]?)?1[3-9]\d[- ]?\d{4}[- ]?\d{4}(\D|$)", r"\1[电话]\2"),
    (r"[A-Za-z0-9_.+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+", "[邮箱]"),
)
NUMBER = r"(?:^|/)(?P<qid>\d+)(?:\.s?html?)?/?(?:[?#].*)?$"
PARTS = 100  # of the split


@dataclass(frozen=True)
class Filters:
    """Params of what is left out."""

    shortest: int  # characters
    longest: int
    han: float  # least share of Han in the characters that are no blanks
    spam: tuple[str, ...]  # patterns (RE2) of which none may occur


def cleaned(raw: pa.Table, filters: Filters, counts: Counter[str]) -> pa.Table:
    """Rows that pass, with their `qid`, and `same`: a hash of the normalised question; `counts` learns the rest."""
    import pyarrow as pa
    import pyarrow.compute as pc

    question = scrubbed(plain(raw["question"].combine_chunks()))
    reasons = rejected(question, filters)
    counts.update({one["values"]: one["counts"] for one in reasons.value_counts().to_pylist() if one["values"]})
    keep = pc.equal(reasons, "")
    table = raw.set_column(raw.column_names.index("question"), "question", question).filter(keep)
    qid = qids(*(table[name].combine_chunks() for name in ("qid", "url", "question")))
    table = table.set_column(0, "qid", qid)
    return table.append_column("same", pa.array(hashes(folded(table["question"].combine_chunks()))))


def plain(texts: pa.Array) -> pa.Array:
    """Questions on one line, entities of HTML decoded, without invisible characters."""
    import pyarrow as pa

    texts = rewritten(texts, ENTITY, lambda part: pa.array([html.unescape(one) for one in part.to_pylist()]))
    return replaced(replaced(texts, INVISIBLE, ""), r"\s*[\n\r\t\f\v]+\s*", " ")


def scrubbed(texts: pa.Array) -> pa.Array:
    """Questions with a mark in place of what is private."""
    for pattern, mark in PRIVATE:
        for _ in range(2):  # two numbers may share the character between them
            texts = replaced(texts, pattern, mark)
    return texts


def rejected(texts: pa.Array, filters: Filters) -> pa.Array:
    """Why each question is left out, "" where it is not: empty, short, long, spam, not Chinese."""
    import pyarrow as pa
    import pyarrow.compute as pc

    length = pc.utf8_length(texts)
    seen = pc.subtract(length, pc.count_substring_regex(texts, r"\s"))
    han = pc.divide(pc.cast(pc.count_substring_regex(texts, r"\p{Han}"), "float64"), pc.cast(seen, "float64"))
    spam = pa.repeat(False, len(texts))
    for pattern in filters.spam:
        try:
            spam = pc.or_(spam, pc.match_substring_regex(texts, pattern))
        except pa.ArrowInvalid as error:
            raise Refusal(f"params.yaml: filters.spam has the pattern {pattern!r}, but: {one_line(error)}") from error
    tests = {
        "empty": pc.equal(seen, 0),
        "short": pc.less(length, filters.shortest),
        "long": pc.greater(length, filters.longest),
        "spam": spam,
        "not Chinese": pc.less(pc.fill_null(han, 0.0), filters.han),
    }
    return pc.case_when(pa.StructArray.from_arrays(list(tests.values()), list(tests)), *tests, "")


def qids(given: pa.Array, url: pa.Array, question: pa.Array) -> pa.Array:
    """The id of each question: as given, else the digits that end its address, else h and a hash of what there is."""
    import pyarrow as pa
    import pyarrow.compute as pc

    digits = pc.struct_field(pc.extract_regex(url, NUMBER), "qid")
    qid = pc.coalesce(pc.if_else(pc.equal(given, ""), None, given), digits)
    if not qid.null_count:
        return qid
    known = pc.if_else(pc.equal(url, ""), question, url)
    missing = pc.is_null(qid)
    made = pa.array([f"h{number:016x}" for number in hashes(known.filter(missing)).tolist()], pa.string())
    return pc.replace_with_mask(qid, missing, made)


def parts(qid: pa.Array, names: dict[str, int]) -> pa.Array:
    """Which part of the split each question is in, by a hash of its id alone; `names` -> per cent, 100 in all."""
    import numpy as np
    import pyarrow as pa

    ends = np.cumsum(list(names.values()))
    place = np.searchsorted(ends, (hashes(qid) % np.uint64(PARTS)).astype(np.int64), side="right")
    return pa.array(list(names)).take(pa.array(place))
