"""Word vectors of real news against gensim: as fast on two cores, and lists of words held together as well."""

import time
from pathlib import Path

import numpy as np
import pytest
from made import NEWS, real_file

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def news():
    for name in ("gensim", "jieba"):
        pytest.importorskip(name, reason=f"{name} is not installed: it is only the peer")
    corpus, lists = real_file(NEWS), real_file("THUOCL_law.txt.xz")
    if corpus is None or lists is None:
        pytest.skip(f"{NEWS} or the lists of words are neither in QUJING_MIRROR nor beside the repository")
    from benchmarks import bench_vectors

    return bench_vectors, bench_vectors.text(Path(corpus), Path(lists).parent, 4_000_000)


def test_vectors_of_news_are_as_good_as_gensims_and_made_in_less_time(news):
    bench, (ids, offsets, words, kind) = news
    found = {}
    theirs = bench.peer(ids, offsets, len(words), 5, 5)
    for name, train in {"ours": lambda: bench.ours(ids, offsets, len(words), 5, 5), "gensim": theirs}.items():
        begin = time.process_time()
        vectors = train()
        found[name] = (time.process_time() - begin, bench.auc(vectors, kind))
    print({name: f"{seconds:.1f} s of processor time, AUC {auc:.4f}" for name, (seconds, auc) in found.items()})
    assert np.isin(kind, -1).mean() < 0.98
    assert found["ours"][1] >= found["gensim"][1] - 0.02
    assert found["ours"][0] <= found["gensim"][0]
