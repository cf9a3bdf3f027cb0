"""Every loss against its paper's formula, written out here with plain logarithms, and what each of them promises."""

import itertools
import math

import pytest
import torch
from torch import exp, log, sigmoid, sqrt, tanh

from stages.gan import tangents
from stages.gan.losses import DISTANCES, LAMBDA, LOSSES, SHORTEST, Pair, distance
from stages.nets.threads import one_thread


@pytest.fixture(autouse=True)
def calm():
    with one_thread():
        yield


def mean(x):
    return x.sum() / len(x)


def relu(x):
    return x * (x > 0)


def conjugate_of_jeffreys(t):
    """Its slope is 1/W(e^(1-t)), by scipy; as a value it means nothing."""
    special = pytest.importorskip("scipy.special")
    w = torch.from_numpy(special.lambertw(exp(1 - t.detach()).numpy()).real)
    return t / w


def f_gan(a, g):
    """(critic, minimax generator, other generator) of an activation and a conjugate, as tables of f-GAN print them."""
    return (
        lambda r, f, d: -mean(a(r)) + mean(g(a(f))),
        lambda r, f, d: -mean(g(a(f))),
        lambda r, f, d: -mean(a(f)),
    )


def classifier(r, f, d):
    return -mean(log(sigmoid(r))) - mean(log(1 - sigmoid(f)))


def quadratic(r, f, d):
    delta = r - f
    return mean(-delta + delta**2 / (2 * 10 * d))


def averaged(h_real, h_fake):
    def of_critic(r, f, d):
        return (mean(h_real(r - mean(f))) + mean(h_fake(f - mean(r)))) / 2

    return of_critic, lambda r, f, d: of_critic(f, r, d)


def up(r, f, d):
    return -mean(f)


F_GANS = {  # activation of the score, high on reals, and conjugate
    "f_tv": f_gan(lambda v: tanh(v) / 2, lambda t: t),
    "f_kl": f_gan(lambda v: v, lambda t: exp(t - 1)),
    "f_reverse_kl": f_gan(lambda v: -exp(-v), lambda t: -1 - log(-t)),
    "f_pearson": f_gan(lambda v: v, lambda t: t**2 / 4 + t),
    "f_neyman": f_gan(lambda v: 1 - exp(-v), lambda t: 2 - 2 * sqrt(1 - t)),
    "f_hellinger": f_gan(lambda v: 1 - exp(-v), lambda t: t / (1 - t)),
    "f_jeffreys": f_gan(lambda v: v, conjugate_of_jeffreys),
    "f_js": f_gan(lambda v: math.log(2) / 2 - log(1 + exp(-v)) / 2, lambda t: -log(2 - exp(2 * t)) / 2),
    "f_alpha": f_gan(lambda v: (exp(-v / 4) - 1) / (-1 / 4), lambda t: ((1 - t / 4) ** (0.75 / (-0.25)) - 1) / 0.75),
}

HAND = {
    "sgan": (classifier, lambda r, f, d: -mean(log(sigmoid(f)))),
    "sgan_sat": (classifier, lambda r, f, d: mean(log(1 - sigmoid(f)))),
    "sgan_lin": (classifier, up),
    "lsgan": (lambda r, f, d: mean((r - 1) ** 2) + mean((f + 1) ** 2), lambda r, f, d: mean(f**2)),
    "hinge": (lambda r, f, d: mean(relu(1 - r)) + mean(relu(1 + f)), up),
    "wgan": (lambda r, f, d: mean(f) - mean(r), up),
    "rsgan": (lambda r, f, d: -mean(log(sigmoid(r - f))), lambda r, f, d: -mean(log(sigmoid(f - r)))),
    "rasgan": averaged(lambda v: -log(sigmoid(v)), lambda v: -log(1 - sigmoid(v))),
    "ralsgan": averaged(lambda v: (v - 1) ** 2, lambda v: (v + 1) ** 2),
    "rahinge": averaged(lambda v: relu(1 - v), lambda v: relu(1 + v)),
    "gan_qp_l1": (quadratic, lambda r, f, d: mean(r - f)),
    "gan_qp_l2": (quadratic, lambda r, f, d: mean(r - f)),
    "gan_qp_squared": (lambda r, f, d: mean(f - r + 0.25 * (r - f) ** 2 / d), lambda r, f, d: mean(r - f)),
    "dg_sgan": (classifier, lambda r, f, d: -mean(log(1 - sigmoid(-f)))),
    "dg_sgan_sat": (classifier, lambda r, f, d: mean(log(sigmoid(-f)))),
    "dg_sgan_lin": (classifier, up),
    "dg_sgan_free": (classifier, lambda r, f, d: mean(log(sigmoid(-f)))),
    "dg_exp": (lambda r, f, d: mean(exp(-r)) + mean(exp(f)), lambda r, f, d: -mean(exp(f))),
    "dg_exp_ns": (lambda r, f, d: mean(exp(-r)) + mean(exp(f)), lambda r, f, d: mean(exp(-f))),
    "dg_lsgan": (lambda r, f, d: mean((-r + 1) ** 2) + mean((-f - 1) ** 2), lambda r, f, d: mean(f**2)),
}
for key, (of_critic, minimax, other) in F_GANS.items():
    HAND |= {key: (of_critic, minimax), f"{key}_ns": (of_critic, other)}


@pytest.fixture
def nets():
    """A critic of [n, 3], a generator from [n, 2], reals and noise, all in float64."""
    torch.manual_seed(0)
    critic = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.Tanh(), torch.nn.Linear(5, 1), torch.nn.Flatten(0))
    generator = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.Tanh(), torch.nn.Linear(4, 3))
    return critic.double(), generator.double(), torch.randn(7, 3).double() + 1, torch.randn(7, 2).double()


@pytest.mark.parametrize("key", LOSSES)
def test_both_gradients_are_those_of_the_formula(key, nets):
    critic, generator, x_r, z = nets
    kind = key.split("_")[-1]
    by_hand = {"l1": lambda a, b: (a - b).abs().mean(1), "l2": lambda a, b: sqrt(((a - b) ** 2).mean(1))}
    by_hand["squared"] = lambda a, b: ((a - b) ** 2).mean(1)

    def gradients(player, of):
        x_f = generator(z) if player is generator else generator(z).detach()
        return torch.autograd.grad(of(critic(x_r), critic(x_f), x_f.detach()), list(player.parameters()))

    for player, ours, formula in zip(
        (critic, generator), (LOSSES[key].critic, LOSSES[key].generator), HAND[key], strict=True
    ):
        got = gradients(player, lambda r, f, x, ours=ours: ours(Pair(r, f, lambda kind: distance(kind, x_r, x))))
        due = gradients(
            player, lambda r, f, x, formula=formula: formula(r, f, by_hand[kind](x_r, x) if kind in by_hand else None)
        )
        assert max(g.abs().max() for g in due) > 1e-3
        for g, h in zip(got, due, strict=True):
            torch.testing.assert_close(g, h, rtol=1e-9, atol=1e-12)


def scores(r, f, n=5):
    """A pair of [n] leaves with some spread, and distances of 1."""
    jitter = torch.linspace(-0.1, 0.1, n, dtype=torch.float64)
    leaves = [(value + jitter * sign).requires_grad_() for value, sign in ((r, 1), (f, -1))]
    return Pair(*leaves, lambda kind: torch.ones(n, dtype=torch.float64))


def slopes(term, pair):
    """d term / d r and d term / d f, summed over the batch; 0 where the term does not look."""
    found = torch.autograd.grad(term(pair), (pair.r, pair.f), allow_unused=True)
    return [0.0 if slope is None else slope.sum().item() for slope in found]


@pytest.mark.parametrize("key", LOSSES)
def test_each_player_pushes_its_own_way(key):
    """Descent on the critic's loss raises r - f where both are equal; on the generator's, f where it is below r."""
    loss = LOSSES[key]
    for_r, for_f = slopes(loss.critic, scores(0.0, 0.0))
    assert for_f - for_r > 0.1
    _, for_f = slopes(loss.generator, scores(0.5, -0.5))
    assert for_f < -0.1


@pytest.mark.parametrize("key", LOSSES)
@pytest.mark.parametrize("level", [0.0, 50.0, -50.0, 3e4])
def test_nothing_overflows(key, level):
    """Finite losses and gradients in float32 at equal scores and wherever a runaway critic may have gone."""
    pair = Pair(*(torch.full((4,), sign * level, requires_grad=True) for sign in (1, -1)), lambda kind: torch.ones(4))
    for term in (LOSSES[key].critic, LOSSES[key].generator):
        value = term(pair)
        gradients = torch.autograd.grad(value, (pair.r, pair.f), allow_unused=True)
        assert value.isfinite()
        assert all(g is None or g.isfinite().all() for g in gradients)


CUT = {  # where the exponentials are
    "f_kl": "f",
    "f_reverse_kl": "r",
    "f_neyman": "r",
    "f_hellinger": "rf",
    "f_jeffreys": "rf",
    "f_alpha": "rf",
    "dg_exp": "rf",
}


@pytest.mark.parametrize("key", CUT)
def test_an_exponential_that_was_cut_still_pulls_back(key):
    """A clamp would leave a critic alone that has gone wrong by far: reals very low, fakes very high."""
    for_r, for_f = slopes(LOSSES[key].critic, scores(-80.0, 80.0))
    assert "r" not in CUT[key] or for_r < -0.5
    assert "f" not in CUT[key] or for_f > 0.5


def test_the_tangents_go_on_with_value_and_slope():
    """exp and log to 15 either way, and from there straight on."""
    x = torch.tensor([-20.0, 3.0, 15.0, 17.0], dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(
        tangents.exp(x).detach(), torch.tensor([-20.0, 3.0, 15.0, 15.0]).double().exp() * torch.tensor([1, 1, 1, 3])
    )
    torch.testing.assert_close(torch.autograd.grad(tangents.exp(x).sum(), x)[0], x.detach().clamp(max=15).exp())
    y = torch.tensor([2.0, 1e-3, 0.0, -math.exp(-15)], dtype=torch.float64, requires_grad=True)
    due = torch.tensor([math.log(2), math.log(1e-3), -16.0, -17.0], dtype=torch.float64)
    torch.testing.assert_close(tangents.log(y).detach(), due)
    slopes = torch.tensor([0.5, 1e3, math.exp(15), math.exp(15)], dtype=torch.float64)
    torch.testing.assert_close(torch.autograd.grad(tangents.log(y).sum(), y)[0], slopes)


INVARIANT = {"wgan", "rsgan", "rasgan", "ralsgan", "rahinge", "gan_qp_l1", "gan_qp_l2", "gan_qp_squared"}


@pytest.mark.parametrize("key", LOSSES)
def test_a_constant_added_to_all_scores(key):
    """Cancels for the relativistic ones, for WGAN and GAN-QP, and for no other."""
    here, there = scores(0.3, -0.2), scores(1.3, 0.8)
    loss = LOSSES[key]
    same = [
        math.isclose(loss.critic(here).item(), loss.critic(there).item(), abs_tol=1e-12),
        slopes(loss.generator, here)[1] == pytest.approx(slopes(loss.generator, there)[1], abs=1e-12),
    ]
    assert all(same) == (key in INVARIANT)


@pytest.mark.parametrize("key", LOSSES)
def test_the_generator_looks_at_reals_exactly_where_the_row_says_so(key):
    """The best known RSGAN in PyTorch is none: its generator forgot the reals."""
    loss = LOSSES[key]
    if loss.relativistic:
        pulls = [slopes(loss.generator, scores(r, -0.5))[1] for r in (-4.5, 0.5, 5.5)]
        assert max(pulls) - min(pulls) > 0.1
    else:
        blind = Pair(torch.full((5,), math.nan), scores(0.5, -0.5).f)
        assert loss.generator(blind).isfinite()


def test_the_relativistic_rows_are_the_ones_we_mean():
    assert {key for key, loss in LOSSES.items() if loss.relativistic} == {"rsgan", "rasgan", "ralsgan", "rahinge"}


@pytest.mark.parametrize("kind", DISTANCES)
def test_distances_are_means_over_all_pixels_of_a_sample(kind):
    torch.manual_seed(0)
    x, y = torch.rand(4, 3, 5, 6), torch.rand(4, 3, 5, 6)
    for got, a, b in zip(distance(kind, x, y), x.numpy(), y.numpy(), strict=True):
        due = {"l1": abs(a - b).mean(), "l2": ((a - b) ** 2).mean() ** 0.5, "squared": ((a - b) ** 2).mean()}
        assert got.item() == pytest.approx(due[kind], rel=1e-6)


def test_two_equal_images_do_not_blow_the_quotient():
    x = torch.rand(3, 1, 8, 8, requires_grad=True)
    for key, kind in (("gan_qp_l1", "l1"), ("gan_qp_l2", "l2")):
        value = LOSSES[key].critic(Pair(x.mean((1, 2, 3)), x.sum((1, 2, 3)), lambda k: distance(k, x, x.detach())))
        assert value.isfinite()
        assert torch.autograd.grad(value, x)[0].isfinite().all()
        assert distance(kind, x, x).max() <= SHORTEST


@pytest.mark.parametrize("apart", [0.1, 1.0, 7.0])
def test_quadratic_potential_between_two_points(apart):
    """A critic of one parameter, s(x) = c x on points 0 and d: the maximum is lambda d / 2, where JS has log 2."""
    c = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    place = torch.tensor([apart], dtype=torch.float64)

    def loss():
        return LOSSES["gan_qp_l1"].critic(Pair(c * place, c * 0, lambda kind: place))

    optimiser = torch.optim.LBFGS([c], max_iter=100, line_search_fn="strong_wolfe")
    optimiser.step(lambda: (optimiser.zero_grad(), value := loss(), value.backward())[1])
    assert -loss().item() == pytest.approx(LAMBDA * apart / 2, rel=0.01)
    assert (c * place).item() == pytest.approx(LAMBDA * apart, rel=0.01)


def test_the_best_critic_of_gan_qp_on_a_line():
    """Delta / (lambda d) = (p(x)q(y) - p(y)q(x)) / (p(x)q(y) + p(y)q(x)), for a critic T(x, y) of both points."""
    points = torch.tensor([0.0, 1.0, 2.5], dtype=torch.float64)
    p, q = torch.tensor([5, 2, 1]), torch.tensor([1, 2, 3])  # so many copies of each point
    pairs = [
        (i, j) for i, j in itertools.product(range(3), range(3)) for _ in range(int(p[i] * q[j])) if i != j
    ]  # pairs of equal points add nothing
    i, j = torch.tensor(pairs).T
    d = (points[i] - points[j]).abs()
    table = torch.zeros(3, 3, dtype=torch.float64, requires_grad=True)

    def loss():
        return LOSSES["gan_qp_l1"].critic(Pair(table[i, j], table[j, i], lambda kind: d))

    optimiser = torch.optim.LBFGS(
        [table], max_iter=500, tolerance_grad=1e-10, tolerance_change=1e-14, line_search_fn="strong_wolfe"
    )
    optimiser.step(lambda: (optimiser.zero_grad(), value := loss(), value.backward())[1])
    best = (table - table.T).detach()
    for x, y in ((0, 1), (0, 2), (1, 2)):
        forth, back = p[x] * q[y], p[y] * q[x]
        due = LAMBDA * (points[x] - points[y]).abs() * (forth - back) / (forth + back)
        assert best[x, y].item() == pytest.approx(due.item(), rel=1e-4)


def test_gan_qp_does_not_vanish_where_the_minimax_game_does():
    """Reals at 1, fakes at 0, a linear critic trained long: the pull on the fake, against that at the start."""
    pull = {}
    for key in ("sgan_sat", "gan_qp_l1"):
        c = torch.full((1,), 0.1, requires_grad=True)
        optimiser = torch.optim.SGD([c], lr={"sgan_sat": 50.0, "gan_qp_l1": 0.5}[key])
        for _ in range(300):
            optimiser.zero_grad()
            LOSSES[key].critic(Pair(c, -c, lambda kind: torch.ones(1))).backward()
            optimiser.step()
        pull[key] = abs(slopes(LOSSES[key].generator, Pair(c, -c))[1])
    assert pull["sgan_sat"] < 1e-3 * 0.5
    assert pull["gan_qp_l1"] == pytest.approx(1)
