"""The gradient cache against the gradient of the whole batch, and contrastive losses against their formulas."""

import os
import subprocess
import sys
import textwrap
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from benchmarks.bench_optimisers import peak
from stages.core.errors import Refusal
from stages.nets import contrast
from stages.nets.contrast import LOSSES, info_nce, joint, symmetric
from stages.nets.gradient_cache import cached_step

NCE = partial(info_nce, temperature=0.05)


def perceptron(dropout=0.0):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Dropout(dropout), nn.Linear(16, 5)).double()


def transformer():
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.1, batch_first=True)
    return nn.Sequential(nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), nn.Flatten(), nn.Linear(64, 8))


def drawn(n, *shape, dtype=torch.float64):
    g = torch.Generator().manual_seed(1)
    return [torch.randn(n, *shape, generator=g, dtype=dtype) for _ in range(2)]


def gradient(*nets):
    return torch.cat([weight.grad.flatten() for net in nets for weight in net.parameters() if weight.grad is not None])


def plain(encoders, inputs, loss, chunk):
    """The same without a cache: all chunks are encoded with their graph, in the same order."""
    rows = [torch.cat([encoder(part) for part in x.split(chunk)]) for encoder, x in zip(encoders, inputs, strict=True)]
    value = loss(*rows)
    value.backward()
    return value.detach()


def off(a, b):
    return ((a - b).norm() / b.norm()).item()


@pytest.mark.parametrize("chunk", [1, 3, 12, 50])
@pytest.mark.parametrize("loss", LOSSES)
def test_chunks_give_the_gradient_of_the_whole(loss, chunk):
    loss = partial(LOSSES[loss], temperature=0.1)
    a, b = perceptron(), perceptron()
    value = plain([a, a], drawn(12, 6), loss, 12)
    assert cached_step([b, b], drawn(12, 6), loss, chunk) == pytest.approx(value.item(), abs=1e-12)
    assert off(gradient(b), gradient(a)) < 1e-10


def test_and_that_is_the_one_of_finite_differences():
    net, inputs = perceptron(), drawn(7, 6)
    cached_step([net, net], inputs, NCE, 3)
    weight, found = net[0].weight, net[0].weight.grad.clone()
    with torch.no_grad():
        for place in [(0, 0), (3, 2), (15, 5)]:
            values = []
            for e in (1e-6, -1e-6):
                weight[place] += e
                values.append(NCE(*(net(x) for x in inputs)))
                weight[place] -= e
            assert (values[0] - values[1]).item() / 2e-6 == pytest.approx(found[place].item(), rel=1e-6, abs=1e-8)


def test_dropout_is_the_same_in_both_passes_and_else_the_gradient_is_wrong(monkeypatch):
    inputs = drawn(24, 4, 16, dtype=torch.float32)

    def found(step):
        net = transformer()
        torch.manual_seed(7)
        step([net, net], inputs, NCE, 5)
        return gradient(net), torch.get_rng_state()

    (whole, after), (cached, then) = found(plain), found(cached_step)
    assert off(cached, whole) < 1e-5
    assert torch.equal(after, then)  # what is drawn next is what one pass would leave
    monkeypatch.setattr(torch, "set_rng_state", lambda state: None)
    assert off(found(cached_step)[0], whole) > 1e-2


def test_small_batches_do_not_add_up_to_the_large_one():
    a, b, inputs = perceptron(), perceptron(), drawn(12, 6)
    plain([a, a], inputs, NCE, 12)
    for part in zip(*(x.split(3) for x in inputs), strict=True):
        (NCE(*(b(x) for x in part)) / 4).backward()
    assert off(gradient(b), gradient(a)) > 1e-2


def test_two_towers_of_named_inputs_and_their_own_chunks():
    class Named(nn.Module):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def forward(self, x, scale, twice=False):
            return self.net(x) * scale[:, None] * (2 if twice else 1)

    x, y = drawn(10, 6)
    scale = torch.linspace(1, 2, 10, dtype=torch.float64)
    one, two = Named(perceptron()), perceptron(0.0)
    NCE(one(x, scale, True), two(y)).backward()
    whole = gradient(one, two)
    one.zero_grad(), two.zero_grad()
    cached_step([one, two], [{"x": x, "scale": scale, "twice": True}, (y,)], NCE, [4, 3])
    assert off(gradient(one, two), whole) < 1e-10


def test_frozen_towers_one_sample_and_gradients_that_are_there_already():
    one, two, inputs = perceptron(), perceptron(), drawn(9, 6)
    two.requires_grad_(False)
    cached_step([one, two], inputs, NCE, 4)
    first = gradient(one).clone()
    cached_step([one, two], inputs, NCE, 2)
    assert off(gradient(one), 2 * first) < 1e-10
    assert all(weight.grad is None for weight in two.parameters())
    net = perceptron()
    assert cached_step([net, net], [x[:1] for x in inputs], NCE, 1) == 0
    assert gradient(net).abs().max() == 0


def test_checkpointing_inside_an_encoder_works():
    from torch.utils.checkpoint import checkpoint

    class Saving(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = perceptron(0.3)

        def forward(self, x):
            return checkpoint(self.net, x, use_reentrant=False)

    a, b, inputs = Saving(), perceptron(0.3), drawn(9, 6)
    for net in (a, b):
        torch.manual_seed(3)
        cached_step([net, net], inputs, NCE, 4)
    assert off(gradient(a), gradient(b)) < 1e-10


def test_autocast_around_all_of_it_keeps_gradients():
    net = perceptron().float()
    inputs = drawn(6, 6, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cached_step([net, net], inputs, NCE, 2)
    assert gradient(net).abs().max() > 0


def test_a_scaler_scales_gradients_and_not_the_loss():
    a, b, inputs = perceptron(), perceptron(), drawn(6, 6)

    class Scaler:
        def scale(self, value):
            return 8 * value

    assert cached_step([a, a], inputs, NCE, 2, Scaler()) == cached_step([b, b], inputs, NCE, 2)
    assert off(gradient(a), 8 * gradient(b)) < 1e-10


def test_200_steps_are_those_of_the_whole_batch():
    losses = {}
    for step, chunk in ((plain, 64), (cached_step, 16)):
        net = perceptron().float()
        optimiser, g = torch.optim.Adam(net.parameters(), 1e-2), torch.Generator().manual_seed(2)
        losses[step] = []
        for _ in range(200):
            x = torch.randn(64, 6, generator=g)
            optimiser.zero_grad()
            noisy = x + 0.5 * torch.randn(64, 6, generator=g)
            losses[step].append(step([net, net], [x, noisy], partial(info_nce, temperature=0.2), chunk))
            optimiser.step()
    a, b = (torch.stack(each) for each in losses.values())
    assert a[-20:].mean() < a[:20].mean() - 0.1
    assert (a - b).abs().max() < 1e-3


class Counting(nn.Module):
    """An encoder that changes a buffer as it is used."""

    def __init__(self):
        super().__init__()
        self.net = perceptron()
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x):
        self.seen.add_(len(x))
        return self.net(x)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda x: cached_step([nn.Sequential(perceptron(), nn.BatchNorm1d(5).double())], x[:1], NCE, 2), "batch norm"),
        (lambda x: cached_step([Counting()] * 2, x, NCE, 2), "buffers change"),
        (lambda x: cached_step([nn.utils.parametrizations.spectral_norm(nn.Linear(6, 3).double())] * 2, x, NCE, 2),
         "buffers change"),
        (lambda x: cached_step([perceptron()], x, NCE, 2), "give one each"),
        (lambda x: cached_step([perceptron()] * 2, x, NCE, 0), "whole numbers from 1"),
        (lambda x: cached_step([perceptron()] * 2, [x[0], (x[1], x[1][:2])], NCE, 2), "one number of rows"),
        (lambda x: cached_step([perceptron()] * 2, [x[0][:0], x[1][:0]], NCE, 2), "one number of rows"),
        (lambda x: info_nce(x[0], x[1][:3], temperature=1.0), "its own partner"),
        (lambda x: info_nce(*x, temperature=0.0), "above 0"),
    ],
)  # fmt: skip
def test_bad_input_is_named(wrong, says):
    with pytest.raises(Refusal, match=says):
        wrong(drawn(6, 6))


def test_batch_norm_in_evaluation_is_fine():
    net = nn.Sequential(perceptron(), nn.BatchNorm1d(5).double()).eval()
    cached_step([net, net], drawn(6, 6), NCE, 2)
    assert gradient(net).abs().max() > 0


def test_losses_are_their_formulas():
    a, b = (functional.normalize(x, dim=1) for x in drawn(5, 3))
    c = functional.normalize(drawn(4, 3)[1] + 1, dim=1)
    s = (a @ b.T / 0.2).exp()
    rows = -(s.diag() / s.sum(1)).log().mean()
    assert info_nce(3 * a, b, temperature=0.2) == pytest.approx(rows.item(), abs=1e-12)
    columns = -(s.diag() / s.sum(0)).log().mean()
    assert symmetric(a, b, temperature=0.2) == pytest.approx(((rows + columns) / 2).item(), abs=1e-12)
    hard = -(s.diag() / (s.sum(1) + (a @ c.T / 0.2).exp().sum(1))).log().mean()
    assert info_nce(a, b, c, temperature=0.2) == pytest.approx(hard.item(), abs=1e-12)
    kept = s.clone()
    kept[0, 3] = kept[3, 0] = 0
    masked = -(s.diag() / kept.sum(1)).log().mean()
    same = torch.tensor([7, 1, 2, 7, 4])
    assert info_nce(a, b, temperature=0.2, same=same) == pytest.approx(masked.item(), abs=1e-12)
    h = torch.cat([a, b])
    whole = (h @ h.T / 0.2).exp().fill_diagonal_(0)
    t = [(i, (i + 5) % 10) for i in range(10)]
    by_hand = torch.stack([-(whole[i, j] / whole[i].sum()).log() for i, j in t]).mean()
    assert joint(a, b, temperature=0.2) == pytest.approx(by_hand.item(), abs=1e-12)


def test_the_articles_h_tilde_is_the_gradient_of_its_loss():
    h = torch.cat(drawn(4, 3)).requires_grad_()
    partner = torch.arange(8).roll(4)
    s = h @ h.T
    masked = s.masked_fill(torch.eye(8, dtype=torch.bool), -torch.inf)
    functional.cross_entropy(masked, partner, reduction="sum").backward()
    assert (contrast.weights_of_others(s.detach(), partner) @ h.detach() - h.grad).abs().max() < 1e-12


TWO = """
import sys, torch
from functools import partial
from stages.core import distributed
from stages.nets import contrast
from stages.nets.gradient_cache import cached_step
from torch import nn

with distributed.joined("cpu"):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 5)).double()
    network = distributed.parallel(net)
    reductions = []
    network.register_comm_hook(None, lambda state, bucket: reductions.append(1) or
        torch.distributed.all_reduce(bucket.buffer(), async_op=True).get_future().then(lambda f: f.value()[0] / 2))
    g = torch.Generator().manual_seed(1)
    x, y, z = (distributed.share(torch.randn(12, 6, generator=g, dtype=torch.float64)) for _ in range(3))
    loss = partial(contrast.info_nce, temperature=0.1)
    value = cached_step([network, network, network], [x, y, z], loss, 2)
    found = torch.cat([weight.grad.flatten() for weight in net.parameters()])
    torch.save((value, found, len(reductions)), sys.argv[1] + str(distributed.world()[0]))
"""


@pytest.mark.slow
def test_two_processes_give_the_gradient_of_one_and_average_once(tmp_path):
    root = Path(__file__).parents[2]
    script = tmp_path / "two.py"
    script.write_text(textwrap.dedent(TWO))
    meeting = {"QUJING_MEETING": f"file://{tmp_path}/meeting", "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    own = {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    started = [
        subprocess.Popen(
            [sys.executable, str(script), str(tmp_path / "found")],
            env={**os.environ, **meeting, **own, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            cwd=tmp_path,
        )
        for rank in range(2)
    ]
    assert [process.wait(120) for process in started] == [0, 0]
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 5)).double()
    g = torch.Generator().manual_seed(1)
    rows = [net(torch.randn(12, 6, generator=g, dtype=torch.float64)) for _ in range(3)]
    whole = info_nce(*rows, temperature=0.1)
    whole.backward()
    for rank in range(2):
        value, found, reductions = torch.load(tmp_path / f"found{rank}")
        assert value == pytest.approx(whole.item(), abs=1e-12)
        assert off(found, gradient(net)) < 1e-10
        assert reductions == 1


@pytest.mark.slow
def test_a_batch_16_times_larger_has_the_same_peak_memory():
    peak = {name: _peak(name) for name in ("plain 32", "cached 512")}
    assert peak["cached 512"] < 1.3 * peak["plain 32"] + 512**2 * 4


def _peak(name):
    """Bytes alive at most during a step, by torch's profiler: those that begin before it, weights, left out."""
    how, n = name.split()
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(64, 4, 128, dropout=0.1, batch_first=True)
    net = nn.Sequential(
        nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), nn.Flatten(), nn.Linear(32 * 64, 64)
    )
    inputs = [torch.randn(int(n), 32, 64) for _ in range(2)]
    for weight in net.parameters():
        weight.grad = torch.zeros_like(weight)
    step = {
        "plain": lambda: plain([net, net], inputs, NCE, int(n)),
        "cached": lambda: cached_step([net, net], inputs, NCE, 32),
    }
    return peak(step[how])
