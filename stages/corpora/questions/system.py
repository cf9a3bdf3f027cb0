"""A corpus of questions with tags: from pages or records, filtered, without repeats, split, sorted by id.

Article: https://kexue.fm/archives/5067 (ten million questions of Baidu Zhidao as {url, question, tags}). Ten million
do not fit into memory: clean rows go to disk as sorted runs, and what repeats is known by hashes alone.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stages.core import claims, tables
from stages.core.errors import Refusal
from stages.core.progress import counting
from stages.core.systems import Findings, Inputs
from stages.corpora.ahead import ahead
from stages.corpora.columns import folded, hashes
from stages.corpora.figures import by_rank
from stages.corpora.near import Near
from stages.corpora.questions import clean, figures, repeats, sources
from stages.corpora.questions.clean import Filters
from stages.corpora.runs import Runs

if TYPE_CHECKING:
    import pyarrow as pa

ARCHIVE = 5067
RANGE = 50_000  # rows in memory at a time


@dataclass(frozen=True)
class Questions:
    """Params of making a corpus of questions."""

    kinds: tuple[str, ...]  # parsers of pages, asked in this order
    filters: Filters
    repeats: bool  # leave out repeated questions
    near_repeats: bool  # and nearly repeated ones: not for more than some millions, which take too much memory
    near: Near
    split: dict[str, int]  # part -> per cent


@dataclass(frozen=True)
class Judge:
    """Params of judging one."""

    target_precision: float
    target_recall: float
    top: int  # tags to show
    data: str  # what the claims call the data


def schema() -> pa.Schema:
    """The columns of a table of questions."""
    import pyarrow as pa

    text = pa.string()
    return tables.schema(
        qid=(text, "id: the digits of the address, else h and a hash of address or question"),
        url=(text, "address, empty where there is none"),
        question=(text, "the question, on one line"),
        tags=(pa.list_(text), "tags in the order of the page, each once"),
        source=(text, "file it comes from, or web"),
        fetched_at=(text, "when the page was fetched, empty where nobody knows"),
        split=(text, "part of the corpus, by the hash of qid"),
    )


def train(inputs: Inputs, params: Questions, out: Path) -> Findings:
    """Read the pages or records of `input` and write `questions.parquet` into `out`."""
    if inputs.input is None:
        raise Refusal("questions need an `input`: a round of pages, or files of pages or records")
    out.mkdir(parents=True)
    counts = make(inputs.input, params, out / "questions.parquet")
    return Findings(metrics={name.replace(" ", "_"): float(count) for name, count in sorted(counts.items())})


def make(source: Path, params: Questions, path: Path) -> Counter[str]:
    """Questions from `source` into the table at `path`; how many there were, stay, and went for which reason."""
    import numpy as np
    import pyarrow as pa

    if sum(params.split.values()) != clean.PARTS:
        raise Refusal(f"params.yaml: split is {params.split}, but its per cents must sum to {clean.PARTS}")
    counts: Counter[str] = Counter(read=0)
    path.parent.mkdir(parents=True, exist_ok=True)
    ids, texts = [np.empty(0, np.uint64)], [np.empty(0, np.uint64)]
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".runs-") as held:
        runs = Runs(Path(held), "qid")
        with counting("questions", unit="records") as advance:
            for raw in ahead(sources.read(source, params.kinds)):
                counts["read"] += raw.num_rows
                table = clean.cleaned(raw, params.filters, counts)
                ids.append(hashes(table["qid"]))
                texts.append(table["same"].to_numpy())
                runs.add(table)
                advance(raw.num_rows)
        kept = None
        pa.default_memory_pool().release_unused()
        if params.repeats:
            kept, counts["repeated id"], counts["repeated question"] = repeats.survivors(_joined(ids), _joined(texts))
        near = _near(runs, kept, params.near) if params.near_repeats else None
        counts["nearly repeated"] = 0 if near is None else int(near.sum())
        with tables.writer(path, schema()) as out:
            done = 0
            for table in _chosen(runs, kept):
                if near is not None:
                    part = near[done : done + table.num_rows]
                    done += table.num_rows
                    table = table.filter(~part)
                out.write_table(_finished(table, params.split), row_group_size=1 << 16)
                counts["kept"] += table.num_rows
    return counts


def _joined(arrays: list):
    """The arrays as one; the list is emptied, so that only one copy stays."""
    import numpy as np

    whole = np.concatenate(arrays)
    arrays.clear()
    return whole


def _chosen(runs: Runs, kept):
    """The rows that stay, in the order of their ids; all of them where `kept` is None."""
    import pyarrow as pa

    for table in runs.ranges(RANGE):
        table = table.sort_by([(name, "ascending") for name in ("qid", "question", "url", "source", "fetched_at")])
        if kept is not None:
            pairs = repeats.pair(hashes(table["qid"]), table["same"].to_numpy())
            table = table.filter(pa.array(repeats.stays(kept, pairs)))
        yield table


def _near(runs: Runs, kept, params: Near):
    import pyarrow as pa

    texts = [folded(table["question"].combine_chunks()) for table in _chosen(runs, kept)]
    return repeats.near_repeats(pa.chunked_array(texts, pa.string()).combine_chunks(), params)


def _finished(table: pa.Table, split: dict[str, int]) -> pa.Table:
    part = clean.parts(table["qid"].combine_chunks(), split)
    return table.append_column("split", part).select(schema().names).cast(schema())


def evaluate(model: Path, inputs: Inputs, params: Judge) -> Findings:
    """Count what a corpus holds and, where `truth` has questions.parquet, hold it against that."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    path = model / "questions.parquet"
    tags: Counter[str] = Counter()
    split: Counter[str] = Counter()
    sizes = np.zeros(1, dtype=np.int64)
    for batch in tables.batches(path, ["tags", "split"]):
        for counter, column in ((tags, pc.list_flatten(batch["tags"])), (split, batch["split"])):
            for one in column.value_counts().to_pylist():
                counter[one["values"]] += one["counts"]
        here = np.bincount(pc.list_value_length(batch["tags"]).to_numpy(zero_copy_only=False))
        sizes = np.pad(sizes, (0, max(0, here.size - sizes.size)))
        sizes[: here.size] += here
    listed = sorted(tags.items(), key=lambda one: (-one[1], one[0]))
    number = max(1, int(sizes.sum()))
    metrics = {
        "questions": float(sizes.sum()),
        "tags": float(len(tags)),
        "tags_per_question": float((sizes * np.arange(sizes.size)).sum() / number),
        **{f"part_{name}": float(count) for name, count in sorted(split.items())},
    }
    shown = {
        "tags_per_question": figures.tags_per_question(sizes),
        "questions_per_tag": by_rank(np.array([count for _, count in listed] or [0]), "tag", "questions", "C1"),
    }
    found = {"tags": pa.table({"tag": [t for t, _ in listed[: params.top]], "n": [c for _, c in listed[: params.top]]})}
    held: list[claims.Claim] = []
    if inputs.truth is not None and (inputs.truth / "questions.parquet").exists():
        scores, found["misjudged"] = judged(path, inputs.truth / "questions.parquet")
        metrics |= scores
        held = [
            claims.check(
                ARCHIVE,
                f"{what} of the questions of the pages",
                f"{what} of (url, question, tags) against those planted, malformed pages included",
                scores[what],
                target,
                "at least",
                params.data,
            )
            for what, target in (("precision", params.target_precision), ("recall", params.target_recall))
        ]
    return Findings(metrics, held, found, shown)


def judged(path: Path, truth: Path) -> tuple[dict[str, float], pa.Table]:
    """Precision and recall of (url, question, tags in order), and where the corpus errs."""
    import pyarrow as pa

    def rows(where: Path) -> set[tuple[str, str, str]]:
        listed = tables.read(where, ["url", "question", "tags"]).to_pylist()
        return {(row["url"], row["question"], " ".join(row["tags"])) for row in listed}

    expected, found = rows(truth), rows(path)
    right = len(expected & found)
    scores = {"precision": right / len(found) if found else 0.0, "recall": right / len(expected) if expected else 0.0}
    names = ("error", "url", "question", "tags")
    errors = [
        dict(zip(names, (what, *row), strict=True))
        for what, rows_ in (("missing", expected - found), ("wrong", found - expected))
        for row in sorted(rows_)
    ]
    return scores, pa.Table.from_pylist(errors, schema=pa.schema([(name, pa.string()) for name in names]))
