"""Equal conditions are equal, costs are those counted by hand, and a board tells both."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from stages.core.errors import Refusal
from stages.nets import trials
from stages.nets.costs import cost
from stages.nets.training import Watch
from stages.nets.trials import UNCOUNTED, Conditions, Contestant, Task

CONDITIONS = Conditions((0, 1), 30, 16, 1e-2, Watch(10, 1e6, {}, 0), "cpu", False, False)


def linear():
    return nn.Sequential(nn.Linear(5, 3))


def deep():
    return nn.Sequential(nn.Linear(5, 32), nn.ReLU(), nn.Dropout(0.5), nn.Linear(32, 3))


def planted(n=400, seed=0):
    """The class is the largest of the first three numbers."""
    x = torch.randn(n, 5, generator=torch.Generator().manual_seed(seed))
    y = x[:, :3].argmax(1)
    return Task(x[: n // 2], y[: n // 2], x[n // 2 :], y[n // 2 :], lambda x: x)


def test_a_board_knows_the_planted_law_and_what_finding_it_costs(tmp_path):
    conditions = replace(CONDITIONS, steps=300)
    entrants = {"linear": Contestant(linear, rate=2.0), "untrained": Contestant(linear, rate=0.0)}
    found = trials.train(entrants, planted(), conditions, None, tmp_path / "model", conditions)
    board = trials.evaluate(tmp_path / "model", entrants, planted())
    assert max(board.accuracy["untrained"]) < 0.8 < 0.9 < min(board.accuracy["linear"])
    assert board.order == ["linear", "untrained"]
    found_cost = board.costs["linear"]
    assert (found_cost.parameters, found_cost.flops, found_cost.state_bytes) == (18, 2 * 5 * 3, 2 * 18 * 4)
    assert set(found.facts) == {"linear.steps_per_second", "untrained.steps_per_second"}
    told = board.findings()
    assert told.metrics["accuracy.linear"] == pytest.approx(np.mean(board.accuracy["linear"]))
    assert set(told.figures) == {"accuracy", "losses"}  # FLOPs are the same
    assert told.tables["board"]["contestant"].to_pylist() == board.order


def test_what_a_step_keeps_grows_with_what_its_layers_must_remember():
    x = planted()
    few, many = (
        cost(net, trials.adam(net, 0.1), x.train[:16], lambda out: trials.entropy(out, x.targets[:16])).kept_bytes
        for net in (linear(), deep())
    )
    assert few >= 4 * 16 * 5 + 4 * 16 * 3  # the input, and the probabilities
    assert many >= few + 4 * 16 * 32


def test_a_contestant_is_the_same_whoever_else_takes_part(tmp_path):
    entrants = {"first": Contestant(deep), "second": Contestant(deep, rate=0.5)}
    trials.train(entrants, planted(), CONDITIONS, None, tmp_path / "both", CONDITIONS)
    trials.train({"second": entrants["second"]}, planted(), CONDITIONS, None, tmp_path / "one", CONDITIONS)
    name = "second.safetensors"
    assert (tmp_path / "both" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()


def test_a_killed_trial_with_dropout_goes_on_to_the_same_weights(tmp_path, monkeypatch):
    monkeypatch.setattr("stages.nets.training.BETWEEN_CHECKPOINTS", 0.0)
    whole, *_ = trials.learn(Contestant(deep), planted(), CONDITIONS, 0, None, "whole")
    trials.learn(Contestant(deep), planted(), replace(CONDITIONS, steps=30), 0, tmp_path, "begun")
    spool = tmp_path / "killed"
    calls = iter(range(100))

    def killed(x):
        if next(calls) == 25:
            raise KeyboardInterrupt
        return x

    with pytest.raises(KeyboardInterrupt):
        trials.learn(Contestant(deep), replace(planted(), prepare=killed), CONDITIONS, 0, spool, "killed")
    again, *_ = trials.learn(Contestant(deep), planted(), CONDITIONS, 0, spool, "again")
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), again.parameters(), strict=True))


def test_places_that_do_not_count_are_neither_learnt_nor_judged():
    logits = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor([[0, UNCOUNTED, 2], [UNCOUNTED, 3, UNCOUNTED]])
    by_hand = -torch.stack([logits[i, j].log_softmax(0)[targets[i, j]] for i, j in ((0, 0), (0, 2), (1, 1))]).mean()
    torch.testing.assert_close(trials.entropy(logits, targets), by_hand)
    rows = torch.arange(2)
    best = logits.argmax(-1)
    best[0, 2] = (best[0, 2] + 1) % 4
    task = Task(rows, targets, rows, torch.where(targets == UNCOUNTED, UNCOUNTED, best), lambda x: x)

    class Fixed(nn.Module):
        def forward(self, rows):
            return logits[rows]

    assert trials.accuracy(Fixed(), task) == pytest.approx(2 / 3)


def test_a_model_of_another_shape_is_refused_by_name(tmp_path):
    trials.train({"linear": Contestant(linear)}, planted(), CONDITIONS, None, tmp_path / "model", CONDITIONS)
    with pytest.raises(Refusal, match="no trained linear"):
        trials.evaluate(tmp_path / "model", {"linear": Contestant(deep)}, planted())
