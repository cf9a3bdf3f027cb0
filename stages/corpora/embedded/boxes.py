"""How the pages of the embedded site mark facts, questions and tags: in the shapes of real sites, some of them broken.

Which shape a page has follows from its address alone. Every shape says the same to a reader.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from html import escape

from stages.corpora.embedded.sentences import turn

Pairs = Sequence[tuple[str, str]]

MANY = ("官方语言", "货币", "货币代码", "曾用货币", "时区城市", "官方地位", "分布", "使用地区", "书写的语言")
"""Attributes whose values are lists, joined by 、."""


def infobox(path: str, name: str, pairs: Pairs) -> str:
    """The infobox of the entry at `path`."""
    return SHAPES[turn(path + "#box", len(SHAPES))](name, pairs)


def _list(name: str, pairs: Pairs) -> str:
    rows = "".join(f'<dt class="name">{escape(k)}</dt><dd class="value">{escape(v)}</dd>' for k, v in pairs)
    return f'<dl class="basic-info">{rows}</dl>\n'


def _table(name: str, pairs: Pairs) -> str:
    rows = "".join(f"<tr><th>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in pairs)
    return f'<table class="infobox"><caption>{escape(name)}</caption>{rows}</table>\n'


def _unclosed(name: str, pairs: Pairs) -> str:
    """A table without a single closing tag but its own, upper case, attributes without quotes."""
    rows = "".join(f"<TR><TH scope=row>{escape(k)}<TD>{escape(v)}" for k, v in pairs)
    return f"<TABLE class=infobox>{rows}</TABLE>\n"


def _misnested(name: str, pairs: Pairs) -> str:
    """A definition list with bold type that closes in the wrong place, a footnote, and an end that is missing."""
    rows = "".join(f'<dt class="name"><b>{escape(k)}</dt></b><dd class="value">{escape(v)}' for k, v in pairs)
    return f'<div class="basic-info"><dl>{rows}<sup>[1]</sup></div>\n'


def _padded(name: str, pairs: Pairs) -> str:
    """The old layout of a big encyclopedia: names padded to one width, a footnote mark and line ends in values."""
    rows = "".join(
        f'<dt class="basicInfo-item name">{_wide(k)}</dt>\n<dd class="basicInfo-item value">\n{escape(v)}'
        f'<sup class="sup--normal">\n[{n}]</sup><a class="sup-anchor">&nbsp;</a>\n</dd>\n'
        for n, (k, v) in enumerate(pairs, 1)
    )
    return f'<div class="basic-info"><dl class="basicInfo-block basicInfo-left">\n{rows}</dl></div>\n'


def _hashed(name: str, pairs: Pairs) -> str:
    """Its present layout: class names with a hash behind, lists of values as lines."""
    rows = "".join(
        f'<div class="itemWrapper_k3f"><dt class="basicInfoItem_a1B itemName_q9z">{_wide(k)}</dt>'
        f'<dd class="basicInfoItem_a1B itemValue_x7c"><span>{_lines(k, v)}</span></dd></div>'
        for k, v in pairs
    )
    return f'<div class="basicInfo_h5W J-basic-info"><dl class="basicInfoBlock_m2r left">{rows}</dl></div>\n'


def _cells(name: str, pairs: Pairs) -> str:
    """Cells of a name in bold type with a colon, and its value."""
    rows = "".join(f"<td><strong>{escape(k)}：</strong><span>{escape(v)}</span></td></tr><tr>" for k, v in pairs)
    return f'<div class="module"><table><tr>{rows}</tr></table></div>\n'


def _wide(name: str) -> str:
    return escape(name) if len(name) > 2 else "&nbsp;&nbsp;&nbsp;&nbsp;".join(map(escape, name))


def _lines(name: str, value: str) -> str:
    return "<br/>".join(map(escape, value.split("、"))) if name in MANY else escape(value)


SHAPES: tuple[Callable[[str, Pairs], str], ...] = (
    *(_list, _table) * 4,
    *(_padded, _hashed, _cells),
    *(_unclosed, _misnested),
)


def question(path: str, main: str) -> str:
    """The main part `main` of the question page at `path`: as it is, with microdata, or with tags left open."""
    shape = turn(path + "#question", 10)
    if shape == 1:
        main = main.replace('class="qa"', 'class="qa" itemscope itemtype="https://schema.org/Question"')
        main = main.replace('class="question"', 'class="question" itemprop="name"')
        return main.replace('class="tag"', 'class="tag" itemprop="keywords"')
    return main.replace("</li>", "") if shape == 2 else main


def question_data(path: str, asked: str, answer: str, tags: Sequence[str]) -> str:
    """schema.org QAPage as a JSON-LD script for the page's head; on a few pages it is cut, or is not there."""
    data = {
        "@context": "https://schema.org",
        "@type": "QAPage",
        "mainEntity": {
            "@type": "Question",
            "name": asked,
            "keywords": ",".join(tags),
            "answerCount": 1,
            "acceptedAnswer": {"@type": "Answer", "text": answer},
        },
    }
    shape = turn(path + "#question", 10)
    if shape in (1, 2):
        return ""
    shown = json.dumps(data, ensure_ascii=False).replace("<", "\\u003c")
    shown = shown[: len(shown) // 2] if shape == 3 else shown
    return f'<script type="application/ld+json">{shown}</script>\n'
