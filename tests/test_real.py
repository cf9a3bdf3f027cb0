"""Checks on real data: the rows of params/web.yaml, run on the folder that QUJING_MIRROR names."""

from __future__ import annotations

import functools
import http.server
import os
import shutil
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import repository
import yaml

from stages import run
from stages.core import tables
from stages.core.systems import Findings, Inputs

ROOT = Path(__file__).parents[1]
WEB = yaml.safe_load((ROOT / "params/web.yaml").read_text(encoding="utf-8"))
MIRROR = Path(os.environ.get("QUJING_MIRROR") or ROOT.parent / "shared/data").resolve()

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not MIRROR.is_dir(), reason="QUJING_MIRROR names no folder of real data"),
]


@pytest.fixture(scope="module", autouse=True)
def mirror() -> Iterator[None]:
    patch = pytest.MonkeyPatch()
    patch.setenv("QUJING_MIRROR", str(MIRROR))
    yield
    patch.undo()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rounds `texts` and `pku` of params/web.yaml, and their data sets."""
    folder = tmp_path_factory.mktemp("real")
    for key in ("texts", "pku"):
        row = run.read(WEB, "crawl", key)
        row.function(None, row.settings, folder / "rounds" / key, folder / "spool")
        row = run.read(WEB, "preprocess", key)
        row.function(folder / row.values["input"], row.settings, folder / "data" / key)
    return folder


@functools.cache
def words(data: Path, key: str) -> Findings:
    """Train and evaluate the row `key`; its evaluation."""
    trained = run.read(WEB, "train", key)
    trained.function(Inputs(input=data / "data/texts"), trained.settings, data / "models" / key)
    judged = run.read(WEB, "evaluate", key)
    return judged.function(data / "models" / key, Inputs(truth=data / "data/pku"), judged.settings)


def test_the_corpus_is_what_it_should_be(data):
    documents = tables.read(data / "data/texts/documents.parquet", ["text", "language"])
    assert documents.num_rows > 100_000
    assert documents["language"].to_pylist().count("zh") > 0.98 * documents.num_rows
    dropped = tables.read(data / "data/texts/dropped.parquet")["reason"].to_pylist()
    assert {"duplicate", "near duplicate", "short"} <= set(dropped)


@pytest.mark.parametrize(("key", "least"), [("new_words", 0.78), ("new_words_plain", 0.765)])
def test_discovered_words_segment_the_pku_test(data, key, least):
    assert words(data, key).metrics["f1"] >= least


def test_the_short_cut_through_kenlm_costs_three_points_on_a_corpus_of_13_million_characters(data, tmp_path):
    whole = tables.read(data / "data/texts/documents.parquet")
    tables.write(whole.filter(pa.array(np.arange(whole.num_rows) % 3 == 0)), tmp_path / "documents.parquet")
    judged, f1 = run.read(WEB, "evaluate", "new_words_plain"), {}
    for key in ("new_words_plain", "new_words_kenlm"):
        row = run.read(WEB, "train", key)
        row.function(Inputs(input=tmp_path), replace(row.settings, max_length=16), tmp_path / key)
        f1[key] = judged.function(tmp_path / key, Inputs(truth=data / "data/pku"), judged.settings).metrics["f1"]
    assert f1["new_words_plain"] - f1["new_words_kenlm"] >= 0.03, f1


def test_the_debian_reference_is_crawled_extracted_and_mined(tmp_path):
    """One site, one corpus and one system in params.yaml; the pages are served by Python's own web server."""
    site = tmp_path / "site"
    with tarfile.open(MIRROR / "html_docs/debian_reference_zh_cn_html.tar.xz") as archive:
        archive.extractall(site, filter="data")
    pages = sorted(path.relative_to(site).as_posix() for path in site.rglob("*.html"))
    handler = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        folder = tmp_path / "qujing"
        folder.mkdir()
        repository.build(folder)
        start = next(page for page in pages if "index" in page or "pr01" in page)
        (folder / "params.yaml").write_text(yaml.safe_dump(debian(server.server_port, start), sort_keys=False))
        repository.reproduced(folder, QUJING_TRACKING="off")
        server.shutdown()
    manifest = tables.read(folder / "rounds/debian/manifest.parquet").to_pylist()
    fetched = {row["url"].split("/", 3)[3] for row in manifest if row["outcome"] == "fetched"}
    assert set(pages) <= fetched
    top = tables.read(folder / "models/words/words.parquet")["word"].to_pylist()
    terms = [word for word in top if len(word) > 1 and not word.isascii()][:100]
    assert (
        len({"软件包", "系统", "文件", "命令", "用户", "配置", "安装", "内核", "服务器", "脚本"} & set(terms)) >= 8
    ), terms


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Python's file server without its log."""

    def log_message(self, *_: object) -> None:
        pass


def debian(port: int, start: str) -> dict:
    """params.yaml with the Debian reference on a port of this machine."""
    base = f"http://127.0.0.1:{port}/"
    crawl = {**WEB["rounds"]["debian_reference_1"]["crawl"], "delay_seconds": 0, "autothrottle": False}
    crawl["site"] = {
        **crawl["site"],
        "start": [base + start],
        "hosts": [f"127.0.0.1:{port}"],
        "allow": [],
        "local": True,
    }
    words = {**WEB["systems"]["debian_words"], "input": "data/debian", "truth": "data/gold"}
    given = {"kind": "site_truth", "input": "code/none", "preprocess": {"edition": 1}}
    return {
        "run": WEB["run"],
        "rounds": {"debian": {"kind": "crawl", "after": "code/none", "crawl": crawl}},
        "corpora": {"debian": {**WEB["corpora"]["debian_reference"], "input": "rounds/debian"}, "gold": given},
        "systems": {"words": words},
    }


def test_the_command_finds_words_and_scores_them_on_another_standard(tmp_path):
    """`qujing words` on a novel, `qujing score` on a treebank in CoNLL-U."""
    novel = next(MIRROR.rglob("hongloumeng.txt.xz"))
    shutil.copy(novel, tmp_path)
    command = [sys.executable, "-m", "stages.cli"]
    run_in = functools.partial(subprocess.run, cwd=tmp_path, capture_output=True, text=True, check=True)
    run_in([*command, "words", novel.name, "--top", "3000", "-o", "words.csv", "--model", "model"])
    found = [line.split(",")[0] for line in (tmp_path / "words.csv").read_text().splitlines()[1:]]
    assert {"宝玉", "贾母", "凤姐", "黛玉", "袭人", "王夫人", "老太太"} <= set(found[:300])
    told = run_in([*command, "score", "model", str(next(MIRROR.rglob("zh_gsdsimp-ud-dev.conllu.xz")))]).stdout
    assert 0.3 < float(told.split()[-1]) < 0.9
