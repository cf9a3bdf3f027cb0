"""Which parser reads which page: the table of the kinds of mark-up, and the function that asks them in order."""

from __future__ import annotations

from collections.abc import Sequence

from stages.core.params import Choices, choose
from stages.corpora.markup import Page
from stages.corpora.questions import marked, schema_org, zhidao
from stages.corpora.questions.markup import Asked

PARSERS: Choices = {
    "zhidao": zhidao.asked,
    "json_ld": schema_org.json_ld,
    "microdata": schema_org.microdata,
    "marked": marked.asked,
}


def asked(page: Page, kinds: Sequence[str]) -> list[Asked]:
    """The questions of a page by the first of `kinds` that finds any; [] where none does.

    Raises `Refusal` for a kind that does not exist.
    """
    for kind in kinds:
        if found := choose(PARSERS, kind, "systems.questions.train.kinds")(page):
            return found
    return []
