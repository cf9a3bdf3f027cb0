"""CLUE trained and judged: every kind of task is learnt, goes on after a kill, gathers gradients, hands in files."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml

from stages.core.errors import Refusal
from stages.core.params import typed
from stages.core.systems import Inputs
from stages.corpora.clue.made import Made, made
from stages.nets import training
from stages.text.bert.model import Config, Encoder
from stages.text.clue import baselines
from stages.text.clue.evaluate import ARTICLE, EvaluateClue, evaluate
from stages.text.clue.heads import POOLS, Classifier, Net
from stages.text.clue.predict import answers
from stages.text.clue.records import Tally, place
from stages.text.clue.samples import Batch
from stages.text.clue.submit import main
from stages.text.clue.tasks import TASKS
from stages.text.clue.train import Clue, Plan, begun, learnt, optimised, prepared, train

ROOT = Path(__file__).parents[2]
ROWS = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["systems"]
TINY = Config(16, 1, 2, 32, 128, "rope", 0.0, 0, 1e-12)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    out = tmp_path_factory.mktemp("clue") / "clue"
    made(None, Made(33, 20, 6, 0), out)
    return out


def small(*names, **more):
    how = typed(Clue, ROWS["clue"]["train"], "row")
    plans = tuple(replace(plan, batch=8, accumulate=1, epochs=2) for plan in how.tasks if plan.task in names)
    return replace(how, **{"tasks": plans, "encoder": TINY, "device": "cpu", **more})


def judging(**more):
    return replace(typed(EvaluateClue, ROWS["clue"]["evaluate"], "row"), **{"targets": (), "device": "cpu", **more})


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """A model of one task of each kind, the last batch of one sample."""
    out = tmp_path_factory.mktemp("trained") / "model"
    train(Inputs(input=data), small("tnews", "afqmc", "chid", "c3", "cmrc2018", "cluener"), out)
    return out


def test_a_model_is_judged_beside_baselines_and_the_article(trained, data):
    found = evaluate(trained, Inputs(truth=data), judging())
    assert found.metrics["submissions_kept"] == 1
    assert {"tnews_accuracy", "afqmc_tfidf", "chid_greedy", "cmrc2018_f1", "cluener_list", "c3_majority"} <= set(
        found.metrics
    )
    rows = {row["task"]: row for row in found.tables["scores"].to_pylist()}
    assert rows["tnews"]["article_bert"] == 56.29
    assert rows["cmrc2018"]["tfidf"] is None
    assert all(0 <= row["ours"] <= 100 for row in rows.values())
    assert found.tables["examples"].num_rows == 6 * judging().shown
    assert set(found.figures) == {"scores"}
    assert set(ARTICLE) == set(TASKS)


def test_the_same_bytes_again_and_a_submission_by_hand(trained, data, tmp_path):
    train(Inputs(input=data), small("tnews", "afqmc", "chid", "c3", "cmrc2018", "cluener"), tmp_path / "again")
    for path in trained.rglob("*.*"):
        assert (tmp_path / "again" / path.relative_to(trained)).read_bytes() == path.read_bytes(), path
    asked, out = data / "tnews/test.json", tmp_path / "out/tnews11_predict.json"
    assert main([str(trained), "tnews", str(asked), str(out)]) == 0
    assert out.read_bytes() == (trained / "submissions/tnews11_predict.json").read_bytes()
    assert main([str(trained), "csl", str(asked), str(out)]) == main([str(trained), "tnews", "none", str(out)]) == 1
    assert main([]) == 2


@pytest.mark.parametrize("keep", ["last", "best"])
def test_a_killed_training_goes_on_to_the_same_weights(keep, data, tmp_path, monkeypatch):
    how = small("ocnli", keep=keep, watch=training.Watch(3, 1000.0, {}, 0))
    train(Inputs(input=data), how, tmp_path / "whole")
    monkeypatch.setattr(training, "BETWEEN_CHECKPOINTS", 0.0)
    kept, calls = training._columns, []

    def dies(rows):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return kept(rows)

    monkeypatch.setattr(training, "_columns", dies)
    with pytest.raises(KeyboardInterrupt):
        train(Inputs(input=data, spool=tmp_path / "spool"), how, tmp_path / "killed")
    monkeypatch.setattr(training, "_columns", kept)
    train(Inputs(input=data, spool=tmp_path / "spool"), how, tmp_path / "on")
    name = "ocnli/seed_0.safetensors"
    assert (tmp_path / "on" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.parametrize("name", ["tnews", "chid", "cmrc2018", "cluener"])
def test_two_batches_gathered_are_one_of_twice_the_size(name, data):
    how = small(name, optimiser="article")
    task = TASKS[name]
    start = begun(Inputs(input=data), how, CPU)
    samples = prepared(data, task, how.tasks[0], how, start[1], ("train",))["train"][1]
    weights = []
    for sizes in ((16,), (8, 8), (11, 5)):
        torch.manual_seed(0)
        net = Net(Encoder(TINY, len(start[1])), task.head(16, "mean")).double()
        optimiser, first = optimised(net, how, len(sizes)), 0
        for size in sizes:
            rows = torch.arange(first, first + size)
            batch = Batch(samples.ids[rows].long(), samples.window[rows], samples.targets[rows])
            optimiser.zero_grad()
            net.head.loss(net(batch), batch.targets).backward()
            optimiser.step(weight=size)
            first += size
        weights.append(torch.cat([weight.detach().flatten() for weight in net.parameters()]))
    assert (weights[0] - weights[1]).abs().max() < 1e-5
    assert (weights[0] - weights[2]).abs().max() < 1e-5


def test_an_epoch_gathered_is_one_batch_of_all(data):
    """33 records as 8, 8, 8, 8 and 1: each counts once, whatever batch it is in."""
    how = small("tnews", fade=False, optimiser="article")
    start, found = begun(Inputs(input=data), how, CPU), []
    for batch, accumulate in ((8, 5), (33, 1), (8, 6)):  # the last: a window that is not full
        plan = replace(how.tasks[0], batch=batch, accumulate=accumulate, epochs=1)
        parts = prepared(data, TASKS["tnews"], plan, how, start[1], ("train",))
        net, _ = learnt(start[0], TASKS["tnews"], parts, plan, how, 0, CPU, None)
        found.append(torch.cat([weight.detach().flatten() for weight in net.parameters()]))
    assert (found[0] - found[1]).abs().max() < 1e-5
    assert (found[2] - found[1]).abs().max() < 1e-5


def test_best_keeps_the_best_epoch(data, monkeypatch):
    how = small("ocnli", keep="best")
    plan, task = replace(how.tasks[0], epochs=3), TASKS["ocnli"]
    start = begun(Inputs(input=data), how, CPU)
    parts, seen = prepared(data, task, plan, how, start[1], ("train", "dev")), []
    scores = iter([0.2, 0.7, 0.1])

    class Told:
        name, metric, head, decode = task.name, task.metric, task.head, task.decode

        def score(self, examples, found):
            seen.append(found)
            return {"accuracy": next(scores)}

    net, _ = learnt(start[0], Told(), parts, plan, how, 0, CPU, None)
    examples, dev = parts["dev"]
    assert len(seen) == 3
    assert task.decode(answers(net, dev, 8, CPU, False), dev, examples) == seen[1]


def test_an_encoder_from_a_folder_keeps_its_words_and_learns_the_others(trained, data, tmp_path):
    from safetensors.torch import save_file

    how = small("tnews")
    folder = tmp_path / "encoder"
    folder.mkdir()
    (folder / "vocab.txt").write_text(
        "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused1]", "的", "月"]) + "\n"
    )
    encoder = Encoder(TINY, 8)
    save_file(encoder.state_dict(), folder / "encoder.safetensors")
    (folder / "model.json").write_text(json.dumps({"params": {"encoder": TINY.__dict__}}))
    found, known = begun(Inputs(input=data, against=folder), how, CPU)
    assert torch.equal(found.tokens.weight[:8], encoder.tokens.weight)
    assert known.tokens[:8] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused1]", "的", "月"]
    texts = [r.first for r in TASKS["tnews"].read(place(data, "tnews", "train"), "train", Tally())]
    assert not any(known.unknown in known.encode(text).ids for text in texts)
    assert (found.tokens.weight[8:].std(1) > 0).all()


@pytest.mark.parametrize("pool", POOLS)
def test_padding_changes_no_sentence(pool):
    torch.manual_seed(0)
    net = Net(Encoder(TINY, 20), Classifier(16, 3, pool)).eval()
    ids = torch.randint(1, 20, (4, 1, 6))
    window = torch.zeros(4, 2, dtype=torch.long)
    padded = torch.cat([ids, torch.zeros(4, 1, 5, dtype=torch.long)], 2)
    assert (net(Batch(ids, window, window)) - net(Batch(padded, window, window))).abs().max() < 1e-5


def test_baselines_know_what_a_bag_knows(data):
    task = TASKS["tnews"]
    records = task.read(place(data, "tnews", "train"), "train", Tally())
    assert baselines.labels(records, records) == [record.label for record in records]
    counts = [record.label for record in records]
    assert counts.count(baselines.majority(records)) == max(map(counts.count, counts))
    names = TASKS["cluener"].read(place(data, "cluener", "train"), "train", Tally())
    assert TASKS["cluener"].score(names, baselines.names(names, names))["f1"] > 0.8


def test_what_is_missing_is_said(data, tmp_path):
    with pytest.raises(Refusal, match="needs an `input`"):
        train(Inputs(), small("tnews"), tmp_path / "a")
    with pytest.raises(Refusal, match=r"is missing: is .* a data set of kind clue"):
        train(Inputs(input=tmp_path), small("tnews"), tmp_path / "b")
    with pytest.raises(Refusal, match=r"tasks\.task is 'tnew'; did you mean 'tnews'"):
        plans = (Plan("tnew", 8, 1, 1, 1),)
        train(Inputs(input=data), replace(small("tnews"), tasks=plans), tmp_path / "c")
    with pytest.raises(Refusal, match="judged on a `truth`"):
        evaluate(tmp_path, Inputs(), judging())


@pytest.mark.slow
@pytest.mark.parametrize("name", TASKS)
def test_every_task_is_learnt_by_heart(name, tmp_path):
    """500 records, 2 layers of 64 numbers without pretraining: at least 0.95 of the training part."""
    made(None, Made(500, 1, 1, 0), tmp_path / "data")
    plan = next(plan for plan in typed(Clue, ROWS["clue"]["train"], "row").tasks if plan.task == name)
    epochs = {"chid": 2, "cmrc2018": 14, "c3": 20, "cluener": 8}.get(name, 25)
    encoder = typed(Config, ROWS["clue"]["train"]["encoder"], "row")
    how = small(name, encoder=encoder, tasks=(replace(plan, epochs=epochs),), rate=1e-3)
    start = begun(Inputs(input=tmp_path / "data"), how, CPU)
    parts = prepared(tmp_path / "data", TASKS[name], how.tasks[0], how, start[1], ("train",))
    net, _ = learnt(start[0], TASKS[name], parts, how.tasks[0], how, 0, CPU, None)
    examples, samples = parts["train"]
    found = TASKS[name].decode(answers(net, samples, 16, CPU, False), samples, examples)
    assert TASKS[name].score(examples, found)[TASKS[name].metric] >= 0.95
