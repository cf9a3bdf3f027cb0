"""The system: what it restores and why, resumed to the same bytes, its measures by hand, and its command."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
import yaml
from scipy.integrate import quad

from stages.core import tables
from stages.core.errors import Refusal
from stages.core.params import typed
from stages.core.systems import Inputs
from stages.corpora.sequences.dataset import save
from stages.corpora.sequences.factors import Factors, factors
from stages.nets import training
from stages.nets.posteriors import Posterior
from stages.text.univae import __main__ as command
from stages.text.univae import data, measures, swap
from stages.text.univae.evaluate import EvaluateUnivae, evaluate, moved
from stages.text.univae.robot import opened
from stages.text.univae.train import Univae, train

ROW = yaml.safe_load((Path(__file__).parents[2] / "params.yaml").read_text())["systems"]["univae"]
LAWS = {
    "gauss": Posterior("gauss", 8, {}),
    "bn_full": Posterior("bn_full", 8, {"tau": 0.5}),
    "vmf": Posterior("vmf", 8, {"kappa": 32.0, "learned": 0}),
}


def questions(folder, topics, patterns):
    out = folder / "questions"
    factors(None, Factors(topics, patterns, 0.1, 0), out)
    return out


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    return questions(tmp_path_factory.mktemp("factors"), 6, 6)


def small(**more):
    how = typed(Univae, ROW["train"], "row")
    encoder = replace(how.encoder, dim=32, heads=2, hidden=32, layers=3)
    how = replace(how, encoder=encoder, scales=2, batch=16, seeds=(0,))
    return replace(how, **more)


def judging(**more):
    how = typed(EvaluateUnivae, ROW["evaluate"], "row")
    return replace(how, samples=30, shown=3, temperatures=(0.0, 1.0), **more)


@pytest.fixture(scope="module")
def model(few, tmp_path_factory):
    out = tmp_path_factory.mktemp("univae") / "model"
    train(Inputs(input=few), small(steps=200, rate=4e-3, warm_up=10), out)
    return out


def test_what_was_learnt_comes_back_by_its_latents_alone(few, model):
    found = evaluate(model, Inputs(truth=few), judging())
    robot, texts = opened(model), data.load(few, "train").texts
    assert measures.alike(texts, robot.write(robot.read(texts)))["characters"] > 0.9
    zeroed = measures.alike(texts, robot.write(0 * robot.read(texts)))["characters"]
    assert zeroed < 0.5
    assert found.metrics["kl_off"] < 1e-3
    assert found.metrics["references_off"] < 1e-3
    assert found.metrics["cosine_off"] < 3e-3
    assert set(found.tables) == {"samples", "interpolated", "swapped"}
    assert found.tables["samples"].column_names == ["temperature_0", "temperature_1"]
    between = found.tables["interpolated"].to_pylist()[0]
    assert between["at_0"] == robot.write(robot.read([between["from"]]))[0]
    assert between["at_1"] == robot.write(robot.read([between["to"]]))[0]


def test_of_several_starts_the_one_that_parts_training_questions_best_is_chosen(few, tmp_path):
    train(Inputs(input=few), small(steps=150, rate=4e-3, warm_up=10, seeds=(0, 1, 2)), tmp_path / "model")
    how = judging(sentences=40)
    found = evaluate(tmp_path / "model", Inputs(truth=few), how).metrics
    known, test = data.load(few, "train"), data.load(few, "test")
    shares = {}
    for seed in (0, 1, 2):
        robot = opened(tmp_path / "model", seed=seed)
        first, second = (
            moved(robot, other, part, robot.read(part.texts[:40]), how)[0]
            for other, part in ((test, known), (known, test))
        )
        shares[seed] = min(first["most_changed_topic"], first["most_changed_pattern"]), second
    _, best = max(shares.values(), key=lambda share: share[0])
    assert len({share for share, _ in shares.values()}) > 1
    assert found["chosen_changed_topic"] == pytest.approx(best["most_changed_topic"])
    assert found["chosen_changed_pattern"] == pytest.approx(best["most_changed_pattern"])


def test_the_command_prints_sentences(model, capsys):
    assert command.main(["土豆好吃吗", "黄瓜甜吗", "--model", str(model)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("土豆好吃吗 -> ")
    assert len(lines) == 2 + 3 + 2
    assert command.main(["--model", str(model), "--samples", "4", "--temperature", "1"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4
    assert command.main(["", "㐀" * 40, "--model", str(model)]) == 0  # nothing, and what is neither known nor short
    assert command.main(["--model", str(model / "none")]) == 1


def test_the_same_bytes_again_and_after_a_kill(few, tmp_path, killed):
    how = small(steps=20, warm_up=5, watch=training.Watch(10, 1e4, {}, 0))

    def weights(name, spool=None, how=how):
        train(Inputs(input=few, spool=spool), how, tmp_path / name)
        return (tmp_path / name / "seed_0.safetensors").read_bytes()

    whole = weights("one")
    assert weights("two") == whole
    killed(lambda: weights("killed", tmp_path / "spool"))
    assert weights("killed", tmp_path / "spool") == whole


@pytest.mark.parametrize("kind", LAWS)
def test_every_posterior_trains(kind, few, tmp_path):
    found = train(
        Inputs(input=few), small(steps=40, warm_up=5, posterior=LAWS[kind], beta=0.1, anneal=10), tmp_path / "m"
    )
    nats = found.history["nats_0"]
    assert nats[-1] < nats[0] / 1.5
    judged = evaluate(tmp_path / "m", Inputs(truth=few), judging(targets=()))
    assert ("kl_off" in judged.metrics) == (kind == "vmf")
    assert judged.metrics["kl"] > 0


def test_what_is_too_long_is_cut_at_a_break():
    assert data.cut("天地玄黄", 4) == "天地玄黄"
    assert data.cut("天地，玄黄。宇宙", 5) == "天地，"
    assert data.cut("天地，玄黄。宇宙", 6) == "天地，玄黄。"
    assert data.cut("天，地，玄黄", 5) == "天，地，"
    assert data.cut("天地玄黄宇宙", 5) == "天地玄黄宇"
    assert data.cut("", 5) == ""


def test_sentences_come_from_either_kind_of_data_set(few, tmp_path):
    part = data.load(few, "test")
    assert part.texts == [p.replace("{}", t) for t, p in zip(part.topics, part.patterns, strict=True)]
    save({"train": np.array([[1, 2, 0]]), "test": np.array([[2, 2, 1]])}, ["", "天", "地"], [], "made", tmp_path / "s")
    assert data.load(tmp_path / "s", "train") == data.Sentences(["天地"])
    assert data.load(tmp_path / "s", "test").texts == ["地地天"]
    tables.write(pa.table({"first": ["天"]}), tmp_path / "train.parquet")
    with pytest.raises(Refusal, match="no column text"):
        data.load(tmp_path, "train")
    with pytest.raises(Refusal, match="needs `input`"):
        data.load(None, "train")


def test_characters_are_counted_at_their_places():
    found = measures.alike(["天地", "玄黄", "宇"], ["天地", "玄", "地宇"])
    assert found == pytest.approx({"characters": 3 / 6, "exact": 1 / 3})


@pytest.mark.parametrize(("d", "kappa"), [(3, 2.0), (16, 32.0)])
def test_the_divergence_is_its_integral(d, kappa):
    def part(f):
        return quad(lambda w: f(w) * (1 - w * w) ** ((d - 3) / 2), -1, 1)[0]

    uniform, weight = part(lambda w: 1.0), part(lambda w: np.exp(kappa * (w - 1)))
    mean = part(lambda w: w * np.exp(kappa * (w - 1))) / weight
    told = kappa * (mean - 1) - np.log(weight / uniform)
    assert measures.divergence(d, kappa) == pytest.approx(told, abs=1e-7)


def test_outcomes_of_exchanges_are_told_apart():
    texts = data.Sentences(["甲x", "乙y", "甲y"], ["甲", "乙", "甲"], ["{}x", "{}y", "{}y"])
    known = {f"{t}{p}": (t, "{}" + p) for t in "甲乙丙" for p in "xyz"}
    pairs = swap.pairs(texts, 20, 0)
    assert {tuple(pair) for pair in pairs.tolist()} == {(0, 1), (1, 0)}
    wanted = {
        "甲x": {"unchanged"},
        "乙x": {"swapped_topic", "changed_topic"},
        "丙x": {"changed_topic"},
        "甲y": {"swapped_pattern", "changed_pattern"},
        "甲z": {"changed_pattern"},
        "丙z": set(),
        "乙y": set(),
        "天x": {"unknown"},
    }
    for text, names in wanted.items():
        found = swap.judged([text], texts, np.array([[0, 1]]), known)
        assert {name for name, share in found.items() if share} == names, text
        assert len(found) == 6
    latents = torch.arange(12.0).view(3, 2, 2)
    assert swap.exchanged(latents, np.array([[0, 2]]), 1).tolist() == [[[0, 1], [10, 11]]]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"scales": 3}, "scales is 3"),
        ({"posterior": Posterior("flow", 8, {})}, "choices: gauss"),
        ({"places": 2}, "are 3"),
    ],
)
def test_bad_params_are_named(more, says, few, tmp_path):
    how = small(**{name: value for name, value in more.items() if name != "places"})
    how = replace(how, encoder=replace(how.encoder, places=more.get("places", 18)))
    with pytest.raises(Refusal, match=says):
        train(Inputs(input=few), how, tmp_path / "model")


def test_a_missing_model_is_named(few, tmp_path):
    with pytest.raises(Refusal, match="is missing"):
        evaluate(tmp_path, Inputs(truth=few), judging())


@pytest.mark.slow
@pytest.mark.parametrize("kind", LAWS)
def test_a_gaussian_collapses_and_the_others_do_not(kind, tmp_path):
    """KL of all latents after a training with beta 1 throughout: the writer does without what costs."""
    data_set = questions(tmp_path, 20, 20)
    train(Inputs(input=data_set), small(steps=600, posterior=LAWS[kind]), tmp_path / "model")
    found = evaluate(tmp_path / "model", Inputs(truth=data_set), judging(targets=()))
    if kind == "gauss":
        assert found.metrics["kl"] < 0.1
    else:
        assert found.metrics["kl"] > 2


@pytest.mark.slow
def test_5000_questions_come_back(tmp_path):
    """4 layers, 128 wide, two latents of 16: item 5 of the specification, within 10 minutes of two cores."""
    data_set = questions(tmp_path, 72, 70)
    how = typed(Univae, ROW["train"], "row")
    wide = replace(how.encoder, dim=128, hidden=256, layers=4)
    terms = Posterior("vmf", 16, {"kappa": 64.0, "learned": 0})
    train(
        Inputs(input=data_set),
        replace(how, encoder=wide, posterior=terms, scales=2, steps=3000, rate=1e-3),
        tmp_path / "m",
    )
    found = evaluate(tmp_path / "m", Inputs(truth=data_set), judging(sentences=504)).metrics
    assert found["exact"] > 0.9
    assert found["characters_lost"] > 0.5
