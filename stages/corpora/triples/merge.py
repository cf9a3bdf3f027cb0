"""What says the same becomes one row: equal but for spelling, on however many pages.

Within a subject and its sense two values of an attribute are the same when their folded texts are (columns.folded).
The spelling on most pages stays, the first in order among equals; `sources` counts the pages that say it, and
`source_url` is the first of them in order. The answer does not depend on the order of the rows that come in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stages.core import tables
from stages.corpora.columns import folded, hashes
from stages.corpora.triples.typed import typed

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


def schema() -> pa.Schema:
    """The columns of a table of triples."""
    import pyarrow as pa

    text = pa.string()
    return tables.schema(
        entity=(text, "subject: the title of its page, without its sense"),
        sense=(text, "which of several subjects of that title, empty where the page does not say"),
        entity_id=(pa.uint64(), "hash of entity and sense: one number a subject"),
        attribute=(text, "name of the attribute, synonyms joined"),
        attribute_raw=(text, "the name as on the page, cleaned"),
        value=(text, "the value"),
        value_raw=(text, "the value as on the page: before marks went and a list was split"),
        value_type=(text, "text, number or date"),
        number=(pa.float64(), "the number, null where the value is none"),
        unit=(text, "what stands behind the number"),
        date=(text, "ISO 8601, as exact as the value: 1996, 1996-12 or 1996-12-13"),
        source_url=(text, "a page that says it: the first in order of address"),
        fetched_at=(text, "when that page was fetched, empty where nobody knows"),
        sources=(pa.int32(), "number of pages that say it"),
    )


def merged(rows: pa.Table) -> pa.Table:
    """Clean rows (all of their subjects' rows) as triples in the order of entity, sense, attribute and value."""
    import numpy as np
    import pyarrow as pa

    column = {name: rows[name].combine_chunks() for name in rows.column_names}
    if not rows.num_rows:
        return schema().empty_table()
    rank_of = {name: rank(column[name]) for name in ("entity", "sense", "attribute", "value")}
    subject = rank_of["entity"] * (rank_of["sense"].max() + 1) + rank_of["sense"]
    fact = subject * (rank_of["attribute"].max() + 1) + rank_of["attribute"]
    same = rank(folded(column["value"]))
    order = np.lexsort((same, fact))
    group = np.empty(order.size, np.int64)
    group[order] = np.cumsum(_changes(fact[order], same[order])) - 1
    several = np.flatnonzero(np.bincount(group)[group] > 1)
    alone = np.setdiff1d(order, several, assume_unique=True)
    chosen, pages = _voted(rows.take(pa.array(several)), group[several], rank_of["value"][several])
    chosen, sources = np.r_[alone, several[chosen]], np.r_[np.ones(alone.size, np.int64), pages]
    final = np.lexsort((rank_of["value"][chosen], fact[chosen]))
    chosen, sources = chosen[final], sources[final].astype(np.int32)
    kept = rows.take(pa.array(chosen))
    kept = {name: kept[name].combine_chunks() for name in kept.column_names}
    more = {"entity_id": pa.array(entity_ids(kept["entity"], kept["sense"])), "sources": pa.array(sources)}
    columns = kept | typed(kept["value"]) | more
    return pa.table([columns[name] for name in schema().names], schema=schema())


def _voted(rows: pa.Table, group: np.ndarray, spelling: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each group the first row of the spelling that most pages have, and the number of the group's pages."""
    import numpy as np

    if not rows.num_rows:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    url, *ties = (
        rank(rows[name].combine_chunks()) for name in ("source_url", "attribute_raw", "value_raw", "fetched_at")
    )
    order = np.lexsort((*reversed(ties), url, spelling, group))
    group, spelling, url = group[order], spelling[order], url[order]
    spellings = np.flatnonzero(_changes(group, spelling))
    votes = np.add.reduceat(_changes(group, spelling, url).astype(np.int64), spellings)
    best = np.lexsort((np.arange(spellings.size), -votes, group[spellings]))
    best = best[_changes(group[spellings][best])]
    by_page = np.lexsort((url, group))
    first = np.flatnonzero(_changes(group[by_page]))
    pages = np.add.reduceat(_changes(group[by_page], url[by_page]).astype(np.int64), first)
    return order[spellings[best]], pages


def entity_ids(entity: pa.Array, sense: pa.Array) -> np.ndarray:
    """The number of each subject: a hash of its title and sense."""
    import pyarrow.compute as pc

    joined = pc.binary_join_element_wise(entity, sense, "\n").dictionary_encode()
    return hashes(joined.dictionary)[joined.indices.to_numpy()]


def rank(texts: pa.Array) -> np.ndarray:
    """For each text how many smaller ones (by code point) there are among the distinct texts: int64."""
    import numpy as np
    import pyarrow.compute as pc

    coded = texts.dictionary_encode()
    dense = pc.rank(coded.dictionary, tiebreaker="dense").to_numpy().astype(np.int64) - 1
    return dense[coded.indices.to_numpy()]


def _changes(*keys: np.ndarray) -> np.ndarray:
    """True where a row differs from the one before in any of the keys; the first row does."""
    import numpy as np

    changed = np.zeros(keys[0].size, dtype=bool)
    changed[:1] = True
    for key in keys:
        changed[1:] |= key[1:] != key[:-1]
    return changed
