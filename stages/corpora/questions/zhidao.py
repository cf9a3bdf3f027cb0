"""Question pages of Baidu Zhidao, as saved since 2012: title, canonical address, keywords; tags where shown."""

from __future__ import annotations

import re

from stages.corpora.markup import Page, canonical
from stages.corpora.questions.markup import Asked, meta, tags, text

SITE = re.compile(r"(?:_|\s*[-–—|]\s*)百度知道.*$", re.S)
TITLES = ".ask-title, [class*='ask-title'], h1[accuse='qTitle']"
TAGS = ".tag-list a, .tag-item, .question-tag, [class*='tag-list'] [class*='tag'], .qb-tags a, .word-replace-tag"
ADDRESS = re.compile(r"https?://zhidao\.baidu\.com/question/\d+(?:\.html)?")


def asked(page: Page) -> list[Asked]:
    """The question of a page of Zhidao; [] for other pages, and for its errors and lists."""
    if "百度知道" not in page.source:
        return []
    node = page.tree.css_first("title")
    title = re.sub(r"[\r\n\t]+", " ", node.text(deep=True).strip("\r\n\t ")) if node is not None else ""
    address = canonical(page) or meta(page, "og:url")
    shown = page.tree.css_first(TITLES)
    if not SITE.search(title) or ("/question/" not in address and shown is None):
        return []
    question = SITE.sub("", title)
    if question.endswith(("...", "…")) and (whole := text(shown)):
        question = whole  # a long title is cut in <title>
    if not address and (found := ADDRESS.search(page.source)):
        address = found[0]
    given = tags(meta(page, "keywords")) or tags([text(tag) for tag in page.tree.css(TAGS)])
    return [Asked(address, question, tuple(given))]
