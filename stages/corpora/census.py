"""A census of a crawl: what became of every address, from the request to the document.

Article: https://kexue.fm/archives/4385 (the crawler behind the 25 million triples). Held against a site whose truth
is known, it says whether a crawl is complete, obedient and free of repeats, and whether extraction keeps the text (in
its script or in simplified characters) and nothing but the text: F1 of character 4-grams, as multisets, between a
page's true text and its document's.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from stages.core import claims, tables
from stages.core.errors import Refusal
from stages.core.systems import Findings, Inputs
from stages.corpora.clean import simplified

ARCHIVE = 4385
GRAM = 4
EITHER = ("deep",)  # pages that a depth limit may leave out


@dataclass(frozen=True)
class Census:
    """Params of taking the census: none."""


@dataclass(frozen=True)
class Judge:
    """Params of judging it."""

    target_coverage: float
    target_extraction: float
    data: str  # what the claims call the data


def train(inputs: Inputs, params: Census, out: Path) -> Findings:
    """Join the manifest of the round `against` with the documents of `input` into `pages.parquet`, sorted by url."""
    import pyarrow as pa

    if inputs.input is None or inputs.against is None:
        raise Refusal("a census needs `input` (documents) and `against` (the round they come from)")
    manifest = tables.read(inputs.against / "manifest.parquet", ["url", "outcome", "reason", "status"]).to_pylist()
    texts = _column(inputs.input / "documents.parquet", "text")
    dropped = _column(inputs.input / "dropped.parquet", "reason")
    rows = [{**row, "dropped": dropped.get(row["url"], ""), "text": texts.get(row["url"])} for row in manifest]
    out.mkdir(parents=True)
    columns = tables.schema(
        url=(pa.string(), "address"),
        outcome=(pa.string(), "what came of it in the round"),
        reason=(pa.string(), "why"),
        status=(pa.int64(), "HTTP status"),
        dropped=(pa.string(), "why its document was dropped, empty where it was not"),
        text=(pa.string(), "text of its document, null where there is none"),
    )
    tables.write(pa.Table.from_pylist(rows, schema=columns), out / "pages.parquet", [("url", "ascending")])
    return Findings(metrics={"addresses": float(len(rows)), "documents": float(len(texts))})


def evaluate(model: Path, inputs: Inputs, params: Judge) -> Findings:
    """Hold a census against what is known of the site (`truth`: pages.parquet and forbidden.parquet)."""
    if inputs.truth is None:
        raise Refusal("a census is judged against a `truth` that lists the pages of the site")
    expected = {row["url"]: row for row in tables.read(inputs.truth / "pages.parquet").to_pylist()}
    forbidden = set(tables.read(inputs.truth / "forbidden.parquet").column("url").to_pylist())
    rows = tables.read(model / "pages.parquet").to_pylist()
    fetched = Counter(row["url"] for row in rows if row["outcome"] in ("fetched", "unchanged", "duplicate"))
    wanted = [url for url, page in expected.items() if page["fate"] == "keep"]
    right = {url for url, page in expected.items() if page["fate"] in EITHER} | set(wanted)
    documents = {row["url"]: row["text"] for row in rows if row["text"] is not None}
    scores = {
        url: max(
            similarity(expected[url]["text"], expected[url]["aside"], documents[url]),
            similarity(simplified(expected[url]["text"]), simplified(expected[url]["aside"]), documents[url]),
        )
        for url in wanted
        if url in documents
    }
    asked = [row for row in rows if row["url"] in forbidden and row["outcome"] != "refused"]
    metrics = {
        "coverage": fmean(fetched[url] == 1 for url in wanted),
        "repeated": float(sum(count - 1 for count in fetched.values())),
        "forbidden_requested": float(len(asked)),
        "documents_recall": fmean(url in documents for url in wanted),
        "documents_precision": fmean(url in right for url in documents),
        "extraction_f1": fmean(scores.values()) if scores else 0.0,
        "extraction_worst": min(scores.values(), default=0.0),
    }
    return Findings(
        metrics, _claims(metrics, params), {"worst_pages": _worst(scores), "misjudged": _misjudged(expected, rows)}
    )


def similarity(text: str, aside: str, found: str) -> float:
    """F1 of the character 4-grams (a multiset; letters and digits alone) of `text` and of what was `found`.

    What stands in `aside` (title, infobox, tags) may be found or left out.
    """
    true, beside, got = (_grams("".join(filter(str.isalnum, part))) for part in (text, aside, found))
    if not true or not got:
        return float(true == got)
    recall = (true & got).total() / true.total()
    precision = ((true + beside) & got).total() / got.total()
    return 2 * recall * precision / (recall + precision) if recall else 0.0


def _grams(text: str) -> Counter[str]:
    return Counter(text[i : i + GRAM] for i in range(len(text) - GRAM + 1))


def _claims(metrics: dict[str, float], params: Judge) -> list[claims.Claim]:
    def held(name: str, claim: str, how: str, target: float, direction: claims.Direction) -> claims.Claim:
        return claims.check(ARCHIVE, claim, how, metrics[name], target, direction, params.data)

    return [
        held(
            "coverage",
            "every page that may be fetched is in the round exactly once",
            "share of the site's documents that the manifest holds once",
            params.target_coverage,
            "at least",
        ),
        held(
            "forbidden_requested",
            "no page that robots.txt forbids is requested",
            "forbidden addresses in the manifest that were not refused",
            0.0,
            "equal",
        ),
        held(
            "extraction_f1",
            "extraction keeps the text of a page and nothing else",
            "mean F1 of character 4-grams against the true text",
            params.target_extraction,
            "at least",
        ),
    ]


def _worst(scores: dict[str, float]):
    import pyarrow as pa

    least = sorted(scores.items(), key=lambda pair: (pair[1], pair[0]))[:10]
    return pa.table({"url": [url for url, _ in least], "f1": [round(score, 4) for _, score in least]})


def _misjudged(expected: dict[str, dict[str, Any]], rows: list[dict[str, Any]]):
    """Pages that should be documents and are not, or are and should not be."""
    import pyarrow as pa

    wrong = [
        {"url": row["url"], "should_be": page["fate"], "outcome": row["outcome"], "dropped": row["dropped"]}
        for row in rows
        if (page := expected.get(row["url"])) and page["fate"] not in EITHER
        if (page["fate"] == "keep") != (row["text"] is not None)
    ]
    columns = pa.schema([(name, pa.string()) for name in ("url", "should_be", "outcome", "dropped")])
    return pa.Table.from_pylist(wrong, schema=columns)


def _column(path: Path, name: str) -> dict[str, str]:
    table = tables.read(path, ["url", name])
    return dict(zip(table.column("url").to_pylist(), table.column(name).to_pylist(), strict=True))
