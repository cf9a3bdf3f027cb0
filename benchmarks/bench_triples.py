"""From an encyclopedia's records to sorted triples: rate, memory, size, look-ups, and the same steps in pandas.

    python -m benchmarks.bench_triples [--triples 2000000] [--peer 300000] [--folder DIR]

Records are made by Zipf's law (benchmarks/made_records.py); 25 million triples take some ten minutes and 8 GB of disk.
The pandas version reads, cleans, splits, merges, sorts and writes the first `--peer` triples; its time is scaled
linearly, which flatters it. Memory is the largest sum of resident sizes of the process and its children, every 0.1 s.
A look-up is cold: the file is put out of the system's cache and opened anew.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from stages.core import machine

machine.prepare(2)  # before numpy is imported

import numpy as np  # noqa: E402

from benchmarks import made_records  # noqa: E402
from benchmarks.watched import run  # noqa: E402
from stages.core import params  # noqa: E402
from stages.corpora.triples import store, system  # noqa: E402

SHOWN = ["entity", "sense", "attribute", "value", "sources", "source_url"]  # what `qujing facts` shows


def settings() -> system.Triples:
    """The row of params/web.yaml."""
    rows = params.load(Path("params/web.yaml"))["systems"]
    return params.typed(system.Triples, rows["triples"]["train"], "systems.triples.train")


def plain(path: Path, triples: int, out: Path) -> int:
    """The same steps in pandas, all in memory: the peer. The number of triples read."""
    import json

    import pandas as pd

    given, rows = settings().cleaning, []
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            entry = json.loads(line)
            rows += [(entry["name"], name, value, entry["url"]) for name, value in entry["infobox"]]
            if len(rows) >= triples:
                break
    frame = pd.DataFrame(rows, columns=["entity", "attribute_raw", "value_raw", "url"])
    names = frame["attribute_raw"].str.normalize("NFKC").str.replace(r"\s+", " ", regex=True).str.strip(" :")
    value = frame["value_raw"].str.replace("\\[\\d+(?:-\\d+)?\\]|[\u200b-\u200f\ufeff\xa0]", "", regex=True)
    frame["value"] = value.str.replace(r"\s+", " ", regex=True).str.strip()
    frame["attribute"] = names.replace({other: first for first, *others in given.aliases for other in others})
    listed = frame["attribute"].isin(given.lists) & frame["value"].str.contains("[、；;]")
    frame["value"] = frame["value"].astype(object)
    frame.loc[listed, "value"] = frame.loc[listed, "value"].str.split("[、；;]")
    frame = frame.explode("value").astype({"value": "str"})
    frame = frame[(frame["value"] != "") & (frame["attribute"] != "")]
    folded = (
        frame["value"]
        .str.normalize("NFKC")
        .str.lower()
        .str.replace(r"[\s，。、；：！？…《》（）()\[\]]+", "", regex=True)
    )
    frame["folded"] = folded
    number = frame["value"].str.extract(r"^([+-]?\d+(?:\.\d+)?)[^\d年]{0,8}$")[0]
    frame["number"] = pd.to_numeric(number)
    date = frame["value"].str.extract(r"^(\d{3,4})年(?:(\d{1,2})月(?:(\d{1,2})日)?)?$")
    frame["date"] = date[0] + "-" + date[1].str.zfill(2) + "-" + date[2].str.zfill(2)
    frame = frame.sort_values(["entity", "attribute", "value", "url"])
    group = frame.groupby(["entity", "attribute", "folded"], sort=False)
    frame["sources"] = group["url"].transform("nunique")
    frame = frame[~frame.duplicated(["entity", "attribute", "folded"])]
    frame.drop(columns="folded").to_parquet(out, compression="zstd", index=False)
    return len(rows)


def forget(path: Path) -> None:
    """Put a file out of the system's cache."""
    with path.open("rb") as handle:
        os.fsync(handle.fileno())
        os.posix_fadvise(handle.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def look_up(path: Path, count: int, **names: str) -> tuple[float, float, int]:
    """Milliseconds (median, largest) of `count` cold look-ups of rows drawn at random, and rows found in all.

    `names`: which column of the drawn row is asked for under which argument of store.find.
    """
    import pyarrow.parquet as pq

    rng, took, found = np.random.default_rng(0), [], 0
    with pq.ParquetFile(path) as file:
        groups = rng.integers(0, file.metadata.num_row_groups, count)
        rows = [file.read_row_group(int(g), list(names.values())).slice(7, 1).to_pylist()[0] for g in groups]
    list(store.find(path, subject="warm"))  # imports and threads are not part of it
    for row in rows:
        forget(path)
        forget(store.index_of(path))
        begin = time.perf_counter()
        asked = {argument: row[column] for argument, column in names.items()}
        found += sum(table.num_rows for table in store.find(path, **asked, columns=SHOWN))
        took.append(1000 * (time.perf_counter() - begin))
    return float(np.median(took)), max(took), found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--triples", type=int, default=2_000_000)
    parser.add_argument("--peer", type=int, default=300_000, help="triples that the peer reads")
    parser.add_argument("--folder", type=Path, help="where the files lie while it runs (default: the system's)")
    parser.add_argument("--make", nargs=2, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        print(dict(system.make(options.make[0], settings(), options.make[1])))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
        source, table = Path(scratch) / "entries.jsonl", Path(scratch) / "triples.parquet"
        made, pages = made_records.entries(options.triples, source)
        print(f"{made:,} triples of {pages:,} entries, {source.stat().st_size / 1e9:.2f} GB of JSON lines", flush=True)
        begin = time.perf_counter()
        peer = plain(source, options.peer, Path(scratch) / "peer.parquet")
        rate = peer / (time.perf_counter() - begin)
        print(f"pandas: {peer:,} triples, {rate:,.0f} a second", flush=True)
        command = [sys.executable, "-m", "benchmarks.bench_triples", "--make", str(source), str(table)]
        seconds, peak, told = run(command, 0.1, subprocess.DEVNULL)
        kept = int(re.search(r"'triples': (\d+)", told)[1])
        sizes = [path.stat().st_size / 1e6 for path in (table, store.index_of(table))]
        print(f"here: {made:,} -> {kept:,} triples in {seconds:.1f} s, {made / seconds:,.0f} a second, ", end="")
        print(f"{made / seconds / rate:.1f} times pandas; peak {peak:.2f} GiB; ", end="")
        print(f"{sizes[0]:.0f} MB and {sizes[1]:.0f} MB of index", flush=True)
        for what, names in {
            "subject": {"subject": "entity"},
            "subject and attribute": {"subject": "entity", "attribute": "attribute"},
            "attribute and value": {"attribute": "attribute", "value": "value"},
        }.items():
            median, most, found = look_up(table, 30, **names)
            print(f"look-up by {what}, cold: median {median:.1f} ms, largest {most:.1f} ms ({found:,} rows in 30)")


if __name__ == "__main__":
    main()
