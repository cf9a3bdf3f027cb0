"""The graph as a picture: one column a phase, one box a row, a line where one reads what another made."""

from __future__ import annotations

from html import escape
from typing import Any

COLUMNS = (("crawl", "rounds", 0), ("preprocess", "corpora", 1), ("train", "systems", 2), ("evaluate", "systems", 3))
READS = {"crawl": ("after",), "preprocess": ("input",), "train": ("input", "against"), "evaluate": ("truth",)}
MAKES = {"crawl": "rounds", "preprocess": "data", "train": "models"}
WIDTH, HEIGHT, STEP, GAP, TOP = 190, 26, 38, 74, 44
COLOURS = {"crawl": "#c8553d", "preprocess": "#b8860b", "train": "#2f6f73", "evaluate": "#41518c", "report": "#555"}


def svg(values: dict[str, Any]) -> str:
    """The graph that the tables of params.yaml (`values`) describe, as an SVG document with text in system fonts."""
    at: dict[tuple[str, str], tuple[float, float]] = {}
    for phase, section, column in COLUMNS:
        for line, key in enumerate(values[section]):
            at[phase, key] = (10 + column * (WIDTH + GAP), TOP + line * STEP)
    tallest = max((y for _, y in at.values()), default=TOP)
    at["report", "report"] = (10 + 4 * (WIDTH + GAP), TOP)
    makers = {f"{MAKES[phase]}/{key}": (phase, key) for phase, key in at if phase in MAKES}
    lines, boxes = [], []
    for phase, section, _ in COLUMNS:
        for key, row in values[section].items():
            reads = [row.get(name, "") for name in READS[phase]]
            if phase == "evaluate":
                reads.append(f"models/{key}")
                lines.append(_line(at[phase, key], at["report", "report"], phase))
            lines += [_line(at[makers[path]], at[phase, key], makers[path][0]) for path in reads if path in makers]
    for (phase, key), (x, y) in at.items():
        boxes.append(
            f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="4" fill="#fff" stroke="{COLOURS[phase]}"/>'
            f'<text x="{x + WIDTH / 2}" y="{y + 17}" text-anchor="middle">{escape(key)}</text>'
        )
    heads = "".join(
        f'<text x="{10 + column * (WIDTH + GAP) + WIDTH / 2}" y="24" text-anchor="middle" font-weight="600" '
        f'fill="{COLOURS[name]}">{name}</text>'
        for column, name in enumerate(COLOURS)
    )
    width, height = 10 + 5 * WIDTH + 4 * GAP + 10, tallest + HEIGHT + 14
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="system-ui, sans-serif" font-size="13" fill="#222">'
        f'<rect width="100%" height="100%" fill="#fff"/>{heads}{"".join(lines)}{"".join(boxes)}</svg>\n'
    )


def _line(start: tuple[float, float], end: tuple[float, float], phase: str) -> str:
    """A curve from one box to another; within a column it runs round the right side."""
    (x0, y0), (x1, y1) = start, end
    middle = HEIGHT / 2
    if x0 == x1:
        bow = x0 + WIDTH + GAP / 3
        path = f"M{x0 + WIDTH},{y0 + middle} C{bow},{y0 + middle} {bow},{y1 + middle} {x1 + WIDTH},{y1 + middle}"
    else:
        half = (x0 + WIDTH + x1) / 2
        path = f"M{x0 + WIDTH},{y0 + middle} C{half},{y0 + middle} {half},{y1 + middle} {x1},{y1 + middle}"
    return f'<path d="{path}" fill="none" stroke="{COLOURS[phase]}" stroke-opacity="0.55" stroke-width="1.4"/>'
