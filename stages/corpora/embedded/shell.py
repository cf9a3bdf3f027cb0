"""What surrounds the text on every page of the embedded site: navigation, sidebar, footer.

All functions return HTML text; nothing here knows editions, traps or encodings.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

HOST = "http://encyclopedia.test"
SITE = "小百科"
Link = tuple[str, str]  # (address, text)

NAVIGATION: tuple[Link, ...] = (
    ("/", "首页"),
    ("/index/article/1.html", "文章"),
    ("/index/territory/1.html", "国家和地区"),
    ("/index/language/1.html", "语言"),
    ("/index/currency/1.html", "货币"),
    ("/index/script/1.html", "文字"),
    ("/index/unit/1.html", "单位"),
    ("/index/question/1.html", "问答"),
    ("/news.html", "最近更新"),
    ("/help.html", "帮助"),
)

PAGE = """<!DOCTYPE html>
<html lang="{lang}">
<head>
{meta}<title>{title} - {site}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
{head}<style>body{{font-family:sans-serif}}.side{{float:right;width:16em}}</style>
</head>
<body>
<header class="top"><a class="logo" href="/">{site}</a>
<form action="/search" method="get"><input name="q" placeholder="请输入关键词"><button>搜索</button></form></header>
<nav><ul>{nav}</ul></nav>
<div class="crumbs">您的位置：<a href="/">首页</a> &gt; {crumb}</div>
<main>
{main}
</main>
<aside class="side"><h3>猜你想看</h3><ul>{side}</ul>
<p class="advert">推广：订阅每周精选，第一时间阅读新的条目。</p></aside>
<footer><p>内容仅供参考，转载请注明出处。</p><p><a href="/about.html">关于我们</a> | <a href="/help.html">使用帮助</a> |
<a href="mailto:editor@encyclopedia.test">联系编辑</a> | <a href="javascript:void(0)">回到顶部</a></p></footer>
<script>var page = {{"views": 0, "ready": function () {{ return 1 < 2; }}}};</script>
</body>
</html>
"""


def page(
    title: str,
    main: str,
    side: Iterable[Link],
    *,
    crumb: str = "正文",
    head: str = "",
    charset: str = "utf-8",
    lang: str = "zh-CN",
) -> str:
    """A whole page; `charset` is what its meta tag says ('' for no tag), not what it is encoded in."""
    meta = f'<meta charset="{charset}">\n' if charset else ""
    return PAGE.format(
        lang=lang,
        meta=meta,
        title=escape(title),
        site=SITE,
        head=head,
        nav=items(NAVIGATION),
        crumb=escape(crumb),
        main=main,
        side=items(side),
    )


def anchor(address: str, text: str, more: str = "") -> str:
    """A link; `more` are further attributes, with a blank before each."""
    return f'<a href="{escape(address)}"{more}>{escape(text)}</a>'


def items(links: Iterable[Link]) -> str:
    """Links as the items of a list."""
    return "".join(f"<li>{anchor(*link)}</li>" for link in links)


def article(title: str, paragraphs: Sequence[str], *, box: str = "", after: str = "") -> str:
    """The main part of a page with text; `after` comes behind the text, outside of <article>."""
    body = "\n".join(f"<p>{escape(p, quote=False)}</p>" for p in paragraphs)
    return f"<article>\n<h1>{escape(title)}</h1>\n{box}{body}\n</article>\n{after}"


def related(links: Iterable[Link]) -> str:
    """The section of related entries, nothing where there are none."""
    shown = items(links)
    return f'<section class="related"><h2>相关条目</h2><ul>{shown}</ul></section>' if shown else ""


def question(asked: str, answer: str, tags: Iterable[str], after: str) -> str:
    """The main part of a question page."""
    shown = "".join(f'<li class="tag">{escape(tag)}</li>' for tag in tags)
    return (
        f'<article class="qa">\n<h1 class="question">{escape(asked)}</h1>\n<ul class="tags">{shown}</ul>\n'
        f'<div class="answer best"><h2>最佳答案</h2>\n<p>{escape(answer, quote=False)}</p></div>\n</article>\n{after}'
    )


def pager(base: str, number: int, total: int) -> str:
    """Links to the neighbouring pages and to every fifth page of an index."""
    near = sorted({1, total, *range(5, total, 5), *range(max(1, number - 2), min(total, number + 2) + 1)})
    links = [(f"{base}/{n}.html", f"第{n}页") for n in near if n != number]
    return f'<div class="pager">{"".join(anchor(*link) for link in links)}</div>'
