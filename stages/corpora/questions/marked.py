"""Question pages that say by the class of their heading that it is a question, and mark their tags."""

from __future__ import annotations

from stages.corpora.markup import Page, canonical
from stages.corpora.questions.markup import Asked, tags, text

HEADINGS = "h1[class*='question' i], [class*='question' i] h1, h1[class*='title'][class*='qa' i], [class~='qa'] h1"
TAGS = "[class~='tags'] li, [class~='tags'] a, a[rel~='tag'], li[class~='tag']"


def asked(page: Page) -> list[Asked]:
    """The question of such a page, [] where it has no such heading."""
    if "question" not in page.source and "qa" not in page.source:
        return []
    question = text(page.tree.css_first(HEADINGS))
    given = tags([text(tag) for tag in page.tree.css(TAGS)])
    return [Asked(canonical(page), question, tuple(given))] if question else []
