"""Pages a second of one core: the boxes and questions of HTML by this project, by plain lxml, by BeautifulSoup.

    python -m benchmarks.bench_pages [--boxes FILE.tar.xz] [--questions FOLDER] [--rounds 3]

Pages are those of the embedded site, or saved ones. All three take the bytes, find the charset in the same way and give
(title, pairs of name and value) or (question, tags). The peers do the least that can do it, for the shapes that these
pages have; this project asks its parsers for every shape it knows.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

from stages.core import machine

machine.prepare(1)

from stages.corpora import readers  # noqa: E402
from stages.corpora.charset import decode  # noqa: E402
from stages.corpora.embedded.facts import KINDS  # noqa: E402
from stages.corpora.embedded.site import build  # noqa: E402
from stages.corpora.markup import Page  # noqa: E402
from stages.corpora.questions import pages as questions  # noqa: E402
from stages.corpora.triples import pages as triples  # noqa: E402


def boxes_here(payload: bytes) -> int:
    """The number of pairs in the page's box."""
    box = triples.box(Page.of(payload), tuple(triples.PARSERS))
    return len(box.pairs) if box else 0


def boxes_lxml(payload: bytes) -> int:
    """The same by lxml and XPath."""
    from lxml import html

    tree = html.fromstring(decode(payload)[0])
    names = tree.xpath("//dl//dt | //table[contains(@class, 'infobox')]//th | //td/strong")
    values = tree.xpath("//dl//dd | //table[contains(@class, 'infobox')]//td | //td/span")
    pairs = [(a.text_content().strip(), b.text_content().strip()) for a, b in zip(names, values, strict=False)]
    return len(pairs) if tree.xpath("string(//h1)").strip() else 0


def boxes_soup(payload: bytes) -> int:
    """The same by BeautifulSoup on lxml's parser."""
    from bs4 import BeautifulSoup

    tree = BeautifulSoup(decode(payload)[0], "lxml")
    names = tree.select("dl dt, table.infobox th, td > strong")
    values = tree.select("dl dd, table.infobox td, td > span")
    pairs = [(a.get_text(strip=True), b.get_text(strip=True)) for a, b in zip(names, values, strict=False)]
    return len(pairs) if tree.h1 and tree.h1.get_text(strip=True) else 0


def questions_here(payload: bytes) -> int:
    """The number of questions and their tags."""
    return sum(1 + len(one.tags) for one in questions.asked(Page.of(payload), tuple(questions.PARSERS)))


def questions_lxml(payload: bytes) -> int:
    """The same by lxml and XPath."""
    from lxml import html

    tree = html.fromstring(decode(payload)[0])
    title, canonical = tree.xpath("string(//title)").strip(), tree.xpath("//link[@rel='canonical']/@href")
    tags = tree.xpath("//meta[@name='keywords']/@content") or tree.xpath("//li[@class='tag']/text()")
    return (1 + len(",".join(tags).split(","))) if title and (canonical or tags) else 0


def questions_soup(payload: bytes) -> int:
    """The same by BeautifulSoup on lxml's parser."""
    from bs4 import BeautifulSoup

    tree = BeautifulSoup(decode(payload)[0], "lxml")
    title, canonical = tree.title and tree.title.get_text(strip=True), tree.find("link", rel="canonical")
    keywords = tree.find("meta", attrs={"name": "keywords"})
    tags = [keywords["content"]] if keywords else [tag.get_text(strip=True) for tag in tree.select("li.tag")]
    return (1 + len(",".join(tags).split(","))) if title and (canonical or tags) else 0


def rate(pages: list[bytes], count: Callable[[bytes], int], rounds: int) -> tuple[float, int]:
    """Pages a second of processor time, the best of some rounds, and what was found in all."""
    best, found = 0.0, 0
    for _ in range(rounds):
        begin = time.process_time()
        found = sum(map(count, pages))
        best = max(best, len(pages) / (time.process_time() - begin))
    return best, found


def compare(what: str, pages: list[bytes], ways: tuple[Callable[[bytes], int], ...], rounds: int) -> None:
    """Print the rates of the three ways on the same pages."""
    (ours, _), *peers = found = [rate(pages, way, rounds) for way in ways]
    size = sum(map(len, pages)) / len(pages) / 1000
    names = ("here", "lxml", "BeautifulSoup")
    told = ", ".join(f"{name} {value:,.0f} ({n})" for name, (value, n) in zip(names, found, strict=True))
    print(f"{what}, {len(pages)} pages of {size:.0f} kB; pages a second of one core (things found): {told}")
    print(f"  {ours / peers[0][0]:.1f} times lxml, {ours / peers[1][0]:.1f} times BeautifulSoup", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--boxes", type=Path, help="saved pages of an encyclopedia instead of the embedded site")
    parser.add_argument("--questions", type=Path, help="saved question pages instead of the embedded site")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    ways = (boxes_here, boxes_lxml, boxes_soup), (questions_here, questions_lxml, questions_soup)
    compare("boxes", given(options.boxes, *KINDS), ways[0], options.rounds)
    compare("questions", given(options.questions, "question"), ways[1], options.rounds)


def given(path: Path | None, *kinds: str) -> list[bytes]:
    """The pages at `path`, or those of the embedded site of the given kinds."""
    if path is not None:
        return [raw.payload for raw in readers.read(path, readers.Reading("file", (), ())) if raw.payload]
    return [page.body for page in build(2).values() if page.kind in kinds and page.fate == "keep"]


if __name__ == "__main__":
    main()
