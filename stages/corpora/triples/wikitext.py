"""Boxes of wikitext: the templates named like an infobox in a page of MediaWiki's dump, through mwparserfromhell.

Only the braces of a box are parsed, not the article. Comments in the name, nested templates, boxes in boxes, variants
-{zh-hans:...;zh-hant:...}-, <ref>, <br>, links and lists become plain text; a nested template becomes its text.
Documentation: https://www.mediawiki.org/wiki/Help:Templates and https://www.mediawiki.org/wiki/Writing_systems/Syntax
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING

from stages.corpora.triples.markup import BREAK, Box, Pair, lines, parted

if TYPE_CHECKING:
    from mwparserfromhell.nodes import Template
    from mwparserfromhell.wikicode import Wikicode

NAMES = re.compile(r"infobox|信息框|信息欄|資訊框|资讯框|信息盒|taxobox|^基礎資料|box$", re.I)
OPENING = re.compile(r"\{\{(?:\s|<!--.*?-->)*([^|{}<]*)", re.S)
BRACES = re.compile(r"\{\{|\}\}|<!--.*?-->|<nowiki>.*?</nowiki>", re.S | re.I)
NOT_BOXES = re.compile(r"navbox|userbox|sidebar|mbox|^(?:end|module|template)?box$|/", re.I)
VARIANTS = re.compile(r"-\{(?!\{)((?:(?!-\{|\}-).)*)\}-", re.S)
FIRST = ("zh-hans", "zh-cn", "zh", "zh-sg", "zh-my")  # which variant is taken
FILES = ("file:", "image:", "文件:", "图像:", "圖像:", "檔案:", "档案:", "category:", "分类:", "分類:")
DATES = ("date", "birth", "death", "年月日", "生年", "没年", "日期")
LISTS = ("list", "ubl", "plainlist", "hlist", "列表", "ubt")
LAST = ("lang", "zh", "en", "jp", "color", "font color", "nihongo2")  # the text is the last of their arguments


def pages(dump: IO[bytes]) -> Iterator[tuple[str, str, str]]:
    """(title, time of the revision, wikitext) of the articles of a dump (XML), redirects left out, one at a time.

    A dump cut in the middle gives the pages before the cut and then raises lxml.etree.XMLSyntaxError.
    """
    from lxml import etree

    for _, page in etree.iterparse(dump, tag="{*}page", huge_tree=True):
        space = page.findtext("{*}ns") or "0"
        if space == "0" and page.find("{*}redirect") is None:
            time = page.findtext("{*}revision/{*}timestamp") or ""
            yield page.findtext("{*}title") or "", time, page.findtext("{*}revision/{*}text") or ""
        page.clear()
        while page.getprevious() is not None:
            del page.getparent()[0]


def box(title: str, wikitext: str) -> Box | None:
    """All boxes of an article as one; None where it has none."""
    import mwparserfromhell

    pairs: list[Pair] = []
    for source in templates(variants(wikitext)):
        for template in mwparserfromhell.parse(source).filter_templates():
            if is_box(str(template.name)):
                pairs += _pairs(template)
    name, sense = parted(title, "()")
    return Box(name, sense, tuple(pairs)) if pairs else None


def is_box(name: str) -> bool:
    """Whether a template of that name is a box of facts."""
    plain = re.sub(r"<!--.*?-->", "", name, flags=re.S).strip().replace("_", " ")
    return NAMES.search(plain) is not None and NOT_BOXES.search(plain) is None


def templates(wikitext: str) -> Iterator[str]:
    """The source of each outermost box, from its {{ to the }} that closes it (or the end, where none does)."""
    end = 0
    for opening in OPENING.finditer(wikitext):
        if opening.start() < end or not is_box(opening[1]):
            continue
        depth = 0
        for brace in BRACES.finditer(wikitext, opening.start()):
            depth += {"{{": 1, "}}": -1}.get(brace[0], 0)
            if depth == 0:
                end = brace.end()
                yield wikitext[opening.start() : end]
                break
        else:
            end = len(wikitext)
            yield wikitext[opening.start() : end] + "}}" * depth


def variants(wikitext: str) -> str:
    """`wikitext` with each -{...}- replaced by its simplified variant, or by what it holds."""

    def chosen(match: re.Match[str]) -> str:
        inside = match[1]
        if "|" in inside.partition("{{")[0]:
            flags, _, inside = inside.partition("|")
            if set(flags.strip()) <= set("HT-") and flags.strip():
                return ""
        options = [option.split(":", 1) for option in inside.split(";") if re.match(r"\s*zh[-a-z]*\s*:", option)]
        table = {name.strip().lower(): value.strip() for name, value in options}
        return next((table[name] for name in FIRST if name in table), next(iter(table.values()), inside))

    for _ in range(3):  # variants in variants
        wikitext, count = VARIANTS.subn(chosen, wikitext)
        if not count:
            break
    return wikitext


def _pairs(template: Template) -> Iterator[Pair]:
    named = {str(param.name).strip(): param for param in template.params if param.showkey}
    for name, param in named.items():
        number = name.removeprefix("label")
        if name.startswith("label") and number.isdigit() and f"data{number}" in named:
            yield text(param.value), text(named[f"data{number}"].value)
        elif not (re.fullmatch(r"data\d+", name) and "label" + name[4:] in named):
            yield re.sub(r"<!--.*?-->", "", name, flags=re.S).strip(), text(param.value)


def text(code: Wikicode) -> str:
    """Wikitext as a reader sees it, "\\n" for <br> and between the items of a list; boxes inside are left out."""
    plain = _plain(code)
    return lines(re.sub(r"(?:^|\n|\x01)[ \t]*[*#:;]+[ \t]*", BREAK, plain))


def _plain(code: Wikicode | None) -> str:
    from mwparserfromhell import nodes

    parts: list[str] = []
    for node in code.nodes if code is not None else ():
        match node:
            case nodes.Text():
                parts.append(str(node.value).replace("'''", "").replace("''", ""))
            case nodes.Wikilink():
                target = str(node.title).strip()
                if not target.lower().startswith(FILES):
                    parts.append(_plain(node.text) if node.text is not None else target.lstrip(":").split("#")[0])
            case nodes.ExternalLink():
                parts.append(_plain(node.title) if node.title is not None else str(node.url))
            case nodes.HTMLEntity():
                parts.append(node.normalize())
            case nodes.Tag() if str(node.tag).lower() == "br":
                parts.append(BREAK)
            case nodes.Tag() if node.wiki_markup in ("*", "#", ":", ";"):
                parts.append(BREAK)
            case nodes.Tag() if str(node.tag).lower() in ("ref", "gallery", "math", "style", "templatestyles"):
                pass
            case nodes.Tag():
                parts.append(_plain(node.contents))
            case nodes.Template():
                parts.append(_expanded(node))
    return "".join(parts)


def _expanded(template: Template) -> str:
    """The text of a nested template: a list as lines, a date in full, else what it shows of its arguments."""
    name = str(template.name).strip().lower().replace("_", " ")
    given = [param for param in template.params if not param.showkey]
    values = [value for param in given if (value := _plain(param.value).strip())]
    if is_box(name) or not values:
        return ""
    if any(word in name for word in LISTS):
        return BREAK + BREAK.join(values)
    if any(word in name for word in DATES):
        numbers = [value for value in values if value.isdigit()]
        if len(numbers) < len(values) and not numbers:
            return values[0]
        return "".join(number.lstrip("0") + unit for number, unit in zip(numbers, "年月日", strict=False))
    if name in ("convert", "cvt") and len(values) > 1:
        return values[0] + values[1]
    if name.split("-")[0] in LAST:
        return values[-1]
    return values[0]
