"""GlobalPointer: scores of spans, what is hidden, and the two losses, against loops over cells."""

import math

import pytest
import torch

from stages.text.clue.pointer import SIZE, GlobalPointer, OneSpan, Spans, multilabel
from stages.text.clue.samples import NOTHING, Batch


def batch(windows, t, targets=None):
    n = len(windows)
    return Batch(torch.ones(n, 1, t, dtype=torch.long), torch.tensor(windows), targets)


def head(kind=Spans, kinds=2, dim=8, bias=True):
    torch.manual_seed(0)
    net = kind(dim, kinds, bias).double()
    torch.nn.init.normal_(net.project.weight)
    return net


def test_scores_are_the_formula():
    net, x = head(), torch.randn(1, 1, 5, 8, dtype=torch.float64)
    scores = net(x, batch([[0, 5]], 5))
    projected = net.project(x)[0, 0].view(5, 2, 2, SIZE)  # place, kind, q or k

    def turned(vector, place):
        out = vector.clone()
        for pair in range(SIZE // 2):
            angle = place * 10000.0 ** (-2 * pair / SIZE)
            a, b = vector[2 * pair].item(), vector[2 * pair + 1].item()
            out[2 * pair] = a * math.cos(angle) - b * math.sin(angle)
            out[2 * pair + 1] = a * math.sin(angle) + b * math.cos(angle)
        return out

    for h in range(2):
        for i in range(5):
            for j in range(5):
                wanted = -math.inf
                if j >= i:
                    q, k = turned(projected[i, h, 0], i), turned(projected[j, h, 1], j)
                    wanted = (q @ k).item() / SIZE**0.5
                assert scores[0, h, i, j].item() == pytest.approx(wanted, abs=1e-4)


def test_scores_of_equal_tokens_depend_on_their_distance_alone():
    x = torch.randn(1, 1, 1, 8, dtype=torch.float64).expand(1, 1, 7, 8)
    scores = head()(x, batch([[0, 7]], 7))[0, 0].detach()
    for distance in range(7):
        diagonal = scores.diagonal(distance)
        assert (diagonal - diagonal[0]).abs().max() < 1e-5 * max(1, diagonal.abs().max())
    assert abs(scores[0, 1] - scores[0, 3]) > 1e-3


def test_hidden_places_and_ends_before_starts_have_no_part_in_the_loss():
    net, x = head(), torch.randn(2, 1, 6, 8, dtype=torch.float64, requires_grad=True)
    targets = torch.tensor([[[0, 1, 2]], [[NOTHING] * 3]])
    found = batch([[1, 4], [1, 6]], 6, targets)
    scores = net(x, found)
    seen = scores.isfinite()
    for n, (first, last) in enumerate(found.window.tolist()):
        for i in range(6):
            for j in range(6):
                assert seen[n, :, i, j].all() == (first <= i <= j < last)
    net.loss(scores, targets).backward()
    assert x.grad.isfinite().all()
    assert x.grad[0, 0, [0, 4, 5]].abs().max() == 0
    assert x.grad[0, 0, 1:4].abs().min() > 0


def test_the_loss_of_many_spans_is_that_of_a_loop():
    torch.manual_seed(1)
    scores = 3 * torch.randn(4, 2, 5, 5, dtype=torch.float64)
    scores[:, :, torch.ones(5, 5).tril(-1) > 0] = -torch.inf
    targets = torch.tensor([[[0, 1, 2], [1, 0, 4]], [[1, 3, 3], [NOTHING] * 3], [[NOTHING] * 3] * 2, [[0, 0, 0]] * 2])
    cells = [{(0, 1, 2), (1, 0, 4)}, {(1, 3, 3)}, set(), {(0, 0, 0)}]
    wanted = 0.0
    for n in range(4):
        for h in range(2):
            others, own = 1.0, 1.0
            for i in range(5):
                for j in range(i, 5):
                    s = scores[n, h, i, j].item()
                    if (h, i, j) in cells[n]:
                        own += math.exp(-s)
                    else:
                        others += math.exp(s)
            wanted += math.log(others) + math.log(own)
    assert Spans.loss(head(), scores, targets).item() == pytest.approx(wanted / 8, abs=1e-6)


def test_with_one_right_cell_the_loss_is_like_that_of_softmax():
    """For one right cell of score s: log(1 + sum e^s_j) + log(1 + e^-s), by brute force; both bounds of its article."""
    scores = torch.randn(3, 7, dtype=torch.float64)
    right = torch.zeros(3, 7, dtype=torch.bool)
    right[:, 2] = True
    for row, found in zip(scores.tolist(), multilabel(scores, right).tolist(), strict=True):
        others = [s for i, s in enumerate(row) if i != 2]
        wanted = math.log((1 + sum(map(math.exp, others))) * (1 + math.exp(-row[2])))
        assert found == pytest.approx(wanted, abs=1e-6)
        softmax = math.log(1 + sum(math.exp(s - row[2]) for s in others))
        assert found > softmax  # the threshold 0 stands between: it asks for more


def test_one_span_is_softmax_over_all_cells_and_the_question_is_hidden():
    net, x = head(OneSpan, kinds=1, bias=False), torch.randn(2, 1, 7, 8, dtype=torch.float64)
    targets = torch.tensor([[[0, 3, 4]], [[0, 0, 0]]])
    scores = net(x, batch([[3, 6], [3, 5]], 7)).detach()
    assert scores[0, 0].isfinite().sum() == 10  # of four seen places: 0, 3, 4, 5
    wanted = 0.0
    for n, (i, j) in enumerate([(3, 4), (0, 0)]):
        held = scores[n, 0][scores[n, 0].isfinite()]
        wanted -= math.log(math.exp(scores[n, 0, i, j]) / held.exp().sum().item()) / 2
    assert net.loss(scores, targets).item() == pytest.approx(wanted, abs=1e-9)


def test_answers_are_the_best_cell_off_place_0_and_all_cells_above_0():
    scores = torch.full((2, 1, 4, 4), -torch.inf)
    scores[0, 0, 0, 0], scores[0, 0, 1, 3], scores[0, 0, 0, 2] = 9.0, 2.0, 5.0
    scores[1, 0, 2, 2] = -1.0
    assert OneSpan.answers(head(), scores) == [(2.0, 1, 3), (-1.0, 2, 2)]
    assert Spans.answers(head(), scores) == [[(0, 0, 0), (0, 0, 2), (0, 1, 3)], []]
    assert issubclass(OneSpan, GlobalPointer)
