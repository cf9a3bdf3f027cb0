"""The entries of the embedded encyclopedia: real facts, sentences of our own, segmented by construction.

Facts: Unicode CLDR through Babel (see cldr.py). The sentences come from templates in places.py, tongues.py
and measures.py; names of related entries occur in each other's sentences.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from stages.corpora.embedded.cldr import world
from stages.corpora.embedded.measures import currencies, units
from stages.corpora.embedded.places import territories
from stages.corpora.embedded.sentences import Words
from stages.corpora.embedded.tongues import languages, scripts

KINDS = {"territory": "国家和地区", "language": "语言", "currency": "货币", "script": "文字", "unit": "单位"}
FEWEST, MOST = 4, 8


@dataclass(frozen=True)
class Entry:
    """One page of the encyclopedia. `kind` is a key of KINDS; `slug` is unique within its kind."""

    kind: str
    slug: str
    name: str
    infobox: tuple[tuple[str, str], ...]
    sentences: tuple[Words, ...]
    related: tuple[tuple[str, str], ...]  # (kind, slug) of other entries

    @property
    def path(self) -> str:
        return f"/wiki/{self.kind}/{self.slug}.html"


@lru_cache(maxsize=1)
def entries() -> tuple[Entry, ...]:
    """All entries, sorted by kind (order of KINDS) and slug; each tells 4 to 8 sentences."""
    table = world()
    found = [
        Entry(kind, code.lower(), names[code], tuple(box), tuple(told[:MOST]), tuple(dict.fromkeys(links)))
        for kind, names, rows in (
            ("territory", table.places, territories(table)),
            ("language", table.tongues, languages(table)),
            ("currency", table.money, currencies(table)),
            ("script", table.scripts, scripts(table)),
        )
        for code, box, told, links in rows
        if len(told) >= FEWEST
    ]
    found += [
        Entry("unit", code, name, tuple(box), tuple(told[:MOST]), tuple(dict.fromkeys(links)))
        for code, name, box, told, links in units()
        if len(told) >= FEWEST
    ]
    known = {(e.kind, e.slug) for e in found}
    order = list(KINDS)
    return tuple(
        Entry(
            e.kind,
            e.slug,
            e.name,
            e.infobox,
            e.sentences,
            tuple((k, c.lower()) for k, c in e.related if (k, c.lower()) in known),
        )
        for e in sorted(found, key=lambda e: (order.index(e.kind), e.slug))
    )


def paragraphs(entry: Entry) -> tuple[str, ...]:
    """The entry's text: its sentences in two paragraphs."""
    half = (len(entry.sentences) + 1) // 2
    return tuple(
        "".join("".join(words) for words in part) for part in (entry.sentences[:half], entry.sentences[half:]) if part
    )
