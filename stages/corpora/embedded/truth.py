"""What a perfect crawl of the embedded site yields: the yardstick for crawl, extraction, words, facts and questions."""

from __future__ import annotations

import html
import re
from collections import Counter, deque
from dataclasses import dataclass
from urllib.parse import quote, unquote, urljoin, urlsplit

from stages.corpora.embedded.boxes import MANY
from stages.corpora.embedded.editions import GONE, NEW_ENTRIES, revised_entry
from stages.corpora.embedded.facts import entries
from stages.corpora.embedded.pages import Page
from stages.corpora.embedded.prose import terms
from stages.corpora.embedded.questions import questions
from stages.corpora.embedded.sentences import Words
from stages.corpora.embedded.shell import HOST
from stages.corpora.embedded.site import build
from stages.corpora.embedded.traps import TRAPS

ANCHOR = re.compile(r'<a ([^>]*?)href="([^"]*)"([^>]*)>')
UNSEEN = ("forbidden",)


@dataclass(frozen=True)
class Expected:
    """One page that may be fetched.

    `fate` is "keep" for a document, else the reason why it is none (pages.FATES). `same_as` is the address
    of the page that a duplicate repeats. `depth` is the number of clicks from the home page, -1 where only
    the sitemap leads there. `text` holds the paragraphs, one a line, `aside` what else a reader finds there
    (title, infobox, tags).
    """

    url: str
    kind: str
    status: int
    title: str
    text: str
    aside: str
    charset: str
    fate: str
    same_as: str
    depth: int


@dataclass(frozen=True)
class Name:
    """A planted name: how often it stands in the texts of the documents, and as a word in the gold sentences."""

    name: str
    kind: str
    count: int
    as_word: int


@dataclass(frozen=True)
class Gold:
    """One sentence of an entry, segmented."""

    url: str
    words: Words


@dataclass(frozen=True)
class Fact:
    """One value of an attribute in the infobox of a page."""

    url: str
    subject: str
    attribute: str
    value: str


@dataclass(frozen=True)
class Asked:
    """The question of a page."""

    url: str
    question: str
    tags: tuple[str, ...]


@dataclass(frozen=True)
class Truth:
    """All that is known of one edition."""

    pages: list[Expected]
    forbidden: list[str]  # addresses that must never be requested
    names: list[Name]  # most frequent first
    gold: list[Gold]
    traps: dict[str, str]  # address -> what it is and what a good crawler does
    facts: list[Fact]
    questions: list[Asked]


def truth(edition: int) -> Truth:
    """Everything that is known of one edition. ValueError for an edition that does not exist."""
    site = build(edition)
    far = depths(site)
    asides = {e.path: " ".join(part for pair in e.infobox for part in pair) for e in entries()}
    asides |= {q.path: " ".join(q.tags) for q in questions()}
    pages = [
        Expected(
            HOST + p.path,
            p.kind,
            p.status,
            p.title,
            "\n".join(p.text),
            f"{p.title} {asides.get(p.path, '')}",
            p.charset,
            p.fate,
            HOST + p.same_as if p.same_as else "",
            far.get(p.path, -1),
        )
        for p in site.values()
        if p.fate not in UNSEEN
    ]
    gold = [
        Gold(HOST + e.path, words)
        for e in entries()
        if site.get(e.path, _NOTHING).fate == "keep"
        for words in revised_entry(e, edition)
    ]
    forbidden = [HOST + p.path for p in site.values() if p.fate == "forbidden"]
    facts = [
        Fact(HOST + e.path, e.name, attribute, " ".join(value.split()))  # narrow blanks are blanks to a reader
        for e in entries()
        if site.get(e.path, _NOTHING).fate == "keep"
        for attribute, listed in e.infobox
        for value in dict.fromkeys(listed.split("、") if attribute in MANY else [listed])
    ]
    asked = [Asked(HOST + q.path, q.question, q.tags) for q in questions()]
    return Truth(pages, forbidden, _names(edition, pages, gold), gold, dict(TRAPS), facts, asked)


_NOTHING = Page("", "", fate="gone")


def _names(edition: int, pages: list[Expected], gold: list[Gold]) -> list[Name]:
    text = "\n".join(p.text for p in pages if p.fate == "keep")
    words = Counter(word for sentence in gold for word in sentence.words)
    absent = set(NEW_ENTRIES) if edition == 1 else set(GONE)
    planted = {e.name: e.kind for e in entries() if (e.kind, e.slug) not in absent} | dict.fromkeys(terms(), "term")
    found = [Name(name, kind, text.count(name), words[name]) for name, kind in planted.items()]
    return sorted(found, key=lambda n: (-n.count, n.name))


def links(page: Page) -> list[str]:
    """Paths (with query) of the site that `page` links to, in order, as a polite crawler reads them.

    Links with rel=nofollow, on pages with meta nofollow, and to other hosts or schemes are left out.
    """
    if page.status != 200 or not dict(page.headers).get("Content-Type", "").startswith("text/html"):
        return [target for name, target in page.headers if name == "Location" and target.startswith(HOST)]
    source = page.body.decode(page.charset or "utf-8", "replace")
    if 'content="nofollow"' in source:
        return []
    found = []
    for before, target, behind in ANCHOR.findall(source):
        parts = urlsplit(urljoin(HOST + page.path, html.unescape(target)))
        if parts.hostname == urlsplit(HOST).hostname and "nofollow" not in before + behind:
            query = "&".join(sorted(q for q in parts.query.split("&") if q and not q.startswith("utm_")))
            found.append(quote(unquote(parts.path), safe="/~") + (f"?{query}" if query else ""))
    return found


def depths(site: dict[str, Page]) -> dict[str, int]:
    """Path -> clicks from "/" over links that may be followed; a redirect counts as a click."""
    far, queue = {"/": 0}, deque(["/"])
    while queue:
        path = queue.popleft()
        for target in links(site[path]):
            if target in site and target not in far and site[target].fate != "forbidden":
                far[target] = far[path] + 1
                queue.append(target)
    return far
