"""What the parsers of boxes share: an entry, the text of an element, names and values in the order of the page."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

    from stages.corpora.markup import Page

Pair = tuple[str, str]

BREAK = "\x01"  # stands for <br> until blanks are folded; then it is "\n"
HIDDEN = (
    "script, style, sup.reference, .mw-editsection, .toggle, .toExpand, .toCollapse, .noprint, "
    "[style*='display:none'], [style*='display: none'], [hidden]"
)


@dataclass(frozen=True)
class Box:
    """What a page's boxes say of its subject: names and values as written, a line break where the page has one."""

    title: str
    sense: str
    pairs: tuple[Pair, ...]


@dataclass(frozen=True)
class Entry:
    """A box and where it was found; `fetched_at` is "" where nobody knows."""

    url: str
    fetched_at: str
    box: Box


def text(node: LexborNode | None) -> str:
    """The visible text of an element (changed by it), blanks folded, "\\n" for <br> and before items and paragraphs."""
    if node is None:
        return ""
    only = node.first_child
    if only is None or (only.next is None and only.tag == "-text"):  # most are nothing but text
        return lines(node.text())
    for gone in node.css(HIDDEN):
        if gone.mem_id != node.mem_id:
            gone.decompose()
    for br in node.css("br"):
        br.replace_with(BREAK)
    for block in node.css("li, p, tr"):
        if block.mem_id != node.mem_id:
            block.insert_before(BREAK)
    return lines(node.text(deep=True))


def lines(raw: str) -> str:
    """`raw` with runs of ASCII blanks folded, then the marks of line breaks turned into "\\n"."""
    if BREAK not in raw:
        return _BLANKS.sub(" ", raw).strip(_ASCII)
    parts = (_BLANKS.sub(" ", part).strip(_ASCII) for part in raw.split(BREAK))
    return "\n".join(part for part in parts if part)


_ASCII = " \t\r\n\f"
_BLANKS = re.compile(f"[{_ASCII}]+")


def terms(nodes: Iterable[LexborNode]) -> tuple[Pair, ...]:
    """Pairs from <dt> and <dd> in the order of the page; a <dt> with several <dd> has a value of several lines."""
    found: list[tuple[str, list[str]]] = []
    for node in nodes:
        if node.tag == "dt":
            found.append((text(node), []))
        elif found:
            found[-1][1].append(text(node))
    return tuple((name, "\n".join(filter(None, values))) for name, values in found if values)


def heading(page: Page, *places: str) -> str:
    """The text of the first element that one of the selectors finds, else of <h1>, else of <title> up to its site."""
    for place in (*places, "h1"):
        if found := text(page.tree.css_first(place)):
            return found
    whole = text(page.tree.css_first("title"))
    return re.split(r"\s*[_|]\s*|\s+[-–—]\s+", whole)[0]


def parted(title: str, brackets: str) -> tuple[str, str]:
    """(`上海`, `专辑`) of "上海 (专辑)", where `brackets` are the marks that the site uses; else the title and ""."""
    opening, closing = brackets
    if not title.endswith(closing):
        return title, ""
    name, mark, sense = title[:-1].rpartition(opening)
    name, sense = name.rstrip(), sense.strip()
    return (name, sense) if mark and name and sense and closing not in sense else (title, "")
