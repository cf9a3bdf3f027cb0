"""Which parser reads which page: the table of the kinds of box, and the one function that asks them in order."""

from __future__ import annotations

from collections.abc import Sequence

from stages.core.params import Choices, choose
from stages.corpora.markup import Page
from stages.corpora.triples import baike, hudong, lists, mediawiki
from stages.corpora.triples.markup import Box

PARSERS: Choices = {
    "baike": baike.box,
    "mediawiki": mediawiki.box,
    "hudong": hudong.box,
    "lists": lists.box,
}


def box(page: Page, kinds: Sequence[str]) -> Box | None:
    """The box of a page by the first of `kinds` that knows it; None where none does, and where its box is empty.

    Raises `Refusal` for a kind that does not exist.
    """
    for kind in kinds:
        found = choose(PARSERS, kind, "systems.triples.train.kinds")(page)
        if found is not None:
            return found if found.title and any(name and value for name, value in found.pairs) else None
    return None
