"""Addresses of pages: one canonical form for each, and which of them lead into private networks."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

LONGEST = 2000  # characters; what is longer comes from a trap

# Names of query parameters that say who is asking or whence, never what is asked for.
PASSING = re.compile(r"(utm_\w+|gclid|fbclid|spm|jsessionid|phpsessid|aspsessionid\w*|session|session_?id|sid)", re.I)
PATH_SESSION = re.compile(r";jsessionid=[^/;?#]*", re.I)
PORTS = {"http": 80, "https": 443}


def canonical(url: str) -> str:
    """The one form of an http(s) address: no fragment, default port, session or campaign parameter, sorted query.

    Percent-encoding is made uniform and an international host name becomes ASCII. Raises ValueError for what is not
    an http(s) address, and for one of more than `LONGEST` characters.
    """
    from w3lib.url import canonicalize_url

    if len(url) > LONGEST:
        raise ValueError("address too long")
    parts = urlsplit(url.strip())
    if parts.scheme not in PORTS or not parts.hostname:
        raise ValueError(f"not an http address: {url}")
    path = PATH_SESSION.sub("", parts.path) or "/"
    if "/." in path and not path.startswith("//"):
        path = urlsplit(urljoin("http://host/", path)).path
    pairs = (pair for pair in parts.query.split("&") if pair)
    query = "&".join(pair for pair in pairs if not PASSING.fullmatch(unquote(pair.partition("=")[0])))
    return canonicalize_url(urlunsplit((parts.scheme, netloc(url), path, query, "")))


def netloc(url: str) -> str:
    """Host of an address, with its port where that is not the scheme's own: `example.org`, `127.0.0.1:8000`."""
    parts = urlsplit(url.strip())
    host = (parts.hostname or "").rstrip(".")
    if ":" in host:
        host = f"[{host}]"
    elif not host.isascii():
        host = host.encode("idna").decode("ascii")
    return host if parts.port in (None, PORTS.get(parts.scheme)) else f"{host}:{parts.port}"


def origin(url: str) -> str:
    """Scheme, host and port: what one robots.txt speaks for."""
    return f"{urlsplit(url).scheme}://{netloc(url)}"


def private(host: str) -> bool:
    """Whether a host (a name or a literal address, no port) is loopback, private, link-local or otherwise not public.

    Of names only `localhost` is known here; what other names lead to is checked when they are resolved.
    """
    try:
        address = ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address.sixtofour or address
    return not address.is_global or address.is_multicast
