"""CLUE's tasks from its files: the zip archives of CLUE, those of FewCLUE, files of the sources, compressed or not.

A part is named by its files, ARCHIVE/MEMBER for one in an archive ("tnews_public.zip/train.json"); answers of CHID are
found beside their texts. Without a dev part a share of the training part is held out: by what a record reads, so that
records of one passage stay together.
"""

from __future__ import annotations

import json
import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from stages.core.errors import Refusal, one_line
from stages.core.systems import Findings
from stages.corpora.clue.layout import LIST, PARTS, SQUAD, save
from stages.corpora.clue.made import MADE
from stages.corpora.readers import open_bytes
from stages.corpora.segmentation import find


@dataclass(frozen=True)
class Source:
    """The files of a task; of no dev part a share of the training part, of no test part none."""

    task: str
    train: tuple[str, ...]
    dev: tuple[str, ...]
    test: tuple[str, ...]


@dataclass(frozen=True)
class Files:
    """Params of the data set."""

    held: float  # share of the training part that is the dev part where a task has none
    tasks: tuple[Source, ...]


def files(source: Path | None, params: Files, out: Path) -> Findings:
    """Write the tasks found in the folder `source` to `out`; counts are what was found out.

    Raises `Refusal` for a task that CLUE has not, and where a file is missing or not in the format of its task.
    """
    if source is None:
        raise Refusal("params.yaml: a corpus of kind clue needs an `input`: the folder of CLUE's files")
    counts: dict[str, float] = {}
    for one in params.tasks:
        if one.task not in MADE:
            raise Refusal(f"params.yaml: CLUE has no task '{one.task}'; tasks: {', '.join(MADE)}")
        parts, answers = {}, {}
        for part, names in zip(PARTS, (one.train, one.dev, one.test), strict=True):
            parts[part] = [record for name in names for record in records(one.task, name, content(source, name))]
            answers[part] = (
                {k: v for name in names for k, v in beside(source, name).items()} if one.task == "chid" else {}
            )
        if not one.dev:
            parts |= split(parts["train"], params.held)
            answers["dev"] = answers["train"]
        for part, held in parts.items():
            if held:
                save(out, one.task, part, held, answers[part])
                counts[f"{one.task}_{part}"] = float(len(held))
    return Findings(metrics=counts)


def split(train: list[Any], held: float) -> dict[str, list[Any]]:
    """The records in a train and a dev part, by a number of their text; what has no share is refused."""
    if not 0 < held < 1:
        raise Refusal(f"params.yaml: held of clue is {held}: it must lie within 0..1 where a task names no dev files")
    parts: dict[str, list[Any]] = {"train": [], "dev": []}
    for record in train:
        text = record["context"] if isinstance(record, dict) and "context" in record else record
        number = zlib.crc32(json.dumps(text, ensure_ascii=False, sort_keys=True).encode())
        parts["dev" if number % 10_000 < 10_000 * held else "train"].append(record)
    return parts


def records(task: str, name: str, held: bytes) -> list[Any]:
    """The records of a file: lines (parted at \\n only), texts with their questions, or paragraphs with theirs."""
    try:
        text = held.decode("utf-8-sig")
        if task in LIST:
            return list(json.loads(text))
        if task in SQUAD:
            return [paragraph for article in json.loads(text)["data"] for paragraph in article["paragraphs"]]
        return [json.loads(line) for line in text.split("\n") if line.strip()]
    except (ValueError, KeyError, TypeError) as error:
        raise Refusal(f"{name} is not in the format of {task}: {one_line(error)}") from error


def content(folder: Path, name: str) -> bytes:
    """The bytes of a file, or of a member of an archive; raises `Refusal` where there is none."""
    for archive in PurePosixPath(name).parents:
        if archive.name.endswith((".zip", ".tar.xz", ".tar.gz", ".tgz", ".tar")):
            return _member(find(folder, archive.name), str(PurePosixPath(name).relative_to(archive)))
    with open_bytes(find(folder, PurePosixPath(name).name)) as stream:
        return stream.read()


def beside(folder: Path, name: str) -> dict[str, int]:
    """The answers of CHID that stand beside a file of its texts, {} where they are in the file itself."""
    path = PurePosixPath(name)
    try:
        return json.loads(content(folder, str(path.with_name(path.name.replace(".json", "_answer.json")))))
    except Refusal:
        return {}


def _member(archive: Path, name: str) -> bytes:
    """A member by its path, or the end of it."""
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as held:
            return held.read(_named(archive, held.namelist(), name))
    with tarfile.open(archive) as held:
        stream = held.extractfile(_named(archive, held.getnames(), name))
        return stream.read() if stream else b""


def _named(archive: Path, names: list[str], wanted: str) -> str:
    found = [name for name in sorted(names, key=len) if f"/{name}".endswith(f"/{wanted}")]
    if not found:
        raise Refusal(f"{archive} holds no '{wanted}': mend the name in params.yaml")
    return found[0]
