"""The pages of the difficult corner: see the tables in traps.py for what each of them is."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterable

from stages.corpora.embedded import shell
from stages.corpora.embedded.editions import DATES
from stages.corpora.embedded.pages import Headers, Page, made, refused
from stages.corpora.embedded.prose import Article, traditional
from stages.corpora.embedded.traps import CALENDAR, DEEPEST, MOVED, NOTES, REPOSTS, ROBOTS


def pages(known: dict[str, Article], side: Callable[[str], Iterable[shell.Link]]) -> list[Page]:
    """All pages of this corner but HOSTED articles. `known`: articles by slug; `side(path)`: a sidebar's links.

    They are the same in every edition.
    """
    date, found = DATES[1], []
    for path, (status, target) in MOVED.items():
        found.append(refused(path, "redirect", status, "Moved", fate="redirect", more=(("Location", target),)))
    for path, status, title in (("/errors/404.html", 404, "Not Found"), ("/errors/410.html", 410, "Gone")):
        found.append(refused(path, "error", status, title))

    def put(
        path: str,
        title: str,
        text: tuple[str, ...],
        fate: str,
        *,
        after: str = "",
        head: str = "",
        lang: str = "zh-CN",
        more: Headers = (),
        same: str = "",
    ) -> None:
        html = shell.page(title, shell.article(title, text, after=after), side(path), head=head, lang=lang)
        found.append(
            made(path, "trap", html.encode(), date, more=more, title=title, text=text, fate=fate, same_as=same)
        )

    for path, (title, text, fate) in NOTES.items():
        meta = {"/meta/noindex.html": "noindex", "/meta/nofollow.html": "nofollow"}.get(path)
        put(
            path,
            title,
            (text,),
            fate,
            head=f'<meta name="robots" content="{meta}">\n' if meta else "",
            more=(("X-Robots-Tag", "noindex"),) if path == "/meta/x-robots.html" else (),
            after=shell.anchor("/nofollow/behind-meta.html", "外部推荐") if meta == "nofollow" else "",
        )
    for slug, (old, new) in REPOSTS.items():
        text = tuple(p.replace(old, new) for p in known[slug].paragraphs)
        put(f"/repost/{slug}.html", known[slug].title, text, "near-duplicate", same=f"/article/{slug}.html")
    canonical = f'<link rel="canonical" href="{shell.HOST}/article/sitemap.html">\n'
    put(
        "/m/sitemap.html",
        known["sitemap"].title,
        known["sitemap"].paragraphs,
        "duplicate",
        head=canonical,
        same="/article/sitemap.html",
    )
    put("/zh-hant/processing.html", traditional().title, traditional().paragraphs, "keep", lang="zh-TW")
    put("/missing.html", "页面不存在", ("您访问的页面不存在，或者已经被删除。",), "boilerplate")
    for n in range(1, DEEPEST + 1):
        after = shell.anchor(f"/deep/{n + 1:02d}.html", "下一页") if n < DEEPEST else ""
        put(
            f"/deep/{n:02d}.html",
            f"连载第{n}页",
            (f"这是连载的第{n}页，一共{DEEPEST}页。",),
            "deep",
            after=after,
        )

    found.append(
        made(
            "/blank.html",
            "trap",
            shell.page("空白", "", side("/blank.html")).encode(),
            date,
            title="空白",
            fate="boilerplate",
        )
    )
    found.append(made("/empty.html", "trap", b"", date, fate="empty"))
    found.append(made("/files/map.png", "file", _png(), date, content_type="image/png", charset="", fate="binary"))
    found.append(
        made(
            "/files/report.pdf",
            "file",
            b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<< >>\nendobj\n%%EOF\n",
            date,
            content_type="application/pdf",
            charset="",
            fate="binary",
        )
    )
    found.append(made("/robots.txt", "machine", ROBOTS.encode(), date, content_type="text/plain", fate="machine"))
    found.append(
        Page(
            "/endless/stream.html",
            "trap",
            b"<!DOCTYPE html>\n<html><head><title>live</title></head><body>\n",
            headers=(("Content-Type", "text/html; charset=utf-8"),),
            title="live",
            fate="endless",
            endless=True,
        )
    )
    return found


def calendar(path: str) -> Page | None:
    """The page of the endless calendar at `path`, or None where `path` is none of it."""
    match = CALENDAR.fullmatch(path)
    if match is None:
        return None
    year, month = int(match[1]), int(match[2])
    title = f"{year}年{month}月"
    later = f"{year + month // 12:04d}-{month % 12 + 1:02d}"
    links = shell.items(
        [
            (f"/trap/calendar/{later}.html", "下一月"),
            (f"/trap/calendar/{year + 1:04d}-{month:02d}.html", "下一年"),
        ]
    )
    html = shell.page(title, shell.article(title, (f"{title}没有安排活动。",)) + f"<ul>{links}</ul>", ())
    return made(path, "trap", html.encode(), DATES[1], title=title, fate="trap")


def _png(side: int = 16) -> bytes:
    """A grey square as a PNG file."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = b"".join(b"\x00" + b"\x80" * side for _ in range(side))
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 0)) + chunk(b"IEND", b"")
