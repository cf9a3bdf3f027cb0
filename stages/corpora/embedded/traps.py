"""The difficult corner of the embedded site: what real sites do to crawlers, one page each.

TRAPS says for every such address what it is and what a good crawler does. HOSTED are articles that are
published at an unusual address or in an unusual encoding, and nowhere else. corner.py makes the pages.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from stages.corpora.embedded import shell

ROBOTS = f"""# Crawlers are welcome; please keep to these rules.
User-agent: GreedyBot
Disallow: /

User-agent: *
Disallow: /private/
Allow: /private/open/
Disallow: /*?sort=
Disallow: /*.print$

Sitemap: {shell.HOST}/sitemap.xml
"""

TRAPS = {
    "/robots.txt": "Rules with a longer Allow inside a Disallow, a wildcard and an end anchor: the longest match wins.",
    "/private/draft.html": "Disallowed, though linked and listed in the sitemap: it is never requested.",
    "/private/members/list.html": "Disallowed by prefix: it is never requested.",
    "/private/open/notice.html": "Allowed by a longer rule inside a disallowed folder: it is fetched.",
    "/index/territory/1.html?sort=name": "Disallowed by a wildcard rule: it is never requested.",
    "/article/gan.print": "Print versions, disallowed by an anchored rule: none is ever requested.",
    "/r/moved": "301 to an article: followed, and the page is stored under its final address only.",
    "/r/found": "302 with a relative Location: followed likewise.",
    "/r/chain-1": "Three redirects in a row: followed, within the crawler's limit.",
    "/r/loop-a": "Two redirects to each other: given up after a few steps, no error of the whole crawl.",
    "/r/self": "A redirect to itself: given up.",
    "/r/outside": "Redirect to http://other.invalid/: another host, not followed.",
    "/r/inside": "Redirect to http://127.0.0.1:1/: a private address, never followed.",
    "/mirror/minhash.html": "The same bytes as /article/minhash.html: one document.",
    "/m/sitemap.html": "Names /article/sitemap.html as its canonical address: one document.",
    "/article/crawler.html?utm_source=home&utm_medium=link": "Tracking parameters: the same address as without.",
    "/article/crawler.html#top": "A fragment: the same address as without.",
    "/show?id=zipf&kind=article": "Linked with its parameters in both orders: one request.",
    "/topic/%E5%AF%B9%E8%81%94.html": "Linked raw, in capitals and in small hexadecimals: one request.",
    "http://encyclopedia.test:80/article/energy.html": "Default port, capital host, dot segments: one request.",
    "/legacy/gbk.html": "GBK, and says so in header and meta: decoded as GBK.",
    "/legacy/gb2312.html": "Says gb2312 and has characters of gb18030 only: decoded as gb18030.",
    "/legacy/says-gbk-is-utf8.html": "Header and meta say GBK, the bytes are UTF-8: decoded as UTF-8.",
    "/legacy/says-utf8-is-gbk.html": "Header and meta say UTF-8, the bytes are GBK: decoded as GBK.",
    "/legacy/undeclared-gbk.html": "GBK without any declaration: detected from the bytes.",
    "/legacy/bom.html": "No declaration but a UTF-8 byte order mark: the mark is not part of the text.",
    "/legacy/invalid-bytes.html": "UTF-8 with two bad bytes: decoded with replacement, the rest of the text is whole.",
    "/errors/404.html": "404: noted, not a document, not asked for again and again.",
    "/errors/410.html": "410: noted as gone for good.",
    "/errors/heals-500.html": "500 twice, then the page: retried with patience.",
    "/errors/heals-503.html": "503 with Retry-After: 1, then the page: retried after that second.",
    "/slow/one-second.html": "Answers after one second: waited for.",
    "/endless/stream.html": "Sends lines for ever: cut off by size or time.",
    "/trap/calendar/2024-01.html": "A calendar without end, two more links a page: stopped by depth or by a budget.",
    "/deep/01.html": "A chain of twelve pages: followed as far as the depth limit.",
    "/files/map.png": "An image: not parsed as a page, not a document.",
    "/files/report.pdf": "A PDF: not parsed as a page, not a document.",
    "/empty.html": "200 with no bytes: no document.",
    "/blank.html": "Navigation and footer without text: no document.",
    "/missing.html": "A missing page with status 200: no document.",
    "/meta/noindex.html": "Meta robots noindex: may be fetched, is no document.",
    "/meta/x-robots.html": "X-Robots-Tag: noindex in the header: may be fetched, is no document.",
    "/meta/nofollow.html": "Meta robots nofollow: a document, but its link is not followed.",
    "/nofollow/behind-meta.html": "Linked only from the page with meta nofollow: better not requested.",
    "/nofollow/behind-link.html": "Linked only with rel=nofollow: better not requested.",
    "/repost/gan.html": "An article with one changed sentence: a near-duplicate, one document.",
    "/repost/crawler.html": "Likewise.",
    "/zh-hant/processing.html": "Traditional Chinese: a document, converted or kept as its reader wishes.",
    "/orphan/clue.html": "Orphans are in the sitemap only: fetched from there.",
    "/sitemaps/orphans.xml.gz": "A compressed sitemap with a foreign address: unpacked, the foreign one ignored.",
}


@dataclass(frozen=True)
class Hosting:
    """Where and how an article is published; `header` and `meta` are the declared encodings ('' for none)."""

    path: str
    charset: str = "utf-8"
    header: str = "utf-8"
    meta: str = "utf-8"
    failures: int = 0
    fails_with: int = 0
    delay: float = 0.0


HOSTED = {
    "gbk": Hosting("/legacy/gbk.html", "gbk", "gbk", "gbk"),
    "traditional": Hosting("/legacy/gb2312.html", "gb18030", "gb2312", "gb2312"),
    "extraction": Hosting("/legacy/says-gbk-is-utf8.html", "utf-8", "GBK", "GBK"),
    "http-caching": Hosting("/legacy/says-utf8-is-gbk.html", "gbk", "utf-8", "utf-8"),
    "warc": Hosting("/legacy/undeclared-gbk.html", "gbk", "", ""),
    "ema": Hosting("/legacy/bom.html", "utf-8-sig", "", ""),
    "segmentation": Hosting("/legacy/invalid-bytes.html"),
    "dropout": Hosting("/errors/heals-500.html", failures=2, fails_with=500),
    "lookahead": Hosting("/errors/heals-503.html", failures=1, fails_with=503),
    "scheduling": Hosting("/slow/one-second.html", delay=1.0),
    "couplets": Hosting("/topic/%E5%AF%B9%E8%81%94.html"),
    "zipf": Hosting("/show?id=zipf&kind=article"),
    **{slug: Hosting(f"/orphan/{slug}.html") for slug in ("bigan", "clue", "fashion-mnist", "tiger", "token-mixing")},
}
BAD_BYTES = ("/legacy/invalid-bytes.html", b"\xff\xfe")  # put before the end of the first paragraph
REPOSTS = {
    "gan": ("生成对抗网络由生成器和判别器组成。", "本文转载自网络，谈谈由两个网络组成的生成模型。"),
    "crawler": ("好的爬虫懂得礼貌。", "好的爬虫要守规矩，这一点怎么强调也不过分。"),
}
NOTES = {
    "/private/open/notice.html": (
        "开放公告",
        "这个目录里的大部分内容不对外公开，只有公告例外。编辑部每个季度在这里公布修订的计划，"
        "欢迎读者来信指出条目中的错误，来信请注明条目的名称和出处。",
        "keep",
    ),
    "/meta/noindex.html": (
        "内部备忘",
        "这个页面允许访问，但是作者不希望它出现在任何索引里，因此在页面的头部写明了自己的意愿。",
        "noindex",
    ),
    "/meta/x-robots.html": (
        "临时说明",
        "这个页面的意愿写在响应的头部，而不在页面里，只看页面的程序会忽略它。",
        "noindex",
    ),
    "/meta/nofollow.html": (
        "读者来稿",
        "读者来稿中的链接没有经过编辑核实，请不要跟随。来稿的内容由读者自己负责，编辑部只改正明显的错别字，"
        "不改动观点，也不保证其中的数字准确。",
        "keep",
    ),
    "/nofollow/behind-link.html": (
        "外部推荐甲",
        "指向这里的链接带有不跟随的标记，守规矩的爬虫不会来到这里。",
        "nofollow",
    ),
    "/nofollow/behind-meta.html": (
        "外部推荐乙",
        "指向这里的页面要求不要跟随其中的链接，守规矩的爬虫不会来到这里。",
        "nofollow",
    ),
    "/private/draft.html": ("草稿", "这是一篇没有写完的草稿，不应当被抓取。", "forbidden"),
    "/private/members/list.html": ("成员名单", "这是一份内部的成员名单，不应当被抓取。", "forbidden"),
}
OUTSIDE = {"/r/outside": "http://other.invalid/landing.html", "/r/inside": "http://127.0.0.1:1/admin"}
MOVED = {
    "/r/moved": (301, shell.HOST + "/article/energy.html"),
    "/r/found": (302, "../article/vae.html"),
    "/r/chain-1": (302, "/r/chain-2"),
    "/r/chain-2": (301, "/r/chain-3"),
    "/r/chain-3": (302, "/article/hmm.html"),
    "/r/loop-a": (302, "/r/loop-b"),
    "/r/loop-b": (302, "/r/loop-a"),
    "/r/self": (301, "/r/self"),
    **{path: (302, target) for path, target in OUTSIDE.items()},
}
DEEPEST = 12
CALENDAR = re.compile(r"/trap/calendar/(\d{4})-(\d{2})\.html")

# What /help.html links to, as (address, text, more attributes); every address here is written as a page would.
LINKS: tuple[tuple[str, str, str], ...] = (
    *((path, path.split("/")[-1], "") for path in NOTES if not path.startswith("/nofollow/")),
    ("/nofollow/behind-link.html", "外部推荐", ' rel="nofollow"'),
    *((path, path.split("/")[-1], "") for path in MOVED),
    *((hosting.path, slug, "") for slug, hosting in HOSTED.items() if not hosting.path.startswith("/orphan/")),
    ("/show?kind=article&id=zipf", "词频", ""),
    ("/topic/对联.html", "对联", ""),
    ("/topic/%e5%af%b9%e8%81%94.html", "对联", ""),
    ("/article/crawler.html?utm_source=home&utm_medium=link", "爬虫", ""),
    ("/article/crawler.html#top", "爬虫", ""),
    ("http://encyclopedia.test:80/article/energy.html", "能量", ""),
    ("http://ENCYCLOPEDIA.test/article/energy.html", "能量", ""),
    ("/legacy/../article/./energy.html", "能量", ""),
    ("/mirror/minhash.html", "镜像", ""),
    ("/m/sitemap.html", "手机版", ""),
    ("/repost/gan.html", "转载", ""),
    ("/repost/crawler.html", "转载", ""),
    ("/zh-hant/processing.html", "繁體版", ""),
    ("/files/map.png", "地图", ""),
    ("/files/report.pdf", "报告", ""),
    ("/empty.html", "空页", ""),
    ("/blank.html", "空白", ""),
    ("/missing.html", "旧闻", ""),
    ("/errors/404.html", "失效", ""),
    ("/errors/410.html", "撤下", ""),
    ("/endless/stream.html", "直播", ""),
    ("/trap/calendar/2024-01.html", "日历", ""),
    ("/deep/01.html", "连载", ""),
    ("http://other.invalid/", "友站", ""),
    ("tel:+860000000", "电话", ""),
)
