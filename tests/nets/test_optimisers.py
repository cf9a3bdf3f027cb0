"""Optimisers against formulas by hand in float64, torch's own, and each other; for every entry of the table."""

import copy
import io
from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn import functional

from stages.core.checkpoints import Checkpoint
from stages.core.errors import Refusal
from stages.nets.optimisers import (
    OPTIMISERS,
    Accumulate,
    AdaFactor,
    AdaX,
    Decorator,
    Heun,
    LayerAdaptive,
    Lazy,
    Lion,
    Lookahead,
    Scheduled,
    Tiger,
    WeightDecay,
    decayed,
    groups,
    piecewise,
)
from stages.nets.training import restore, state

EXACT = 1e-12


class Net(nn.Module):
    """A perceptron whose dropout is given with each sample: masks do not depend on how a batch is cut."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.norm = nn.Embedding(7, 6), nn.LayerNorm(6)
        self.one, self.two = nn.Linear(6, 9), nn.Linear(9, 3)

    def forward(self, words, masks):
        return self.two(torch.tanh(self.one(self.norm(self.words(words)))) * masks)


def made(seed=0):
    torch.manual_seed(seed)
    return Net().double()


def batches(steps, size, seed=1):
    """Samples of each step: words, dropout masks, classes and how much each counts."""
    g = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        masks = torch.bernoulli(torch.full((size, 9), 0.9, dtype=torch.float64), generator=g) / 0.9
        yield torch.randint(7, (size,), generator=g), masks, torch.randint(3, (size,), generator=g)


def loss(net, words, masks, classes):
    return functional.cross_entropy(net(words, masks), classes)


def large(net, optimiser, steps=50, size=20):
    for batch in batches(steps, size):
        optimiser.zero_grad()
        loss(net, *batch).backward()
        optimiser.step()


def small(net, optimiser, cuts, steps=50, size=20, weighted=True):
    """The same samples, in micro-batches of the sizes `cuts`."""
    for batch in batches(steps, size):
        for part in zip(*(each.split(cuts) for each in batch), strict=True):
            optimiser.zero_grad()
            loss(net, *part).backward()
            optimiser.step(weight=len(part[0])) if weighted else optimiser.step()


def apart(one, two):
    return max((a - b).abs().max().item() for a, b in zip(one.parameters(), two.parameters(), strict=True))


def weights_of(net):
    return [weight.detach().clone() for weight in net.parameters()]


@pytest.mark.parametrize("k", [2, 5, 10])
@pytest.mark.parametrize("name", OPTIMISERS)
def test_accumulation_is_the_large_batch(name, k):
    one, two = made(), made()
    large(one, OPTIMISERS[name](one, 0.01))
    small(two, Accumulate(OPTIMISERS[name](two, 0.01), k), [20 // k] * k, weighted=False)
    assert apart(one, made()) > 1e-3
    assert apart(one, two) < EXACT


@pytest.mark.parametrize("name", OPTIMISERS)
def test_micro_batches_of_unequal_size_count_by_their_samples(name):
    one, two, three = made(), made(), made()
    cuts = [1, 13, 6]
    large(one, OPTIMISERS[name](one, 0.01))
    small(two, Accumulate(OPTIMISERS[name](two, 0.01), 3), cuts)
    small(three, Accumulate(OPTIMISERS[name](three, 0.01), 3), cuts, weighted=False)
    assert apart(one, two) < EXACT
    assert apart(one, three) > 1e-4  # the mean of means is not the mean


def test_masked_tokens_count_by_their_number():
    torch.manual_seed(0)
    one, two = (nn.Linear(4, 3).double() for _ in range(2))
    two.load_state_dict(one.state_dict())
    x, classes = torch.randn(6, 5, 4, dtype=torch.float64), torch.randint(3, (6, 5))
    classes[torch.rand(6, 5) < 0.4] = -100
    a, b = torch.optim.SGD(one.parameters(), 0.1), Accumulate(torch.optim.SGD(two.parameters(), 0.1), 3)
    functional.cross_entropy(one(x).flatten(0, 1), classes.flatten()).backward()
    a.step()
    for part, of in zip(x.split(2), classes.split(2), strict=True):
        b.zero_grad()
        functional.cross_entropy(two(part).flatten(0, 1), of.flatten()).backward()
        b.step(weight=(of >= 0).sum())
    assert apart(one, two) < EXACT


class Soft2018:
    """The scheme of 2018: both branches of its conditional ran: it moved at every micro-step, and first at step 0."""

    def __init__(self, base, k):
        self.base, self.k, self.done = base, k, 0
        self.sums = [torch.zeros_like(weight) for group in base.param_groups for weight in group["params"]]

    def step(self):
        weights = [weight for group in self.base.param_groups for weight in group["params"]]
        gradients = [weight.grad.clone() for weight in weights]
        for weight, total in zip(weights, self.sums, strict=True):
            weight.grad = total / self.k
        self.base.step()
        for total, gradient in zip(self.sums, gradients, strict=True):
            total.copy_(gradient if self.done % self.k == 0 else total + gradient)
        self.done += 1


def moved_between(net, optimiser, base, k):
    """Whether weights or what `base` remembers changed at a micro-step that is not the last of its window."""
    found = False
    for i, batch in enumerate(batches(3 * k, 4)):
        optimiser.zero_grad() if hasattr(optimiser, "zero_grad") else base.zero_grad()
        loss(net, *batch).backward()
        before, held = weights_of(net), copy.deepcopy(base.state_dict()["state"])
        optimiser.step()
        if (i + 1) % k:
            same = all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))
            found |= not same or str(held) != str(base.state_dict()["state"])
    return found


@pytest.mark.parametrize("name", OPTIMISERS)
def test_nothing_moves_between_boundaries(name):
    net = made()
    base = OPTIMISERS[name](net, 0.01)
    assert not moved_between(net, Accumulate(base, 4), base, 4)


def test_the_scheme_of_2018_fails_that():
    net = made()
    base = torch.optim.Adam(net.parameters(), 0.01)
    assert moved_between(net, Soft2018(base, 4), base, 4)


def stacked(net):
    """Every decorator around each other, in its order."""
    base = WeightDecay(torch.optim.Adam(net.parameters(), 0.01), 0.1)
    lazy = Lazy(LayerAdaptive(base), [net.words.weight])
    return Accumulate(Lookahead(Scheduled(lazy, {3: 1.0, 9: 0.5}), k=2), 3)


WAYS = {**{name: lambda net, make=make: Accumulate(make(net, 0.01), 3) for name, make in OPTIMISERS.items()}}
WAYS |= {"stacked": stacked, "tiger over 3": lambda net: Tiger(groups(net), 0.01, k=3)}


@pytest.mark.parametrize("cut", range(1, 7))
@pytest.mark.parametrize("name", WAYS)
def test_what_is_saved_at_any_micro_step_goes_on_to_the_same_bits(name, cut, tmp_path):
    whole, first, second = made(), made(), made()

    def run(net, optimiser, start, end):
        for i, batch in enumerate(batches(7, 5)):
            if start <= i < end:
                optimiser.zero_grad()
                loss(net, *batch).backward()
                optimiser.step()

    run(whole, WAYS[name](whole), 0, 7)
    parts = {"net": first, "optimiser": WAYS[name](first)}
    run(first, parts["optimiser"], 0, cut)
    Checkpoint(tmp_path).save(state(parts), {})
    again = {"net": second, "optimiser": WAYS[name](second)}
    restore(again, Checkpoint(tmp_path).load()[0])
    run(second, again["optimiser"], cut, 7)
    assert apart(whole, second) == 0

    file = io.BytesIO()  # and by torch's own way
    third = made()
    torch.save(parts["optimiser"].state_dict(), file)
    third.load_state_dict(first.state_dict())
    optimiser = WAYS[name](third)
    optimiser.load_state_dict(torch.load(io.BytesIO(file.getvalue()), weights_only=True))
    run(third, optimiser, cut, 7)
    assert apart(whole, third) == 0


def test_a_window_that_is_not_full_is_made_or_dropped_as_told():
    one, two, three = made(), made(), made()
    for net, how in ((two, "flush"), (three, "drop")):
        optimiser = Accumulate(torch.optim.SGD(net.parameters(), 0.1), 5)
        small(net, optimiser, [10, 10], steps=1)
        getattr(optimiser, how)()
        optimiser.flush()  # nothing is left
    large(one, torch.optim.SGD(one.parameters(), 0.1), steps=1)
    assert apart(one, two) < EXACT
    assert apart(three, made()) == 0


def test_clipping_is_of_the_mean_gradient():
    one, two = made(), made()
    base = torch.optim.SGD(two.parameters(), 1.0)

    def clip(*_):
        nn.utils.clip_grad_norm_(two.parameters(), 0.05)

    base.register_step_pre_hook(clip)
    small(two, Accumulate(base, 4), [5] * 4, steps=3)
    optimiser = torch.optim.SGD(one.parameters(), 1.0)
    for batch in batches(3, 20):
        optimiser.zero_grad()
        loss(one, *batch).backward()
        nn.utils.clip_grad_norm_(one.parameters(), 0.05)
        optimiser.step()
    assert apart(one, two) < EXACT


def test_lookahead_is_the_recursion_of_slow_weights():
    net, fast = made(), made()
    optimiser, base = Lookahead(torch.optim.Adam(net.parameters(), 0.01), k=5, a=0.3), None
    base = torch.optim.Adam(fast.parameters(), 0.01)
    slow = weights_of(fast)
    for i, batch in enumerate(batches(20, 8)):
        for each, one in ((net, optimiser), (fast, base)):
            one.zero_grad()
            loss(each, *batch).backward()
            one.step()
        if i % 5 == 4:
            with torch.no_grad():
                slow = [old + 0.3 * (new - old) for old, new in zip(slow, fast.parameters(), strict=True)]
                for weight, value in zip(fast.parameters(), slow, strict=True):
                    weight.copy_(value)
            assert apart(net, fast) < 1e-15


@pytest.mark.parametrize("name", sorted(set(OPTIMISERS) - {"warm", "lookahead"}))  # which stand around Lazy
def test_lazy_leaves_rows_alone_that_did_not_come(name):
    net = made()
    optimiser = Lazy(OPTIMISERS[name](net, 0.01), [net.words.weight])
    for step in range(6):
        words = torch.tensor([0, 1, 2]) if step % 2 else torch.tensor([2, 5])
        optimiser.zero_grad()
        before = net.words.weight.detach().clone()
        loss(net, words, torch.ones(len(words), 9).double(), words % 3).backward()
        optimiser.step()
        rest = [i for i in range(7) if i not in words]
        assert torch.equal(net.words.weight[rest], before[rest])
        assert not torch.equal(net.words.weight[words], before[words])


def embedded(sparse, rows=50):
    torch.manual_seed(0)
    return nn.Embedding(rows, 4, sparse=sparse).double()


def looked_up(net, optimiser, steps=30):
    g = torch.Generator().manual_seed(3)
    for _ in range(steps):
        rows = torch.randint(len(net.weight), (6,), generator=g)
        optimiser.zero_grad()
        (net(rows) - torch.linspace(-1, 1, 4).double()).square().mean().backward()
        optimiser.step()


def test_lazy_adam_of_sparse_gradients_is_sparse_adam():
    one, two = embedded(True), embedded(True)
    looked_up(one, torch.optim.SparseAdam(one.parameters(), lr=0.01, eps=1e-20))
    lazy = Lazy(torch.optim.Adam(two.parameters(), lr=0.01, eps=1e-20), two.parameters())
    looked_up(two, lazy)
    assert apart(one, embedded(True)) > 0.01
    assert apart(one, two) < EXACT
    assert lazy.state[two.weight]["exp_avg"].shape == two.weight.shape
    assert not any(key.grad is not None and len(key) < 50 for key in lazy.base.state)  # no rows stay behind


@pytest.mark.parametrize("make", [torch.optim.SGD, torch.optim.RMSprop, AdaX, Lion, torch.optim.Adagrad])
def test_lazy_with_sparse_gradients_is_the_optimiser_itself_where_all_rows_come(make):
    one, two = embedded(False, 3), embedded(True, 3)
    for net, optimiser in ((one, make(one.parameters(), lr=0.01)), (two, None)):
        optimiser = optimiser or Lazy(make(two.parameters(), lr=0.01), two.parameters())
        for _ in range(5):
            optimiser.zero_grad()
            net(torch.tensor([0, 1, 2, 1])).square().sum().backward()
            optimiser.step()
    assert apart(one, two) < EXACT


def test_sparse_gradients_are_accumulated_and_saved_too(tmp_path):
    def way(net):
        return Accumulate(Lazy(torch.optim.Adam(net.parameters(), lr=0.01), net.parameters()), 3)

    one, two = embedded(True), embedded(True)
    looked_up(one, way(one), 5)
    g = torch.Generator().manual_seed(3)
    optimiser = way(two)
    for i in range(5):
        if i == 2:
            Checkpoint(tmp_path).save(state({"o": optimiser, "net": two}), {})
            two = embedded(True)
            optimiser = way(two)
            restore({"o": optimiser, "net": two}, Checkpoint(tmp_path).load()[0])
        rows = torch.randint(50, (6,), generator=g)
        optimiser.zero_grad()
        (two(rows) - torch.linspace(-1, 1, 4).double()).square().mean().backward()
        optimiser.step()
    assert apart(one, two) == 0


def gradients(shape, steps=50, seed=4):
    g = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=g, dtype=torch.float64) for _ in range(steps)]


def stepped(optimiser, weight, given):
    """The weight after each of the gradients."""
    for g in given:
        weight.grad = g.clone()
        optimiser.step()
        yield weight.detach().clone()


def parameter(shape, scale=0.5):
    g = torch.Generator().manual_seed(5)
    return nn.Parameter(scale * torch.randn(shape, generator=g, dtype=torch.float64) + 0.1)


def agree(steps, formula):
    return max((a - b).abs().max().item() for a, b in zip(steps, formula, strict=True)) < EXACT


def test_adax_is_its_formula():
    weight, given = parameter((5, 4)), gradients((5, 4))

    def by_hand(p, lr=0.01, b1=0.9, b2=1e-4, e=1e-8, decay=0.1):
        m = v = torch.zeros_like(p)
        for t, g in enumerate(given, 1):
            m, v = b1 * m + (1 - b1) * g, (1 + b2) * v + b2 * g**2
            p = p - lr * m / ((v / ((1 + b2) ** t - 1)).sqrt() + e) - lr * decay * p
            yield p

    start = weight.detach().clone()
    assert agree(stepped(AdaX([weight], 0.01, weight_decay=0.1), weight, given), by_hand(start))


def test_adax_of_a_constant_gradient_has_a_second_moment_of_1():
    weight = parameter((3,))
    optimiser = AdaX([weight])
    for _ in stepped(optimiser, weight, [torch.ones(3, dtype=torch.float64)] * 300):
        assert (optimiser.state[weight]["square"] - 1).abs().max() < EXACT
    optimiser.state[weight]["step"] = 20_000_000  # where (1 + b2)^t is no float64 any more
    assert all(each.isfinite().all() for each in stepped(optimiser, weight, [torch.ones(3).double()]))


@pytest.mark.parametrize("shape", [(160, 130), (130, 160), (200, 6), (3, 128, 129), (140,)])
@pytest.mark.parametrize("beta1", [0.0, 0.9])
def test_adafactor_is_its_formula(shape, beta1):
    weight, given = parameter(shape), gradients(shape, 8)

    def rms(x):
        return x.square().mean().sqrt()

    def by_hand(p, lr=0.01, e1=1e-30, e2=1e-3, d=1.0):
        rows = columns = whole = mean = 0.0
        factored = sorted(shape)[-2:][0] >= 128 and len(shape) > 1
        for t, g in enumerate(given, 1):
            b = 1 - t**-0.8
            if factored:
                rows = b * rows + (1 - b) * (g**2 + e1).mean(-1)
                columns = b * columns + (1 - b) * (g**2 + e1).mean(-2)
                v = torch.einsum("...r,...c->...rc", rows, columns) / rows.mean(-1)[..., None, None]
            else:
                v = whole = b * whole + (1 - b) * (g**2 + e1)
            u = g / v.sqrt()
            u = u / max(1.0, (rms(u) / d).item())
            u = mean = beta1 * mean + (1 - beta1) * u
            p = p - min(lr, t**-0.5) * max(e2, rms(p).item()) * u
            yield p

    start = weight.detach().clone()
    assert agree(stepped(AdaFactor([weight], beta1=beta1), weight, given), by_hand(start))


def test_adafactor_is_torchs_where_both_are_the_same():
    one, two, given = parameter((150, 140)), parameter((150, 140)), gradients((150, 140), 20)
    theirs = torch.optim.Adafactor([two], lr=0.01)
    assert agree(stepped(AdaFactor([one], 0.01), one, given), stepped(theirs, two, given))


def test_adafactor_has_squares_of_rank_1_exactly_and_keeps_rows_and_columns_only():
    weight = parameter((300, 200))
    optimiser = AdaFactor([weight])
    a, b = torch.rand(300).double() + 0.1, torch.rand(200).double() + 0.1
    g = (a[:, None] * b).sqrt()
    list(stepped(optimiser, weight, [g]))
    held = optimiser.state[weight]
    assert ((held["row"] * held["column"] / held["row"].mean()) / g**2 - 1).abs().max() < EXACT
    assert sum(value.numel() for value in held.values() if torch.is_tensor(value)) < 1.02 * (300 + 200)


def test_lion_is_its_formula():
    weight, given = parameter((5, 4)), gradients((5, 4))

    def by_hand(p, lr=0.01, b1=0.9, b2=0.99, decay=0.1):
        m = torch.zeros_like(p)
        for g in given:
            p = p - lr * (torch.sign(b1 * m + (1 - b1) * g) + decay * p)
            m = b2 * m + (1 - b2) * g
            yield p

    start = weight.detach().clone()
    assert agree(stepped(Lion([weight], 0.01, weight_decay=0.1), weight, given), by_hand(start))


@pytest.mark.parametrize("scale", ["weight", "row", "half"])
def test_tiger_is_its_formula(scale):
    weight, given = parameter((5, 4)), gradients((5, 4))

    def by_hand(p, lr=0.01, b=0.945, decay=0.1):
        m = torch.zeros_like(p)
        for g in given:
            m = b * m + (1 - b) * g
            size = {
                "weight": p.square().mean().sqrt(),
                "row": p.square().mean(-1, keepdim=True).sqrt(),
                "half": 0.5,
            }[scale]
            p = p - lr * size * (torch.sign(m) + decay * p)
            yield p

    start = weight.detach().clone()
    assert agree(stepped(Tiger([weight], 0.01, weight_decay=0.1, scale=scale), weight, given), by_hand(start))


@pytest.mark.parametrize("k", [2, 5, 10])
def test_tiger_accumulates_without_a_buffer(k):
    one, two = made(), made()
    whole = Tiger(groups(one), 0.01)
    large(one, whole)
    optimiser = Tiger(groups(two), 0.01, k=k)
    for batch in batches(50, 20):
        for i, part in enumerate(zip(*(each.split(20 // k) for each in batch), strict=True)):
            optimiser.zero_grad()
            loss(two, *part).backward()
            before = weights_of(two)
            optimiser.step()
            if i < k - 1:
                assert all(torch.equal(a, b) for a, b in zip(before, two.parameters(), strict=True))
    assert apart(one, two) < EXACT
    held = optimiser.state[two.one.weight]
    assert (held["mean"] - whole.state[one.one.weight]["mean"]).abs().max() < EXACT  # not of its signs only
    assert sum(value.numel() for value in held.values() if torch.is_tensor(value)) == two.one.weight.numel()


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("centre", [0.0, 1.0])
def test_tiger_skips_what_is_no_number_and_draws_back(bad, centre):
    weight = parameter((5,))
    optimiser = Tiger([weight], 0.01, scale="half", centre=centre, weight_decay=0.0)
    list(stepped(optimiser, weight, gradients((5,), 3)))
    before, mean = weight.detach().clone(), optimiser.state[weight]["mean"].clone()
    g = torch.ones(5, dtype=torch.float64)
    g[2] = bad
    list(stepped(optimiser, weight, [g]))
    assert torch.equal(optimiser.state[weight]["mean"], mean)
    assert (weight - ((before - centre) * 0.99 + centre)).abs().max() < EXACT


def test_tigers_groups_know_matrices_embeddings_gains_and_biases():
    net = made()
    how = {id(weight): group for group in groups(net) for weight in group["params"]}
    assert how[id(net.one.weight)]["scale"] == "weight"
    assert how[id(net.words.weight)]["scale"] == "row"
    assert how[id(net.norm.weight)]["centre"] == 1
    assert how[id(net.norm.bias)]["centre"] == how[id(net.one.bias)]["weight_decay"] == 0
    assert len(how) == len(list(net.parameters()))


def test_weight_decay_around_adam_is_adamw():
    one, two = made(), made()
    large(one, torch.optim.AdamW(decayed(one, 0.3), 0.01))
    wrapped = [{**group, "decay": group["weight_decay"], "weight_decay": 0.0} for group in decayed(two, 0.3)]
    large(two, WeightDecay(torch.optim.Adam(wrapped, 0.01), 0.0))
    assert apart(one, two) < EXACT
    three = made()
    large(three, torch.optim.Adam(decayed(three, 0.3), 0.01))  # L2 in the gradient is another thing
    assert apart(one, three) > 1e-3


def test_layer_adaptive_adamw_is_lamb():
    weight, given = parameter((5, 4)), gradients((5, 4))

    def by_hand(p, lr=0.01, b1=0.9, b2=0.999, e=1e-8, decay=0.1):
        m = v = torch.zeros_like(p)
        for t, g in enumerate(given, 1):
            m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
            h = m / (1 - b1**t) / ((v / (1 - b2**t)).sqrt() + e) + decay * p
            p = p - lr * p.norm() / h.norm() * h
            yield p

    start = weight.detach().clone()
    optimiser = LayerAdaptive(torch.optim.AdamW([weight], 0.01, weight_decay=0.1))
    assert agree(stepped(optimiser, weight, given), by_hand(start))


def test_layer_adaptive_steps_plainly_where_a_norm_is_0():
    weight = nn.Parameter(torch.zeros(2, 3, dtype=torch.float64))
    optimiser = LayerAdaptive(torch.optim.SGD([weight], 0.1))
    list(stepped(optimiser, weight, [torch.ones(2, 3).double(), torch.zeros(2, 3).double()]))
    assert (weight + 0.1).abs().max() < EXACT


def test_heun_is_of_second_order():
    def error(make, e):
        p = nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
        optimiser = make([p], lr=e)

        def closure():
            optimiser.zero_grad()
            value = (p**2 / 2 - torch.cos(p) / 2).sum()  # its gradient is p + sin(p) / 2
            value.backward()
            return value

        for _ in range(round(2 / e)):
            optimiser.step(closure)
        from scipy.integrate import solve_ivp

        exact = solve_ivp(lambda t, y: -(y + 0.5 * torch.sin(torch.tensor(y)).numpy()), (0, 2), [1.0], rtol=1e-12)
        return abs(p.item() - exact.y[0, -1])

    for make, order in ((Heun, 2.0), (torch.optim.SGD, 1.0)):
        errors = [error(make, e) for e in (0.2, 0.1, 0.05)]
        for a, b in pairwise(errors):
            assert torch.log2(torch.tensor(a / b)).item() == pytest.approx(order, abs=0.2)


def test_a_schedule_is_straight_between_its_points():
    factor = piecewise({10: 1.0, 20: 0.5})
    assert [factor(step) for step in (0, 5, 10, 15, 20, 30)] == [0, 0.5, 1, 0.75, 0.5, 0.5]
    assert piecewise({0: 2.0})(7) == 2


def test_scheduled_steps_at_the_rates_of_its_points_and_shows_those_given():
    weight = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimiser = Accumulate(Scheduled(torch.optim.SGD([weight], 1.0), {10: 1.0, 20: 0.5}), 2)
    at = [0.0, *(each.item() for each in stepped(optimiser, weight, [-torch.ones(1).double()] * 62))]
    moves = [b - a for a, b in zip(at[1::2], at[2::2], strict=True)]  # one a window
    assert [moves[step] for step in (0, 5, 10, 15, 20, 30)] == pytest.approx([0, 0.5, 1, 0.75, 0.5, 0.5])
    assert optimiser.param_groups[0]["lr"] == 1.0


@pytest.mark.parametrize("name", OPTIMISERS)
def test_each_is_an_optimiser_as_torch_knows_them(name):
    net = made()
    optimiser = Accumulate(OPTIMISERS[name](net, 0.01), 2)
    assert isinstance(optimiser, torch.optim.Optimizer)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 0.5**step)
    batch = next(batches(1, 6))

    def closure():
        optimiser.zero_grad()
        value = loss(net, *batch)
        value.backward()
        return value

    given = [optimiser.step(closure) for _ in range(2)]
    schedule.step()
    assert given[0] == given[1]
    assert {group["lr"] for group in optimiser.base.param_groups} == {0.005}
    twin = copy.deepcopy(optimiser)
    assert twin.param_groups[0]["params"][0] is not optimiser.param_groups[0]["params"][0]
    optimiser.add_param_group({"params": [nn.Parameter(torch.ones(2).double())]})
    assert len(optimiser.base.param_groups) == len(twin.param_groups) + 1


@pytest.mark.parametrize("name", OPTIMISERS)
def test_weights_without_a_gradient_rest(name):
    net = made()
    optimiser = OPTIMISERS[name](net, 0.01)
    loss(net, *next(batches(1, 6))).backward()
    net.two.weight.grad = None
    before = net.two.weight.detach().clone()
    optimiser.step()
    assert torch.equal(net.two.weight, before)


def weight():
    return nn.Parameter(torch.ones(3, 2))


def sgd(**more):
    return torch.optim.SGD([weight()], 0.1, **more)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda: Accumulate(sgd(), 0), "k must be a whole number"),
        (lambda: Accumulate(Accumulate(sgd(), 2), 2), "cannot stand around Accumulate"),
        (lambda: Lookahead(Accumulate(sgd(), 2)), "cannot stand around Accumulate"),
        (lambda: Lookahead(nn.Linear(1, 1)), "takes an optimiser"),
        (lambda: Lookahead(sgd(), k=0), "whole number from 1"),
        (lambda: Accumulate(sgd(), 2).step(), "call backward"),
        (lambda: AdaX([weight()], lr=-1.0), "0 or more"),
        (lambda: AdaX([weight()], b2=0.0), "above 0"),
        (lambda: Lion([weight()], beta1=1.0), "below 1"),
        (lambda: Tiger([weight()], k=0), "whole number"),
        (lambda: WeightDecay(sgd(), -0.1), "0 or more"),
        (lambda: Lazy(sgd(), [weight()]), "among the weights"),
        (lambda: Heun([weight()]).step(), "closure"),
        (lambda: piecewise({5: 1.0, 3: 1.0}), "each larger"),
        (lambda: piecewise({-1: 1.0}), "each larger"),
        (lambda: piecewise({3: -1.0}), "factors"),
        (lambda: Accumulate(sgd(), 2).load_state_dict(sgd().state_dict() | {"state": {0: {"a": 1}}}), "none of"),
    ],
)  # fmt: skip
def test_bad_input_is_named(wrong, says):
    with pytest.raises(Refusal, match=says):
        wrong()


def test_a_window_cannot_change_its_size_in_the_middle():
    net = made()
    optimiser = Accumulate(torch.optim.SGD(net.parameters(), 0.1), 3)
    small(net, optimiser, [5], steps=1, size=5)
    with pytest.raises(Refusal, match="flush or drop"):
        optimiser.k = 4
    saved = optimiser.state_dict()
    with pytest.raises(Refusal, match="set k as it was"):
        Accumulate(torch.optim.SGD(net.parameters(), 0.1), 1).load_state_dict(saved)


def test_the_state_of_another_kind_is_refused():
    net = made()
    one = Lookahead(torch.optim.Adam(net.parameters()))
    large(net, one, steps=2)
    with pytest.raises(Refusal, match="lookahead"):
        Accumulate(torch.optim.Adam(net.parameters()), 2).load_state_dict(one.state_dict())
    assert isinstance(one, Decorator)


def test_sparse_gradients_are_refused_where_they_are_not_taken():
    net = embedded(True)
    for optimiser, says in ((AdaX(net.parameters()), "Lazy"), (AdaFactor(net.parameters()), "Lazy")):
        with pytest.raises(Refusal, match=says):
            looked_up(net, optimiser, 1)
    big = nn.Embedding(300, 200, sparse=True).double()
    lazy = Lazy(AdaFactor(big.parameters()), big.parameters())
    big(torch.arange(150)).sum().backward()
    with pytest.raises(Refusal, match="dense"):
        lazy.step()
