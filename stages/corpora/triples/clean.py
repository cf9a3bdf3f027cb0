"""Names and values of boxes made even, column by column.

The order matters and is the spec's: footnote marks and invisible characters go, names (not values) become NFKC, blanks
fold, empty parts go, synonyms of names meet (the name as written stays beside), lists of values are split for the
names that hold lists. clean(clean(x)) = clean(x), and nothing here looks beyond one page.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stages.core.errors import Refusal
from stages.corpora.columns import INVISIBLE, once, replaced, rewritten

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

FOOTNOTES = r"[\[［](?:\d{1,3}(?: *[-–—~,，、] *\d{1,3})*|(?:注|註|来源请求|來源請求|参|參|note|nb) *\d*)[\]］]"
BLANKS = r"[ \t\r\f\v\x{1680}\x{2000}-\x{200a}\x{202f}\x{205f}\x{3000}]+"
SEPARATORS = "、；;\n"
BRACKETS = dict(zip("（(《「『[【〈“", "）)》」』]】〉”", strict=True))


@dataclass(frozen=True)
class Cleaning:
    """Params of cleaning."""

    aliases: tuple[tuple[str, ...], ...]  # synonyms; the first of each is the name that stays
    person_aliases: tuple[tuple[str, ...], ...]  # synonyms for persons only
    person_marks: tuple[str, ...]  # names of which a person's box has one
    lists: tuple[str, ...]  # names (after aliases) whose values are lists
    skip: tuple[str, ...]  # names that are layout and not facts


def cleaned(raw: pa.Table, params: Cleaning) -> pa.Table:
    """Rows of (page, url, fetched_at, entity, sense, name, value) into clean ones, a row a single value.

    `page` is a number of the page (int, rising): it tells which rows stand in one box. Comes out with the columns
    entity, sense, attribute_raw, attribute, value_raw, value, source_url, fetched_at.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    written = once(_column(raw, "name"), names)
    value = values(_column(raw, "value"))
    entity, sense = (once(_column(raw, column), titles) for column in ("entity", "sense"))
    kept = pc.and_(
        pc.and_(pc.not_equal(written, ""), pc.not_equal(value, "")),
        pc.and_(pc.not_equal(entity, ""), pc.invert(pc.is_in(written, pa.array(params.skip, pa.string())))),
    )
    table = pa.table(
        {
            "page": raw["page"],
            "entity": entity,
            "sense": sense,
            "attribute_raw": written,
            "value_raw": raw["value"],
            "value": value,
            "source_url": raw["url"],
            "fetched_at": raw["fetched_at"],
        }
    ).filter(kept)
    attribute = aliased(table["attribute_raw"].combine_chunks(), table["page"].to_numpy(), params)
    table = table.drop_columns(["page"]).add_column(3, "attribute", attribute)
    return split(table, params.lists)


def _column(table: pa.Table, name: str) -> pa.Array:
    import pyarrow.compute as pc

    return pc.fill_null(table[name].combine_chunks(), "")


def names(texts: pa.Array) -> pa.Array:
    """Names of attributes: without marks, padding and a colon behind, NFKC."""
    import pyarrow.compute as pc

    even = pc.utf8_normalize(replaced(replaced(texts, FOOTNOTES, ""), rf"{INVISIBLE}|\x{{a0}}", ""), "NFKC")
    even = replaced(even, r"\s+", " ")
    for _ in range(2):  # matches that touch need a second look
        even = replaced(even, r"([\p{Han}]) ([\p{Han}])", r"\1\2")
    return pc.utf8_trim(even, " :·")


def titles(texts: pa.Array) -> pa.Array:
    """Titles and senses: without invisible characters, blanks folded."""
    import pyarrow.compute as pc

    return pc.utf8_trim(replaced(replaced(texts, INVISIBLE, ""), r"[\s\x{a0}\x{3000}]+", " "), " ")


def values(texts: pa.Array) -> pa.Array:
    """Values: without footnote marks and invisible characters, blanks folded, "\\n" where the page has a line break."""
    import pyarrow.compute as pc

    even = replaced(replaced(texts, INVISIBLE, ""), FOOTNOTES, "")
    even = rewritten(even, r"\x{a0}", _hard_blanks)
    even = replaced(replaced(even, BLANKS, " "), r" *\n[ \n]*", "\n")
    return pc.utf8_trim(even, " \n")


def _hard_blanks(texts: pa.Array) -> pa.Array:
    """Non-breaking blanks go, but between ASCII letters and digits, where they part words."""
    for _ in range(2):
        texts = replaced(texts, r"([!-~])\x{a0}+([!-~])", r"\1 \2")
    return replaced(texts, r"\x{a0}+", "")


def aliased(written: pa.Array, page: np.ndarray, params: Cleaning) -> pa.Array:
    """The name that stays for each name: by the synonyms of all, and of persons where the box is a person's."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    general = synonyms(params.aliases, "aliases")
    persons = general | synonyms(params.person_aliases, "person_aliases")
    coded = written.dictionary_encode()
    texts, codes = coded.dictionary.to_pylist(), coded.indices.to_numpy()
    of_all = pa.array([general.get(text, text) for text in texts], pa.string())
    of_persons = pa.array([persons.get(text, text) for text in texts], pa.string())
    marks = np.array([general.get(text, text) in params.person_marks for text in texts], dtype=bool)
    if not len(codes) or not marks.any():
        return of_all.take(coded.indices)
    place = page - page.min()
    person = np.bincount(place, weights=marks[codes]) > 0
    return pc.if_else(pa.array(person[place]), of_persons.take(coded.indices), of_all.take(coded.indices))


def synonyms(groups: tuple[tuple[str, ...], ...], where: str) -> dict[str, str]:
    """Every other name of a group -> its first; `Refusal` where a name stands in two groups."""
    table: dict[str, str] = {}
    heads = {group[0] for group in groups if group}
    for first, *others in groups:
        for other in others:
            if other in table or other in heads:
                raise Refusal(f"params.yaml: {where} has '{other}' in two groups; leave it in one")
            table[other] = first
    return table


def split(table: pa.Table, lists: tuple[str, ...]) -> pa.Table:
    """A row for each value of a list where the attribute holds lists; line breaks elsewhere become blanks."""
    import pyarrow as pa
    import pyarrow.compute as pc

    value = table["value"].combine_chunks()
    many = pc.and_(
        pc.is_in(table["attribute"].combine_chunks(), pa.array(lists, pa.string())),
        pc.match_substring_regex(value, f"[{SEPARATORS}]"),
    )
    value = pc.if_else(many, value, replaced(value, r"\n", " "))
    table = table.set_column(table.column_names.index("value"), "value", value)
    if not pc.any(many).as_py():
        return table
    listed = table.filter(many)
    parts = _parts(listed["value"].combine_chunks())
    rows, flat = pc.list_parent_indices(parts), pc.utf8_trim(replaced(pc.list_flatten(parts), r"\s+", " "), " ")
    exploded = listed.take(rows)
    exploded = exploded.set_column(exploded.column_names.index("value"), "value", flat).filter(pc.not_equal(flat, ""))
    return pa.concat_tables([table.filter(pc.invert(many)), exploded])


def _parts(texts: pa.Array) -> pa.ListArray:
    """Each text cut at its separators, those inside brackets left alone."""
    import pyarrow as pa
    import pyarrow.compute as pc

    inner = pc.match_substring_regex(texts, f"[{re.escape(''.join(BRACKETS))}][^\n]*[{SEPARATORS}]")
    plain = pc.split_pattern_regex(texts, f"[{SEPARATORS}]+")
    if not pc.any(inner).as_py():
        return plain
    careful = iter([_outside(text) for text in texts.filter(inner).to_pylist()])
    mixed = [next(careful) if one else None for one in inner.to_pylist()]
    return pc.if_else(inner, pa.array(mixed, pa.list_(pa.string())), plain)


def _outside(text: str) -> list[str]:
    parts, depth, start = [], [], 0
    for place, char in enumerate(text):
        if depth and char == depth[-1]:
            depth.pop()
        elif char in BRACKETS and BRACKETS[char] in text[place:]:
            depth.append(BRACKETS[char])
        elif (char in SEPARATORS and not depth) or char == "\n":
            parts.append(text[start:place])
            start, depth = place + 1, []
    return [*parts, text[start:]]
