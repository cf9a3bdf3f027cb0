"""Terms of real domains: the planted-term check on news, laws and a software manual against news, with peers."""

from __future__ import annotations

import json
import lzma
import math
import os
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from stages import run
from stages.core import tables
from stages.core.systems import Findings, Inputs
from stages.words import candidates, retrieval, vocabularies

ROOT = Path(__file__).parents[2]
WEB = yaml.safe_load((ROOT / "params/web.yaml").read_text(encoding="utf-8"))
MIRROR = os.environ.get("QUJING_MIRROR")
TOPS = (100, 200, 500)

pytestmark = [pytest.mark.real, pytest.mark.skipif(not MIRROR, reason="QUJING_MIRROR names no folder of real data")]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """The data sets of params/web.yaml that the rows of terms read."""
    folder = tmp_path_factory.mktemp("terms")
    sources = {"laws": "laws.jsonl.xz", "news": "news_xwlb.jsonl.xz", "manuals": "python_docs_zh.jsonl.xz"}
    sources |= {"law_terms": "THUOCL_law.txt", "manual_terms": "glossary_terms.tsv"}
    for key, name in sources.items():
        row = run.read(WEB, "preprocess", key)
        path = sorted(Path(MIRROR).rglob(f"{name}*"))[0]
        if row.values["kind"] == "term_list":
            row.function(path.parent, replace(row.settings, file=path.name), folder / key)
        else:
            row.function(path, row.settings, folder / key)
    return folder


def mined(data: Path, key: str) -> tuple[Path, Findings]:
    """Train and evaluate the row `key`."""
    row, model = run.read(WEB, "train", key), data / "models" / key
    inputs = Inputs(*(data / Path(row.values[place]).name for place in ("input", "against")))
    row.function(inputs, row.settings, model)
    judge = run.read(WEB, "evaluate", key)
    truth = data / Path(row.values["truth"]).name
    return model, judge.function(model, Inputs(truth=truth), replace(judge.settings, tops=TOPS))


def by_jieba(domain: Path, general: Path) -> dict[str, list[str]]:
    """Words cut by jieba: tf-idf with its own idf table, and with document frequencies of the general text."""
    jieba = pytest.importorskip("jieba")
    analyse = pytest.importorskip("jieba.analyse")
    texts = tables.read(domain / "documents.parquet", ["text"])["text"].to_pylist()
    counts = Counter(word for text in texts for word in jieba.cut(text, HMM=False) if len(word) > 1)
    idf = analyse.default_tfidf.idf_freq
    rankings = {
        "jieba tf-idf": {word: n * idf.get(word, analyse.default_tfidf.median_idf) for word, n in counts.items()}
    }
    others = tables.read(general / "documents.parquet", ["text"])["text"].to_pylist()
    seen = Counter(word for text in others for word in set(jieba.cut(text, HMM=False)))
    rankings["jieba against news"] = {word: n * math.log(len(others) / (1 + seen[word])) for word, n in counts.items()}
    return {name: sorted(found, key=lambda word: (-found[word], word)) for name, found in rankings.items()}


def report(data: Path, domain: str, truth: str, models: dict[str, Path]) -> dict[str, list[float]]:
    """P@K and recall of all rankings of one domain, printed as a table."""
    gold = retrieval.known(tables.read(data / truth / "names.parquet"), 0)
    rankings = {name: tables.read(path / "terms.parquet")["term"].to_pylist() for name, path in models.items()}
    first = next(iter(models.values()))
    rankings |= retrieval.baselines(tables.read(first / "words.parquet"), 2) | by_jieba(data / domain, data / "news")
    found = {}
    print(f"\n{domain} against news, {len(gold)} known terms; recall is of the first 10,000")
    for name, ranking in rankings.items():
        ranking = [term for term in ranking if not term.isascii()][:10_000]
        found[name] = [*(retrieval.precision(ranking, gold, k) for k in TOPS), retrieval.recall(ranking, gold)]
        print(f"{name:20s} " + "  ".join(f"P@{k} {p:.3f}" for k, p in zip(TOPS, found[name], strict=False)), end="")
        print(f"  recall {found[name][-1]:.3f}")
    return found


def test_law_against_news(data):
    (ours, judged), (plain, _) = mined(data, "terms"), mined(data, "terms_plain")
    found = report(data, "laws", "law_terms", {"terms": ours, "terms_plain": plain})
    assert judged.metrics["precision_at_500"] / judged.metrics["frequency_precision_at_500"] >= 2
    for name in ("frequency", "tf_idf", "jieba tf-idf", "jieba against news", "terms_plain"):
        assert found["terms"][2] > found[name][2], name


def test_a_software_manual_against_news(data):
    (ours, _), row = mined(data, "manual_terms"), run.read(WEB, "train", "terms_plain")
    plain = data / "models" / "manual_plain"
    row.function(Inputs(input=data / "manuals", against=data / "news"), row.settings, plain)
    found = report(data, "manuals", "manual_terms", {"terms": ours, "terms_plain": plain})
    for name in ("frequency", "tf_idf", "jieba tf-idf", "jieba against news", "terms_plain"):
        assert all(a > b for a, b in zip(found["terms"][:3], found[name][:3], strict=True)), name


def pieces(size: int, lines: list[str]) -> list[str]:
    """Lines of so many characters, taken off the end of the list."""
    taken: list[str] = []
    while sum(map(len, taken)) < size:
        taken.append(lines.pop())
    return taken


@pytest.mark.parametrize("key", ["terms", "terms_plain"])
def test_planted_terms_in_news(data, tmp_path, key):
    """Check 1 of the spec: 200 random strings by Zipf's law in 30 % of the pieces of one million characters."""
    draw = random.Random(0)
    with lzma.open(sorted(Path(MIRROR).rglob("news_xwlb.jsonl.xz"))[0], "rt", encoding="utf-8") as lines:
        days = [json.loads(line)["text"] for line in lines]
    lines = [line for day in days for line in day.split("\n") if line.strip()]
    draw.shuffle(lines)  # so that nothing but what is planted tells the two corpora apart
    domain, general = pieces(1_000_000, lines), pieces(2_000_000, lines)
    letters = [c for c, n in Counter("".join(domain)).most_common(1500) if "\u4e00" <= c <= "\u9fa5"]
    strings = list(dict.fromkeys("".join(draw.choices(letters, k=draw.choice([2, 3, 4]))) for _ in range(210)))[:200]
    weights = [1 / (i + 1) for i in range(200)]
    split = [piece for line in domain for piece in line.replace("，", "。").split("。") if piece]
    for i, piece in enumerate(split):
        if draw.random() < 0.3:
            at = draw.randint(0, len(piece))
            split[i] = piece[:at] + draw.choices(strings, weights)[0] + piece[at:]
    for name, texts in (("in", ["。".join(split[i::200]) for i in range(200)]), ("against", general)):
        import pyarrow as pa

        tables.write(pa.table({"text": texts}), tmp_path / name / "documents.parquet")
    usual = run.read(WEB, "train", key).settings
    how = replace(usual, score="contrast", compounds=replace(usual.compounds, order=1))
    (tmp_path / "scratch").mkdir()
    found = vocabularies.found(Inputs(input=tmp_path / "in", against=tmp_path / "against"), how, tmp_path / "scratch")
    made = candidates.rank(*found, how)
    ranking, gold = made.texts.to_pylist(), set(strings)
    frequent = retrieval.baselines(made.words, 2)["frequency"]
    p = {k: retrieval.precision(ranking, gold, k) for k in (100, 200)}
    print(
        f"\n{key}: found {len(gold & set(ranking))} of 200, P@100 {p[100]:.3f}, P@200 {p[200]:.3f}, by frequency",
        end="",
    )
    print(f" P@200 {retrieval.precision(frequent, gold, 200):.3f}, R@300 {retrieval.recall(ranking[:300], gold):.3f}")
    assert len(gold & set(ranking)) >= 190
    assert retrieval.precision(frequent, gold, 200) <= 0.2
    if key == "terms":  # the promise is made for this discovery; the author's finds as many but ranks them lower
        assert p[100] >= 0.9
        assert p[200] >= 0.85
