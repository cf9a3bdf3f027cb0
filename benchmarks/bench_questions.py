"""From one huge JSON array of questions to a filtered table without repeats: rate, memory, size, and pandas.

    python -m benchmarks.bench_questions [--records 500000] [--peer 200000] [--folder DIR]

Records are made by Zipf's law (benchmarks/made_records.py); ten million take some ten minutes and 5 GB of disk. The
pandas version reads the first `--peer` records with json.load, which is what a corpus as one array invites, and takes
the same steps; its time is scaled linearly. Memory is the largest sum of resident sizes of the process and its
children, every 0.1 s.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from stages.core import machine

machine.prepare(2)  # before numpy is imported

from benchmarks import made_records  # noqa: E402
from benchmarks.watched import run  # noqa: E402
from stages.core import params  # noqa: E402
from stages.corpora.questions import system  # noqa: E402


def settings() -> system.Questions:
    """The row of params.yaml: without near repeats."""
    rows = params.load()["systems"]
    return params.typed(system.Questions, rows["questions"]["train"], "systems.questions.train")


def plain(path: Path, out: Path) -> int:
    """The same steps in pandas, all in memory: the peer. The number of records read."""
    import pandas as pd

    with path.open(encoding="utf-8") as stream:
        frame = pd.DataFrame(json.load(stream))
    read, filters = len(frame), settings().filters
    question = frame["question"].str.replace(r"\s*[\n\r\t]+\s*", " ", regex=True)
    question = question.str.replace(r"(^|\D)1[3-9]\d{9}(\D|$)", r"\1[电话]\2", regex=True)
    question = question.str.replace(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+", "[邮箱]", regex=True)
    frame["question"] = question
    frame["qid"] = frame["url"].str.extract(r"(\d+)\.html")[0]
    length, han = question.str.len(), question.str.count("[\u3400-\u9fff]")
    keep = (length >= filters.shortest) & (length <= filters.longest) & (han >= filters.han * length)
    for pattern in filters.spam:
        keep &= ~question.str.contains(pattern, regex=True)
    frame = frame[keep].sort_values("qid").drop_duplicates("qid")
    folded = frame["question"].str.normalize("NFKC").str.lower()
    frame["folded"] = folded.str.replace(r"[\s，。、；：！？,.;:!?…《》（）()]+", "", regex=True)
    frame = frame.drop_duplicates("folded").drop(columns="folded")
    part = pd.util.hash_pandas_object(frame["qid"], index=False) % 100
    frame["split"] = part.map(lambda number: "train" if number < 98 else "valid" if number == 98 else "test")
    frame.to_parquet(out, compression="zstd", index=False)
    return read


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--records", type=int, default=500_000)
    parser.add_argument("--peer", type=int, default=200_000, help="records that the peer reads")
    parser.add_argument("--folder", type=Path, help="where the files lie while it runs (default: the system's)")
    parser.add_argument("--make", nargs=2, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        print(dict(system.make(options.make[0], settings(), options.make[1])))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
        source, few, table = (Path(scratch) / name for name in ("all.json", "few.json", "questions.parquet"))
        made_records.questions(options.records, source)
        made_records.questions(options.peer, few)
        print(f"{options.records:,} records, {source.stat().st_size / 1e9:.2f} GB of JSON", flush=True)
        begin = time.perf_counter()
        rate = plain(few, Path(scratch) / "peer.parquet") / (time.perf_counter() - begin)
        print(f"pandas: {options.peer:,} records, {rate:,.0f} a second", flush=True)
        command = [sys.executable, "-m", "benchmarks.bench_questions", "--make", str(source), str(table)]
        seconds, peak, told = run(command, 0.1, subprocess.DEVNULL)
        kept = int(re.search(r"'kept': (\d+)", told)[1])
        print(
            f"here: {options.records:,} -> {kept:,} records in {seconds:.1f} s, {options.records / seconds:,.0f} ",
            end="",
        )
        print(f"a second, {options.records / seconds / rate:.1f} times pandas; peak {peak:.2f} GiB; ", end="")
        print(f"{table.stat().st_size / 1e6:.0f} MB\n{told.strip()}")


if __name__ == "__main__":
    main()
