"""What a page of the embedded site is, and the one function that makes it from HTML."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

Headers = tuple[tuple[str, str], ...]

# Why a page that may be fetched is not a document of its own; "keep" are the documents.
FATES = (
    "keep",
    "index",
    "duplicate",
    "near-duplicate",
    "empty",
    "boilerplate",
    "noindex",
    "nofollow",
    "redirect",
    "error",
    "gone",
    "binary",
    "endless",
    "deep",
    "trap",
    "machine",
    "forbidden",
)


@dataclass(frozen=True)
class Page:
    """One address of the site and what the server does there.

    `text` are the paragraphs of the main part without its title and without the infobox. `charset` is what
    `body` is really encoded in ('' for bytes that are no text). `same_as` is the path of the page that this
    one repeats. The first `failures` requests (per server) are answered with `fails_with`.
    """

    path: str
    kind: str
    body: bytes = b""
    status: int = 200
    headers: Headers = ()
    title: str = ""
    text: tuple[str, ...] = ()
    charset: str = "utf-8"
    fate: str = "keep"
    same_as: str = ""
    failures: int = 0
    fails_with: int = 0
    delay: float = 0.0
    endless: bool = False

    @property
    def etag(self) -> str:
        return dict(self.headers).get("ETag", "")


def made(
    path: str,
    kind: str,
    body: bytes,
    modified: str,
    *,
    content_type: str = "text/html; charset=utf-8",
    more: Headers = (),
    **rest,
) -> Page:
    """A page with status 200 and the headers that follow from its bytes: type, strong ETag, date of change."""
    etag = f'"{hashlib.sha1(body).hexdigest()[:16]}"'
    headers = (("Content-Type", content_type), ("ETag", etag), ("Last-Modified", modified), *more)
    return Page(path, kind, body, headers=headers, **rest)


def refused(path: str, kind: str, status: int, title: str, *, fate: str = "error", more: Headers = ()) -> Page:
    """A page without content of its own: an error, or a redirect when `more` holds a Location."""
    body = f"<!DOCTYPE html>\n<html><head><title>{status} {title}</title></head><body><h1>{title}</h1></body></html>\n"
    return Page(
        path,
        kind,
        body.encode(),
        status,
        (("Content-Type", "text/html; charset=utf-8"), *more),
        title,
        fate=fate,
    )
