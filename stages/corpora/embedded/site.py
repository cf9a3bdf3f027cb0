"""The whole site of one edition: every address and its bytes.

    build(1)["/wiki/territory/af.html"].body

The same bytes at every call and on every machine: nothing here depends on time, order of hashing or locale.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from stages.corpora.embedded import boxes, corner, shell
from stages.corpora.embedded.editions import (
    DATES,
    EDITIONS,
    GONE,
    NEW_ARTICLES,
    NEW_ENTRIES,
    REVISED_ARTICLES,
    REVISED_ENTRIES,
    dated,
    revised_article,
    revised_entry,
)
from stages.corpora.embedded.facts import KINDS, Entry, entries, paragraphs
from stages.corpora.embedded.pages import Page, made, refused
from stages.corpora.embedded.prose import Article, articles
from stages.corpora.embedded.questions import questions
from stages.corpora.embedded.sentences import turn
from stages.corpora.embedded.sitemap import sitemaps
from stages.corpora.embedded.traps import BAD_BYTES, HOSTED, LINKS, Hosting

PER_INDEX = 50
ABOUT = (
    "小百科是一个小小的中文百科网站，收录国家和地区、语言、货币、文字和单位的条目，也刊登有关语言处理和机器学习的文章。",
    "条目里的事实来自公开的区域数据，文章由编辑部撰写。读者可以自由地阅读和抓取，但是请遵守爬虫协议，不要给服务器带来过大的负担。",
)
NEWS = {
    1: ("本站今天开放，首批条目已经可以阅读。编辑部会定期修订，请读者随时留意这里的消息。",),
    2: (
        "本站今天开放，首批条目已经可以阅读。编辑部会定期修订，请读者随时留意这里的消息。",
        "第二版修订了一批文章和条目，增加了若干新的条目，撤下了几个重复的条目。",
    ),
}


@lru_cache(maxsize=2)
def build(edition: int) -> dict[str, Page]:
    """Path (with its query, if any) -> page, sorted by path. About two seconds at the first call.

    ValueError for an edition that does not exist.
    """
    if edition not in EDITIONS:
        raise ValueError(f"edition {edition}: there are only {EDITIONS}")
    found = [*_entries(edition), *_articles(edition), *_questions(), *_indexes(), *_fronts(edition)]
    found += corner.pages({a.slug: a for a in articles()}, side)
    site = {page.path: page for page in found}
    twin = site["/article/minhash.html"]
    site["/mirror/minhash.html"] = made(
        "/mirror/minhash.html",
        "trap",
        twin.body,
        DATES[1],
        title=twin.title,
        text=twin.text,
        fate="duplicate",
        same_as=twin.path,
    )
    site.update((page.path, page) for page in sitemaps(site, edition))
    return dict(sorted(site.items()))


def address(slug: str) -> str:
    """Where the article `slug` is published."""
    return HOSTED.get(slug, Hosting(f"/article/{slug}.html")).path


def side(path: str) -> list[shell.Link]:
    """Six entries for the sidebar of `path`: other ones on every page, the same in both editions."""
    listed = _listed_entries()
    return [(e.path, e.name) for e in (listed[turn(f"{path}#{i}", len(listed))] for i in range(6))]


@lru_cache(maxsize=1)
def _listed_entries() -> tuple[Entry, ...]:
    return tuple(e for e in entries() if (e.kind, e.slug) not in NEW_ENTRIES)


def _listed_articles() -> list[Article]:
    return [a for a in articles() if a.slug not in NEW_ARTICLES and not address(a.slug).startswith("/orphan/")]


def _entries(edition: int) -> Iterable[Page]:
    listed = {(e.kind, e.slug): e for e in _listed_entries()}
    for entry in entries():
        key = (entry.kind, entry.slug)
        if edition == 1 and key in NEW_ENTRIES:
            continue
        if edition == 2 and key in GONE:
            yield refused(entry.path, entry.kind, GONE[key], "Gone", fate="gone")
            continue
        text = list(paragraphs(entry))
        text += ["".join(words) for words in revised_entry(entry, edition)[len(entry.sentences) :]]
        box = boxes.infobox(entry.path, entry.name, entry.infobox)
        after = shell.related((listed[k].path, listed[k].name) for k in entry.related if k in listed)
        html = shell.page(
            entry.name,
            shell.article(entry.name, text, box=box, after=after),
            side(entry.path),
            crumb=KINDS[entry.kind],
        )
        yield made(
            entry.path,
            entry.kind,
            html.encode(),
            dated(key in (*NEW_ENTRIES, *REVISED_ENTRIES), edition),
            title=entry.name,
            text=tuple(text),
        )


def _articles(edition: int) -> Iterable[Page]:
    listed = _listed_articles()
    for article in articles():
        if edition == 1 and article.slug in NEW_ARTICLES:
            continue
        hosting, text = (
            HOSTED.get(article.slug, Hosting(address(article.slug))),
            revised_article(article, edition),
        )
        near = sorted(listed, key=lambda a: turn(article.slug + a.slug, 1 << 32))[:4]
        after = shell.related((address(a.slug), a.title) for a in near)
        if article.slug not in HOSTED:
            print_path = f"/article/{article.slug}.print"
            after += shell.anchor(print_path, "打印版")
            bare = f"<!DOCTYPE html>\n<title>{article.title}</title>\n<p>打印版</p>\n"
            yield made(print_path, "trap", bare.encode(), DATES[1], title=article.title, fate="forbidden")
        html = shell.page(
            article.title,
            shell.article(article.title, text, after=after),
            side(hosting.path),
            crumb="文章",
            charset=hosting.meta,
        )
        body = html.encode(hosting.charset)
        if hosting.path == BAD_BYTES[0]:
            body = body.replace(b"</p>", BAD_BYTES[1] + b"</p>", 1)
        kind = f"text/html; charset={hosting.header}" if hosting.header else "text/html"
        changed = article.slug in REVISED_ARTICLES or article.slug in NEW_ARTICLES
        yield made(
            hosting.path,
            "article",
            body,
            dated(changed, edition),
            content_type=kind,
            title=article.title,
            text=text,
            charset=hosting.charset,
            failures=hosting.failures,
            fails_with=hosting.fails_with,
            delay=hosting.delay,
        )


def _questions() -> Iterable[Page]:
    asked = questions()
    for i, q in enumerate(asked):
        near: list[shell.Link] = [(other.path, other.question) for other in (asked[i - 1], asked[(i + 1) % len(asked)])]
        after = shell.related([(q.about, q.tags[0]), *near] if q.about in {e.path for e in _listed_entries()} else near)
        html = shell.page(
            q.question,
            boxes.question(q.path, shell.question(q.question, q.answer, q.tags, after)),
            side(q.path),
            crumb="问答",
            head=boxes.question_data(q.path, q.question, q.answer, q.tags),
        )
        yield made(q.path, "question", html.encode(), DATES[1], title=q.question, text=(q.answer,))


def _indexes() -> Iterable[Page]:
    tables: dict[str, tuple[str, list[shell.Link]]] = {
        kind: (name, [(e.path, e.name) for e in _listed_entries() if e.kind == kind]) for kind, name in KINDS.items()
    }
    tables["article"] = "文章", [(address(a.slug), a.title) for a in _listed_articles()]
    tables["question"] = "问答", [(q.path, q.question) for q in questions()]
    for kind, (name, links) in tables.items():
        base, total = f"/index/{kind}", -(-len(links) // PER_INDEX)
        for n in range(1, total + 1):
            path, title = f"{base}/{n}.html", f"{name}目录，第{n}页"
            part = links[(n - 1) * PER_INDEX : n * PER_INDEX]
            main = (
                f"<h1>{title}</h1><p>{shell.anchor(f'{path}?sort=name', '按名称排序')}</p>"
                f"<ul>{shell.items(part)}</ul>{shell.pager(base, n, total)}"
            )
            html = shell.page(title, main, side(path), crumb=name).encode()
            yield made(path, "index", html, DATES[1], title=title, fate="index")
            yield made(f"{path}?sort=name", "trap", html, DATES[1], title=title, fate="forbidden")


def _fronts(edition: int) -> Iterable[Page]:
    """The home page, the news, help and about."""
    home = "".join(f"<li>{shell.anchor(*link)}</li>" for link in shell.NAVIGATION[1:])
    html = shell.page("首页", f"<h1>{shell.SITE}</h1><p>欢迎来到{shell.SITE}。</p><ul>{home}</ul>", side("/"))
    yield made("/", "index", html.encode(), DATES[1], title="首页", fate="index")

    fresh = [(e.path, e.name) for e in entries() if (e.kind, e.slug) in NEW_ENTRIES]
    fresh += [(address(a.slug), a.title) for a in articles() if a.slug in NEW_ARTICLES]
    main = shell.article("最近更新", NEWS[edition], after=shell.related(fresh) if edition == 2 else "")
    yield made(
        "/news.html",
        "index",
        shell.page("最近更新", main, side("/news.html")).encode(),
        DATES[edition],
        title="最近更新",
        text=NEWS[edition],
        fate="index",
    )

    main = f"<h1>帮助</h1><ul>{''.join('<li>' + shell.anchor(*link) + '</li>' for link in LINKS)}</ul>"
    yield made(
        "/help.html",
        "index",
        shell.page("帮助", main, side("/help.html")).encode(),
        DATES[1],
        title="帮助",
        fate="index",
    )
    main = shell.article("关于我们", ABOUT)
    yield made(
        "/about.html",
        "article",
        shell.page("关于我们", main, side("/about.html")).encode(),
        DATES[1],
        title="关于我们",
        text=ABOUT,
    )
