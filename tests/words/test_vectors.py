"""Word vectors from text to files: tokens, export that gensim reads, neighbours and analogies by brute force."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from made import ROWS, write_corpus
from typer.testing import CliRunner

from stages.cli import app
from stages.core import params, tables
from stages.core.errors import Refusal
from stages.core.systems import Inputs
from stages.words import kinds, similar, tokens, vectors
from stages.words.segmenter import Segmenter

SETTINGS = params.typed(vectors.Vectors, ROWS["vectors"]["train"], "tests")
SMALL = replace(SETTINGS, workers=1, skipgram=replace(SETTINGS.skipgram, dim=16, epochs=30, batch=256))
PLACES, COINS = [f"地{i}" for i in range(12)], [f"币{i}" for i in range(12)]


def facts(count: int = 1500, seed: int = 0) -> list[str]:
    """Sentences about places and coins, words parted by blanks."""
    draw = np.random.default_rng(seed)
    said = []
    for _ in range(count):
        place, other, coin = (draw.choice(names) for names in (PLACES, PLACES, COINS))
        said += [f"{place} 的 首都 在 {other} 附近", f"一 枚 {coin} 可 兑换 三 元"]
    return said


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vectors")
    write_corpus(folder / "data", facts())
    findings = vectors.train(Inputs(input=folder / "data"), SMALL, folder / "model")
    assert findings.metrics["tokens"] == 1500 * 13
    return folder / "model"


def test_segmented_text_is_taken_at_its_blanks(tmp_path):
    write_corpus(tmp_path, ["b a b\r\n\na c", "", "b  ，"])
    found = tokens.tokens(tmp_path / "documents.parquet", None, 2, 1)
    assert found.words == ["b", "a"]
    assert found.counts.tolist() == [3, 2]
    assert found.ids.tolist() == [0, 1, 0, 1, 0]
    assert np.diff(found.offsets).tolist()[:2] == [3, 1]
    assert found.offsets[-1] == 5


def test_text_is_cut_with_the_words_of_a_model_and_without_punctuation(tmp_path):
    texts = ["我们研究数据，数据是模型。模型研究 data！", "我们的A1数据"]
    write_corpus(tmp_path, texts)
    lexicon = pa.table({"word": ["我们", "研究", "数据", "模型"], "count": [9, 9, 9, 9]})
    tables.write(lexicon, tmp_path / "model/words.parquet")
    found = tokens.tokens(tmp_path / "documents.parquet", tmp_path / "model", 1, 1)
    said = [found.words[i] for i in found.ids]
    cut = [w for text in texts for w in Segmenter.load(tmp_path / "model").cut(text) if w not in "，。！ "]
    assert said == cut
    sentences = np.diff(found.offsets)
    assert sentences[sentences > 0].tolist() == [6, 3, 4]
    assert (np.diff(found.counts) <= 0).all()


def test_tokens_do_not_depend_on_the_number_of_workers_or_tasks(tmp_path, monkeypatch):
    write_corpus(tmp_path, facts(200))
    one = tokens.tokens(tmp_path / "documents.parquet", None, 3, 1)
    monkeypatch.setattr(tokens, "CHARACTERS", 700)
    two = tokens.tokens(tmp_path / "documents.parquet", None, 3, 2)
    assert one.words == two.words
    for name in ("ids", "offsets", "counts"):
        assert (getattr(one, name) == getattr(two, name)).all()


@pytest.mark.parametrize(("texts", "sentence"), [([""], "has no words"), (["a b"], "occurs 9 times: lower min_count")])
def test_a_corpus_without_words_is_refused(tmp_path, texts, sentence):
    write_corpus(tmp_path, texts)
    with pytest.raises(Refusal, match=sentence):
        tokens.tokens(tmp_path / "documents.parquet", None, 9, 1)


def test_neighbours_are_those_of_brute_force(monkeypatch):
    held = np.random.default_rng(0).normal(size=(200, 8)).astype(np.float32)
    monkeypatch.setattr(similar, "AT_ONCE", 1000)
    rows = np.array([3, 0, 199, 77])
    found, cosines = similar.nearest(held, rows, 7)
    for row, near, cosine in zip(rows, found, cosines, strict=True):
        by_hand = {
            j: float(held[row] @ held[j] / np.linalg.norm(held[row]) / np.linalg.norm(held[j]))
            for j in range(200)
            if j != row
        }
        best = sorted(by_hand, key=lambda j: -by_hand[j])[:7]
        assert near.tolist() == best
        np.testing.assert_allclose(cosine, [by_hand[j] for j in best], atol=1e-6)


def test_fewer_words_than_neighbours_and_a_vector_of_zeros():
    found, cosines = similar.nearest(np.array([[0.0, 0], [1, 0], [2, 0]]), np.array([0, 1]), 10)
    assert found.tolist() == [[1, 2], [2, 0]]
    assert cosines.tolist() == [[0, 0], [1, 0]]


def test_analogies_of_a_grid_are_all_answered(tmp_path):
    draw = np.random.default_rng(0)
    row, column = draw.normal(size=(2, 6, 20))
    held = (row[:, None] + column[None, :]).reshape(36, 20)
    held /= np.linalg.norm(held, axis=1, keepdims=True)
    words = [f"{i}-{j}" for i in range(6) for j in range(6)]
    path = tmp_path / "questions.txt"
    lines = [
        f"{i}-{j} {i}-{m} {n}-{j} {n}-{m}" for i in range(3) for n in range(3, 6) for j in range(3) for m in range(3, 6)
    ]
    path.write_text(": grid\n" + "\n".join([*lines, "x 0-0 1-0 1-1"]) + "\n")
    right, asked = kinds.accuracy(words, held, path)
    assert asked == 81
    by_hand = 0
    for line in lines:
        a, b, c, d = (words.index(word) for word in line.split())
        scores = held @ (held[b] - held[a] + held[c])
        scores[[a, b, c]] = -9
        by_hand += scores.argmax() == d
    assert right == by_hand / 81 > 0.5
    path.write_text("a b c\n")
    with pytest.raises(Refusal, match="line 1, has 3 words"):
        kinds.accuracy(words, held, path)


def test_words_of_a_kind_are_near_each_other(model):
    words, held = vectors.load(model)
    assert held.shape == (len(words), 16)
    place = [words.index(word) for word in PLACES + COINS]
    found, _ = similar.nearest(held[place], np.arange(24), 10)
    assert ((found < 12) == (np.arange(24) < 12)[:, None]).mean() > 0.95


@pytest.mark.parametrize("kind", ["text", "binary"])
def test_gensim_reads_what_is_written(model, kind, tmp_path):
    models = pytest.importorskip("gensim.models", reason="gensim is not installed: it is only the reader to compare")
    words, held = vectors.load(model)
    vectors.export(words, held, tmp_path / "vectors", kind)
    read = models.KeyedVectors.load_word2vec_format(tmp_path / "vectors", binary=kind == "binary")
    assert read.index_to_key == words
    np.testing.assert_allclose(read.vectors, held, rtol=1e-6 if kind == "text" else 0)
    near = vectors.near(model, ["地3"], 5)
    theirs = read.most_similar("地3", topn=5)
    assert near["near"].to_pylist() == [word for word, _ in theirs]
    np.testing.assert_allclose(near["cosine"].to_numpy(), [cosine for _, cosine in theirs], atol=1e-5)


def test_a_second_training_gives_the_same_bytes(model, tmp_path):
    write_corpus(tmp_path / "data", facts())
    vectors.train(Inputs(input=tmp_path / "data"), SMALL, tmp_path / "model")
    for name in ("vectors.parquet", "model.json"):
        assert (tmp_path / "model" / name).read_bytes() == (model / name).read_bytes()


def test_the_evaluation_counts_the_kinds_of_neighbours(model, tmp_path):
    rows = [{"name": n, "kind": "place" if n in PLACES else "coin", "count": 9} for n in [*PLACES, *COINS, "没有"]]
    tables.write(pa.Table.from_pylist(rows), tmp_path / "names.parquet")
    (tmp_path / "analogies.txt").write_text("地0 地1 币0 币1\n")
    judging = params.typed(kinds.EvaluateVectors, ROWS["vectors"]["evaluate"], "tests")
    found = kinds.evaluate(model, Inputs(truth=tmp_path), judging)
    assert found.metrics["purity_by_chance"] == pytest.approx(11 / 23)
    assert found.metrics["purity"] > 0.95
    assert found.metrics["analogies_asked"] == 1
    assert [claim.passed for claim in found.claims] == [True, found.metrics["purity"] * 23 / 11 >= 2]
    assert found.tables["neighbours"].num_rows == 24 * 10
    assert set(found.figures) == {"kinds"}


def test_the_commands_train_and_look_up(tmp_path):
    (tmp_path / "texts.txt").write_text("\n".join(facts(300)))
    run, folder, out = CliRunner().invoke, tmp_path / "model", tmp_path / "vectors.txt"
    asked = ["vectors", str(tmp_path / "texts.txt"), "-o", str(out), "--model", str(folder), "--epochs", "2"]
    done = run(app, [*asked, "--min-count", "1"])
    assert done.exit_code == 0, done.output
    words, _ = vectors.load(folder)
    assert out.read_text().splitlines()[0] == f"{len(words)} {SETTINGS.skipgram.dim}"
    done = run(app, ["near", str(folder), *words[:2], "--top", "3"])
    assert done.exit_code == 0
    assert done.stdout.splitlines()[0] == "word,near,cosine"
    assert len(done.stdout.splitlines()) == 7
    missing = run(app, ["near", str(folder), "没有"])
    assert missing.exit_code == 1
    assert "no vector for '没有'" in missing.output
    assert run(app, asked).exit_code == 1  # the model is there
