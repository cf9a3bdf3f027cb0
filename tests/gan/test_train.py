"""Every row of the family trains, resumes to the same bytes, and its gradients are those of its equations."""

from dataclasses import replace

import pytest
import torch
import yaml
from repository import ROOT
from torch.nn.functional import softplus

from stages.core.errors import Refusal
from stages.gan import o_gan, train
from stages.gan.settings import Penalty
from stages.nets import training

CPU = torch.device("cpu")
SYSTEMS = yaml.safe_load((ROOT / "params.yaml").read_text())["systems"]
ROWS = [key for key, row in SYSTEMS.items() if row["kind"] == "gan"]
BED = [key for key in ROWS if key != "gan_toy"]  # which is an article's own setting


def weights(game):
    return {f"{name}/{key}": value for name, net in game.nets.items() for key, value in net.state_dict().items()}


def played(how, pixels, seed=0, spool=None):
    game = train.build(how, tuple(pixels.shape[1:]), seed, CPU)
    return game, *train.play(game, pixels, how, seed, spool)


@pytest.mark.parametrize("key", ROWS)
def test_a_row_trains_and_goes_on_to_the_same_bytes(rows, pixels, tmp_path, monkeypatch, key):
    how = replace(rows[key], watch=replace(rows[key].watch, every=2))
    game, average, grids, history = played(how, pixels)
    assert all(len(column) == how.steps for column in history.values())
    assert all(torch.isfinite(value).all() for value in weights(game).values())
    monkeypatch.setattr(training, "BETWEEN_CHECKPOINTS", 0.0)
    real = type(game).generator
    calls = []

    def until(self, *given):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real(self, *given)

    monkeypatch.setattr(type(game), "generator", until)
    with pytest.raises(KeyboardInterrupt):
        played(how, pixels, spool=tmp_path)
    monkeypatch.setattr(type(game), "generator", real)
    again, average_again, grids_again, history_again = played(how, pixels, spool=tmp_path)
    assert history_again == history
    assert torch.equal(grids, grids_again)
    assert all(torch.equal(value, weights(again)[name]) for name, value in weights(game).items())
    assert all(torch.equal(a, b) for a, b in zip(average.parameters(), average_again.parameters(), strict=True))


@pytest.mark.skipif(not torch.cpu._is_avx512_bf16_supported(), reason="this processor has no bfloat16")
@pytest.mark.parametrize("key", ROWS)
def test_a_row_trains_in_bfloat16(rows, pixels, key):
    """Weights, the images that players see and what is recorded stay in float32; the first step is nearly the same."""
    exact, rough = (replace(rows[key], steps=1, bf16=bf16, grids=0) for bf16 in (False, True))
    (first, *_, history), (second, *_, record) = played(exact, pixels), played(rough, pixels)
    assert {value.dtype for value in weights(second).values()} == {value.dtype for value in weights(first).values()}
    assert record.keys() == history.keys()
    assert record != history
    pairs = [(record[name][0], history[name][0]) for name in history]
    assert all(rough == pytest.approx(fine, rel=0.1, abs=0.1) for rough, fine in pairs)


def test_the_rows_differ_in_what_they_compare_only():
    """Same data, widths, batch, noise, averaging and seeds, and as many steps of the critic."""
    kept = ("input", "truth"), ("latent", "prior", "output", "batch", "average", "seeds", "generator")
    seen = [SYSTEMS[key] for key in BED]
    for row in seen:
        assert [row[name] for name in kept[0]] == [seen[0][name] for name in kept[0]]
        assert [row["train"][name] for name in kept[1]] == [seen[0]["train"][name] for name in kept[1]]
        assert row["train"]["critic"]["widths"] == seen[0]["train"]["critic"]["widths"]
        assert row["train"]["steps"] * row["train"]["critic_steps"] == seen[0]["train"]["steps"]


def test_each_loss_moves_its_own_player(rows, pixels):
    """The critic's gradient is taken at its own weights, the generator's at its own: the other stands still."""
    how = replace(rows["rp_r1r2"], steps=1, generator_optimiser=replace(rows["rp_r1r2"].generator_optimiser, rate=0.0))
    before = weights(train.build(how, (1, 8, 8), 0, CPU))
    game, *_ = played(how, pixels)
    moved = {name[0] for name, value in weights(game).items() if not torch.equal(value, before[name])}
    assert moved == {"D"}


def test_one_step_is_the_articles_single_loss(rows):
    """L = L_D(x, sg G) + L_G(G) - L_G(sg G), one gradient for all weights (https://kexue.fm/archives/6387)."""
    how = replace(rows["rp_r1r2"], penalties=(), loss="hinge")
    game = train.build(how, (1, 8, 8), 0, CPU)
    source = torch.Generator().manual_seed(3)
    x, z = torch.rand(16, 1, 8, 8, generator=source), torch.randn(16, 16, generator=source)
    generator, critic = game.nets["G"], game.nets["D"]
    fake = generator(z)
    whole = torch.relu(1 - critic(x)).mean() + torch.relu(1 + critic(fake.detach())).mean()
    whole = whole - critic(fake).mean() + critic(fake.detach()).mean()
    # the critic's own weights see L_G twice with opposite signs
    expected = torch.autograd.grad(whole, [*critic.parameters(), *generator.parameters()])
    by_critic, _ = game.critic(x, z, game.nets["G"](z).detach(), torch.rand(16))
    by_generator, _ = game.generator(None, z, game.nets["G"](z))
    found = (
        *torch.autograd.grad(by_critic, list(critic.parameters())),
        *torch.autograd.grad(by_generator, list(generator.parameters())),
    )
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_o_gan_is_any_game_with_a_correlation(rows):
    how = replace(rows["o_gan"], loss="sgan", terms={"rho": 0.5, "mse": 0.0})
    game = train.build(how, (1, 8, 8), 0, CPU)
    source = torch.Generator().manual_seed(3)
    x, z = torch.rand(16, 1, 8, 8, generator=source), torch.randn(16, 16, generator=source)
    generator, encoder = game.nets["G"], game.nets["D"]

    def rho(a, b):
        a, b = a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True)
        return ((a * b).mean(1) / (a.square().mean(1) * b.square().mean(1)).sqrt()).mean()

    code = encoder(generator(z).detach())
    critic = softplus(-encoder(x).mean(1)).mean() + softplus(code.mean(1)).mean() - 0.5 * rho(z, code)
    torch.testing.assert_close(
        game.critic(x, z, game.nets["G"](z).detach(), torch.rand(16))[0], critic, rtol=1e-5, atol=1e-6
    )
    code = encoder(generator(z))
    expected = softplus(-code.mean(1)).mean() - 0.5 * rho(z, code)
    torch.testing.assert_close(game.generator(x, z, game.nets["G"](z))[0], expected, rtol=1e-5, atol=1e-6)


def test_the_code_of_o_gan_leaves_mean_and_deviation_free():
    source = torch.Generator().manual_seed(0)
    z, code = torch.randn(5, 16, generator=source), torch.randn(5, 16, generator=source)
    torch.testing.assert_close(o_gan.rho(z, 3 * code + 2), o_gan.rho(z, code))
    torch.testing.assert_close(o_gan.rho(z, z), torch.ones(5))
    peer = torch.stack([torch.corrcoef(torch.stack(pair))[0, 1] for pair in zip(z, code, strict=True)])
    torch.testing.assert_close(o_gan.rho(z, code), peer)


@pytest.mark.parametrize("stopped", [0.0, 1.0])
def test_bigan_stops_the_inner_half_of_each_cycle(rows, stopped):
    how = replace(rows["bigan_qp"], terms={"z_cycle": 2.0, "x_cycle": 3.0, "stopped": stopped})
    game = train.build(how, (1, 8, 8), 0, CPU)
    source = torch.Generator().manual_seed(3)
    x, z = torch.rand(16, 1, 8, 8, generator=source), torch.randn(16, 16, generator=source)
    generator, encoder, critic = (game.nets[name] for name in "GED")
    fake, code = generator(z), encoder(x)
    inner = (fake.detach(), code.detach()) if stopped else (fake, code)
    expected = (critic(x, code) - critic(fake, z)).mean()
    expected = expected + 2 * (z - encoder(inner[0])).square().mean() + 3 * (x - generator(inner[1])).square().mean()
    of_both = [*generator.parameters(), *encoder.parameters()]
    found = torch.autograd.grad(game.generator(x, z, game.nets["G"](z))[0], of_both)
    for a, b in zip(found, torch.autograd.grad(expected, of_both), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_a_bigan_of_the_standard_loss_is_played_from_both_sides(rows):
    """ALI: G and E minimise E sp(-T(G(z), z)) + E sp(T(x, E(x)))."""
    how = replace(rows["bigan_qp"], loss="sgan", terms={"z_cycle": 0.0, "x_cycle": 0.0, "stopped": 1.0})
    game = train.build(how, (1, 8, 8), 0, CPU)
    source = torch.Generator().manual_seed(3)
    x, z = torch.rand(16, 1, 8, 8, generator=source), torch.randn(16, 16, generator=source)
    generator, encoder, critic = (game.nets[name] for name in "GED")
    expected = softplus(-critic(generator(z), z)).mean() + softplus(critic(x, encoder(x))).mean()
    torch.testing.assert_close(game.generator(x, z, game.nets["G"](z))[0], expected)


def test_meg_tells_the_noise_of_a_sample_from_another(rows):
    game = train.build(rows["meg"], (1, 8, 8), 0, CPU)
    source = torch.Generator().manual_seed(3)
    x, z = torch.rand(16, 1, 8, 8, generator=source), torch.randn(16, 16, generator=source)
    fake, tell = game.nets["G"](z), game.nets["H"]
    right = torch.nn.functional.binary_cross_entropy_with_logits
    other = torch.cat([z[-1:], z[:-1]])
    bce = right(tell(fake, z), torch.ones(16)) + right(tell(fake, other), torch.zeros(16))
    torch.testing.assert_close(game.generator(x, z, game.nets["G"](z))[0], bce - game.nets["D"](fake).mean())


def test_a_clipped_critic_stays_clipped(rows, pixels):
    game, *_ = played(replace(rows["wgan_clip"], clip=0.01), pixels)
    assert max(weight.abs().max() for weight in game.nets["D"].parameters()) <= 0.01 + 1e-8


def test_a_critic_that_explodes_is_told_with_its_step(rows, pixels):
    how = rows["rp_r1r2"]
    wild = replace(how.critic_optimiser, rate=1e6)
    how = replace(how, loss="wgan", penalties=(), critic_optimiser=wild, watch=replace(how.watch, limit=1e3))
    with pytest.raises(Refusal, match=r"seed 0 diverged at step \d+: (critic|real|fake|generator) is"):
        played(how, pixels)


def test_a_generator_that_makes_one_thing_is_told(rows, pixels):
    how = replace(rows["sgan_sn"], watch=replace(rows["sgan_sn"].watch, least={"spread": 0.5}))
    with pytest.raises(Refusal, match="spread is"):
        played(how, pixels)


def test_penalties_go_with_any_loss(rows, pixels):
    for loss in ("hinge", "rasgan", "gan_qp_l2", "f_hellinger"):
        how = replace(rows["rp_r1r2"], loss=loss, penalties=(Penalty("zero_real", 1.0), Penalty("one_centred", 1.0)))
        _, _, _, history = played(how, pixels)
        assert all(abs(value) < 1e4 for value in history["critic"])
