"""Counts against brute force, and the same counts however the work is cut and wherever it is done."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from made import brute_force, named, serial, write_corpus, zipf_text

from stages.core import tables
from stages.core.errors import Refusal
from stages.words import encoded, ngrams, parallel


def count(tmp_path: Path, texts: list[str], alphabet: str = "cjk", apply=serial, block: int = 1 << 22, **plan):
    folder = write_corpus(tmp_path, texts)
    corpus = encoded.encode(folder / "documents.parquet", alphabet, tmp_path / "scratch", block)
    counted = ngrams.count(corpus, ngrams.Plan(**plan), apply, tmp_path / "scratch")
    return named(corpus, counted), counted


def test_counts_equal_brute_force_on_made_text(tmp_path):
    texts = [zipf_text(30_000), "一二三四五", "", "。", "一", zipf_text(5_000, seed=1)]
    found, counted = count(tmp_path, texts, chunk=1000, partitions=8)
    expected = brute_force(texts)
    assert found == expected
    assert counted.total == sum(expected[1].values())


def test_counts_equal_brute_force_on_real_text(tmp_path, real_texts):
    assert count(tmp_path, real_texts)[0] == brute_force(real_texts)


def test_pruning_is_on_exact_totals(tmp_path):
    texts = [zipf_text(2_000, seed=s) for s in range(10)]
    found, _ = count(tmp_path, texts, chunk=500, partitions=4, min_count=7)
    assert found == {n: {w: c for w, c in cs.items() if c >= 7} for n, cs in brute_force(texts).items()}


@pytest.mark.parametrize(
    ("chunk", "partitions", "block"), [(7, 1, 10), (64, 2, 4096), (100_000, 64, 17), (999, 1024, 100)]
)
def test_counts_do_not_depend_on_how_the_work_is_cut(tmp_path, chunk, partitions, block):
    texts = [zipf_text(3_000), "三" * 100, zipf_text(500, seed=3)]
    assert count(tmp_path, texts, chunk=chunk, partitions=partitions, block=block)[0] == brute_force(texts)


def test_torch_counts_the_same(tmp_path):
    pytest.importorskip("torch")
    texts = [zipf_text(20_000)]
    one = count(tmp_path / "n", texts, partitions=4)[0]
    assert count(tmp_path / "t", texts, partitions=4, backend="torch", device="cpu")[0] == one


def test_processes_count_the_same(tmp_path):
    texts = [zipf_text(20_000)]
    with parallel.executor("processes", 2, "") as apply:
        assert count(tmp_path, texts, apply=apply, chunk=4000, partitions=4)[0] == brute_force(texts)


def test_dask_counts_the_same(tmp_path):
    distributed = pytest.importorskip("distributed")
    texts = [zipf_text(20_000)]
    inside = {"n_workers": 1, "threads_per_worker": 2, "processes": False, "dashboard_address": None}
    with (
        distributed.LocalCluster(**inside) as cluster,
        parallel.executor("dask", 2, cluster.scheduler_address) as apply,
    ):
        assert count(tmp_path, texts, apply=apply, chunk=4000, partitions=4)[0] == brute_force(texts)


def test_a_dask_that_is_not_there_is_refused():
    pytest.importorskip("distributed")
    with pytest.raises(Refusal, match="address"), parallel.executor("dask", 2, "nowhere"):
        pass


def test_characters_beyond_the_bmp_and_full_width(tmp_path):
    texts = ["𠮷野家𠮷野家ＡＢ１", "𪚥𪚥"]
    found, _ = count(tmp_path / "all", texts, alphabet="cjk_all")
    assert found[3]["𠮷野家"] == 2
    assert found[2]["𪚥𪚥"] == 1
    assert found[4]["家ＡＢ１"] == 1
    found, _ = count(tmp_path / "bmp", texts)
    assert found[1] == {"野": 2, "家": 2}


def test_nul_crlf_and_document_ends_end_pieces(tmp_path):
    found, _ = count(tmp_path, ["甲\x00乙", "丙", "丁戊\r\n己"])
    assert found[2] == {"丁戊": 1}


def test_lone_surrogates_end_pieces_and_broken_utf8_is_refused(tmp_path):
    def corpus_of(raw: bytes) -> encoded.Encoded:
        text = pa.Array.from_buffers(
            pa.string(), 1, [None, pa.py_buffer(np.array([0, len(raw)], np.int32)), pa.py_buffer(raw)]
        )
        tables.write(pa.table({"text": text}), tmp_path / "documents.parquet")
        return encoded.encode(tmp_path / "documents.parquet", "cjk", tmp_path / "scratch")

    corpus = corpus_of("甲".encode() + b"\xed\xa0\x80" + "乙丙".encode())
    found = named(corpus, ngrams.count(corpus, ngrams.Plan(), serial, tmp_path / "scratch"))
    assert found[1] == {"甲": 1, "乙": 1, "丙": 1}
    assert found[2] == {"乙丙": 1}
    with pytest.raises(Refusal, match="UTF-8"):
        corpus_of("甲".encode() + b"\xff\xfe")


def test_the_document_of_every_position(tmp_path):
    texts = ["甲乙", "", "，，丙", "丁。"]
    folder = write_corpus(tmp_path, texts)
    for block in (1, 5, 1000):
        corpus = encoded.encode(folder / "documents.parquet", "cjk", tmp_path / "scratch", block)
        ids = corpus.read(0, corpus.size)
        number = np.searchsorted(corpus.documents(), np.arange(corpus.size), "right")
        place = {chr(corpus.characters[i]): int(number[p]) for p, i in enumerate(ids)}
        assert place["甲"] == place["乙"] < place["丙"] < place["丁"]


def test_kenlm_shortcut_by_hand(tmp_path):
    """Line 甲乙丙丁: 4-grams sss甲 ss甲乙 s甲乙丙 甲乙丙丁 乙丙丁e; each adds to all its prefixes."""
    folder = write_corpus(tmp_path, ["甲乙丙丁。甲乙丙丁，戊"])
    corpus = encoded.encode(folder / "documents.parquet", "cjk", tmp_path / "scratch")

    def shortcut(min_count: int) -> dict[int, dict[str, int]]:
        plan = ngrams.Plan(chunk=3, partitions=4, min_count=min_count)
        counted = ngrams.count_prefixes_of_frequent(corpus, plan, serial, tmp_path / "scratch")
        assert counted.total == sum(counted.counts[1].tolist())
        return named(corpus, counted)

    assert shortcut(1) == {
        1: {"甲": 8, "乙": 2, "戊": 2},  # 丙 and 丁, the last two, never start a 4-gram
        2: {"甲乙": 6, "乙丙": 2},
        3: {"甲乙丙": 4, "乙丙丁": 2},
        4: {"甲乙丙丁": 2},
    }
    assert "戊" not in shortcut(2)[1]  # pruned as the 4-grams "s s s 戊" and "s s 戊 e", once each
    assert shortcut(3) == {1: {}, 2: {}, 3: {}, 4: {}}


def test_a_corpus_without_characters_is_refused(tmp_path):
    for i, texts in enumerate(([], ["", "。。"])):
        with pytest.raises(Refusal, match="alphabet"):
            count(tmp_path / str(i), texts)
