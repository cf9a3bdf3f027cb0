"""Boxes of MediaWiki's HTML: rows of <th>name</th><td>value</td> in table.infobox, several boxes, nested tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stages.corpora.markup import Page
from stages.corpora.triples.markup import Box, Pair, heading, parted, text

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

TABLES = "table.infobox, table[class*='infobox'], .infobox table"


def box(page: Page) -> Box | None:
    """All boxes of the page as one; None where it has none."""
    if "infobox" not in page.source:
        return None
    rows = {row.mem_id: row for table in page.tree.css(TABLES) for row in table.css("tr")}
    if not rows:
        return None
    # inner rows first: once said, a nested table with pairs of its own is taken out of the cell around it
    found: list[tuple[int, Pair]] = []
    for place, row in reversed(list(enumerate(rows.values()))):
        if pair := _pair(row):
            found.append((place, pair))
            row.decompose()
    title, sense = parted(heading(page, "#firstHeading"), "()")
    if not sense:
        title, sense = parted(title, "（）")
    return Box(title, sense, tuple(pair for _, pair in sorted(found)))


def _pair(row: LexborNode) -> Pair | None:
    """Name and value of a row: one header and its cells, or two cells of which the first is marked as a label."""
    cells = [cell for cell in row.iter() if cell.tag in ("th", "td")]
    if len(cells) < 2:
        return None
    name, *values = cells
    label = name.tag == "th" or "label" in (name.attributes.get("class") or "") or _bold(name)
    if not label or any(cell.tag == "th" for cell in values):
        return None
    return text(name).rstrip("：: "), "\n".join(filter(None, map(text, values)))


def _bold(cell: LexborNode) -> bool:
    return any(child.tag in ("b", "strong") for child in cell.iter())
