"""The training of any adversarial model: params.yaml says who plays, by which loss and how often.

    alternate:  critic_steps times the critic on fresh reals and noise, then generator_steps times the generator;
                with one step each both see the same fakes, which saves making them twice
    one_step:   both gradients at the same point, then both steps (https://kexue.fm/archives/6387)

Data stay on the device as uint8; each process of several draws what one alone would draw and works on its share.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import nn

from stages.core import devices, distributed
from stages.core.errors import Refusal
from stages.core.params import Choices, choose
from stages.core.systems import Findings, Inputs
from stages.gan.bigan import BiGan
from stages.gan.meg import Meg
from stages.gan.o_gan import OGan
from stages.gan.plain import Logs, Plain
from stages.gan.settings import Gan, Optimiser
from stages.nets import images
from stages.nets.networks import Average
from stages.nets.seeds import every_seed
from stages.nets.threads import suited
from stages.nets.training import History, differentiate, draw, fit

GAMES: Choices = {"plain": Plain, "o_gan": OGan, "bigan": BiGan, "meg": Meg}

Reals = Callable[[torch.Generator], torch.Tensor]


def train(inputs: Inputs, params: Gan, out: Path) -> Findings:
    """Train one model for each seed on the images of `inputs.input`.

    Writes `out`/seed_N.safetensors (weights by net: G, average, D, ...), `out`/grids_N.safetensors (samples at the
    same noise through the training) and `out`/model.json. Raises `Refusal` for params that do not fit, and where a
    training diverges.
    """
    from safetensors.torch import save_file

    if inputs.input is None:
        raise Refusal("params.yaml: a GAN needs an `input`, a data set of images")
    with distributed.joined(params.device) as device:
        data = images.load(inputs.input, device).train
        image = tuple(data.shape[1:])

        def one(seed: int, spool: Path | None) -> tuple[dict[str, torch.Tensor], History]:
            game = build(params, image, seed, device)
            average, grids, record = play(game, data, params, seed, spool)
            save_file({"grids": grids.cpu()}, out / f"grids_{seed}.safetensors")
            nets = {**game.nets, "average": average.module}
            return {
                f"{name}/{key}": value for name, net in nets.items() for key, value in net.state_dict().items()
            }, record

        with suited(image):
            return every_seed(one, params.seeds, inputs.spool, out, params, image=image)


def build(params: Gan, image: tuple[int, int, int], seed: int, device: torch.device) -> Plain:
    """The game with fresh nets on `device`, in the memory format and compiled as the params say."""
    game = choose(GAMES, params.game, "game")(params, image, seed)
    kept = torch.channels_last if params.channels_last else torch.preserve_format
    for name, net in game.nets.items():
        game.nets[name] = distributed.synchronised(net.to(device, memory_format=kept))
    if params.compile and device.type == "cuda":
        game.fast = {name: torch.compile(net) for name, net in game.nets.items()}
    return game


def reals(data: torch.Tensor, params: Gan) -> Reals:
    """A function that draws a batch as the nets take it: in the generator's range; what is no image stays as it is."""
    ranged = images.ranged(params.output)
    kept = torch.channels_last if params.channels_last else torch.contiguous_format
    return lambda source: ranged(distributed.share(draw(data, params.batch, source))).contiguous(memory_format=kept)


def noise(params: Gan, size: int, source: torch.Generator) -> torch.Tensor:
    """`size` draws of z, [size, latent]."""
    if params.prior == "uniform":
        return 2 * torch.rand(size, params.latent, generator=source, device=source.device) - 1
    return torch.randn(size, params.latent, generator=source, device=source.device)


def play(
    game: Plain, data: torch.Tensor, params: Gan, seed: int, spool: Path | None = None
) -> tuple[Average, torch.Tensor, History]:
    """Train the nets of `game` on `data` [n, channels, height, width]; the average of G, its grids, and the record."""
    device = data.device
    source = torch.Generator(device).manual_seed(seed)
    fixed = noise(params, params.shown, torch.Generator(device).manual_seed(0))  # the same for every seed and loss
    players = {"critics": game.critics, "generators": game.generators}
    weights = {player: [w for name in names for w in game.nets[name].parameters()] for player, names in players.items()}
    optimisers = {
        "critics": optimiser(weights["critics"], params.critic_optimiser),
        "generators": optimiser(weights["generators"], params.generator_optimiser),
    }
    average, moments = Average(game.nets["G"], params.average), _moments(params)
    grids = torch.zeros(len(moments), params.shown, *data.shape[1:], device=device, dtype=torch.uint8)
    fresh = reals(data, params)

    def drawn() -> torch.Tensor:
        return distributed.share(noise(params, params.batch, source))

    def critic(z: torch.Tensor, fake: torch.Tensor) -> tuple[torch.Tensor, Logs]:
        u = distributed.share(torch.rand(params.batch, generator=source, device=device))
        with devices.precision(device, params.bf16):
            return game.critic(fresh(source), z, fake.detach(), u)

    def generator(z: torch.Tensor, fake: torch.Tensor) -> tuple[torch.Tensor, Logs]:
        x = fresh(source) if game.looks else None
        with devices.precision(device, params.bf16):
            return game.generator(x, z, fake)

    def made(graph: bool) -> tuple[torch.Tensor, torch.Tensor]:
        z = drawn()
        with devices.precision(device, params.bf16), torch.set_grad_enabled(graph):
            return z, game.fast["G"](z).float()

    def moved(player: str) -> None:
        optimisers[player].step()
        if params.clip and player == "critics":
            with torch.no_grad():
                torch._foreach_clamp_min_(weights[player], -params.clip)
                torch._foreach_clamp_max_(weights[player], params.clip)

    def step(i: int) -> Mapping[str, torch.Tensor]:
        if params.mode == "one_step":
            fakes = made(graph=True)
            (by_critic, logs), (by_generator, more) = critic(*fakes), generator(*fakes)
            differentiate(by_critic, weights["critics"])
            differentiate(by_generator, weights["generators"])
            for player in players:
                moved(player)
        else:
            once = params.critic_steps == params.generator_steps == 1  # then both players see the same fakes
            for _ in range(params.critic_steps):
                fakes = made(graph=once)
                loss, logs = critic(*fakes)
                differentiate(loss, weights["critics"])
                moved("critics")
            for _ in range(params.generator_steps):
                loss, more = generator(*(fakes if once else made(graph=True)))
                differentiate(loss, weights["generators"])
                moved("generators")
        average.update(game.nets["G"])
        if i in moments:
            with torch.no_grad():
                grids[moments[i]] = (images.whole(average(fixed), params.output) * 255).round()
        return {**logs, **more}

    parts = {**game.nets, **optimisers, "average": average, "source": source, "grids": grids}
    history = fit(step, parts, params.steps, params.watch, spool, f"seed {seed}")
    return average, grids, history


def optimiser(weights: list[nn.Parameter], how: Optimiser) -> torch.optim.Optimizer:
    """The optimiser of one player."""
    return choose(OPTIMISERS, how.kind, "optimiser.kind")(weights, how)


def _adam(weights: list[nn.Parameter], how: Optimiser) -> torch.optim.Optimizer:
    return torch.optim.Adam(weights, how.rate, (how.beta1, how.beta2), weight_decay=how.decay, fused=True)


def _rmsprop(weights: list[nn.Parameter], how: Optimiser) -> torch.optim.Optimizer:
    return torch.optim.RMSprop(weights, how.rate, alpha=how.beta2, momentum=how.beta1, weight_decay=how.decay)


OPTIMISERS: Choices = {"adam": _adam, "rmsprop": _rmsprop}


def _moments(params: Gan) -> dict[int, int]:
    """The steps after which a grid is drawn, evenly spread, the last of them the last -> its place among the grids."""
    return {params.steps * (k + 1) // params.grids - 1: k for k in range(params.grids)} if params.grids else {}
