"""Adversarial training against a plain PyTorch loop: steps a second, with the same nets, batch and numbers of steps.

    python -m benchmarks.bench_gan                 28x28 images, perceptron and DCGAN, SGAN and WGAN-GP

In float32, and where the processor has instructions for it, with `bf16: true` in the row. In float32 the convolutions
of both sides run at some 90 % of what the processor can multiply, so that there is little to win there.

The peer is the loop of the public collections (https://github.com/eriklindernoren/PyTorch-GAN): a DataLoader that makes
every image anew from PIL, noise from numpy, Adam as torch offers it, zero_grad and backward through whatever hangs on
the loss, fakes that keep their graph in WGAN-GP's critic, losses fetched for printing at every step. Its SGAN makes
fakes once for both players. Ours besides keeps the average of the generator's weights and a record of every step.
Both run in turns, so that a busy machine hits both; a figure is the median over turns.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable
from dataclasses import replace
from statistics import median

from stages.core import machine

machine.prepare(2)  # before torch is imported

import numpy as np  # noqa: E402
import torch  # noqa: E402
from PIL import Image  # noqa: E402
from torch.utils.data import DataLoader, Dataset  # noqa: E402

from stages.gan import train  # noqa: E402
from stages.gan.settings import Gan, Optimiser, Penalty  # noqa: E402
from stages.nets.layers import Network  # noqa: E402
from stages.nets.training import Watch  # noqa: E402

SHAPE = (1, 28, 28)
NETS = {  # generator and critic, of the collection's sizes
    "perceptron": (
        Network("mlp", (128, 256, 512, 1024), "batch", "leaky", 0.2, True, "default"),
        Network("mlp", (512, 256), "none", "leaky", 0.2, True, "default"),
    ),
    "dcgan": (
        Network("dcgan", (64, 128), "batch", "relu", 0.0, True, "normal002"),
        Network("dcgan", (64, 128), "none", "leaky", 0.2, True, "normal002"),
    ),
}
RULES = {"sgan": ("sgan", (), 1), "wgan_gp": ("wgan", (Penalty("one_centred", 10.0),), 5)}


def asked(net: str, rule: str, steps: int, bf16: bool = False) -> Gan:
    """The params of one training, as a row of params.yaml would hold them."""
    loss, penalties, critic_steps = RULES[rule]
    adam = Optimiser("adam", 2e-4, 0.5, 0.999, 0.0)
    return Gan(
        game="plain", loss=loss, penalties=penalties, terms={}, clip=0.0, latent=100, prior="normal", output="tanh",
        generator=NETS[net][0], critic=NETS[net][1], generator_optimiser=adam, critic_optimiser=adam,
        mode="alternate", critic_steps=critic_steps, generator_steps=1, batch=64, steps=steps, average=0.999,
        seeds=(0,), grids=0, shown=64, watch=Watch(100, 1e9, {}, 0), device="cpu", bf16=bf16, channels_last=False,
        compile=False,
    )  # fmt: skip


class Pictures(Dataset):
    """Images as a data set of torchvision gives them: from PIL to a tensor in [-1, 1], one by one."""

    def __init__(self, pixels: torch.Tensor) -> None:
        self.pixels = pixels[:, 0].numpy()

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        x = torch.from_numpy(np.array(Image.fromarray(self.pixels[i])))[None].float().div(255)
        half = torch.tensor([0.5])[:, None, None]
        return x.clone().sub_(half).div_(half), 0


def peer(pixels: torch.Tensor, how: Gan) -> Callable[[], None]:
    """The loop of the collections, ready to run `how.steps` steps."""
    game = train.build(how, SHAPE, 0, torch.device("cpu"))
    made, judge = game.nets["G"], game.nets["D"]
    of_g = torch.optim.Adam(made.parameters(), lr=2e-4, betas=(0.5, 0.999))
    of_d = torch.optim.Adam(judge.parameters(), lr=2e-4, betas=(0.5, 0.999))
    loader = DataLoader(Pictures(pixels), batch_size=how.batch, shuffle=True, drop_last=True)
    bce = torch.nn.BCEWithLogitsLoss()
    batches = itertools.chain.from_iterable(itertools.repeat(loader))

    def noise(n: int) -> torch.Tensor:
        return torch.tensor(np.random.normal(0, 1, (n, how.latent)), dtype=torch.float32)

    def standard() -> None:
        for _ in range(how.steps):
            x, _label = next(batches)
            valid, false = torch.ones(len(x)), torch.zeros(len(x))
            of_g.zero_grad()
            fakes = made(noise(len(x)))
            g_loss = bce(judge(fakes), valid)
            g_loss.backward()
            of_g.step()
            of_d.zero_grad()
            d_loss = 0.5 * (bce(judge(x), valid) + bce(judge(fakes.detach()), false))
            d_loss.backward()
            of_d.step()
            f"{d_loss.item()} {g_loss.item()}"

    def wasserstein() -> None:
        for _ in range(how.steps):
            for _ in range(how.critic_steps):
                x, _label = next(batches)
                of_d.zero_grad()
                fakes = made(noise(len(x)))
                u = torch.tensor(np.random.random((len(x), 1, 1, 1)), dtype=torch.float32)
                between = (u * x + (1 - u) * fakes.data).requires_grad_()
                score = judge(between)
                (slope,) = torch.autograd.grad(
                    score, between, torch.ones_like(score), create_graph=True, retain_graph=True
                )
                penalty = ((slope.view(len(x), -1).norm(2, dim=1) - 1) ** 2).mean()
                d_loss = -judge(x).mean() + judge(fakes).mean() + 10 * penalty
                d_loss.backward()
                of_d.step()
                d_loss.item()
            of_g.zero_grad()
            g_loss = -judge(made(noise(how.batch))).mean()
            g_loss.backward()
            of_g.step()
            f"{d_loss.item()} {g_loss.item()}"

    return standard if how.loss == "sgan" else wasserstein


def ours(pixels: torch.Tensor, how: Gan) -> Callable[[], None]:
    """Our training, ready to run `how.steps` steps."""
    game = train.build(how, SHAPE, 0, torch.device("cpu"))
    return lambda: train.play(game, pixels, how, 0)


def rate(run: Callable[[], None], steps: int) -> tuple[float, float]:
    """Steps a second of one run, by the clock and by processor time."""
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return steps / (time.perf_counter() - wall), steps / (time.process_time() - cpu)


def main() -> None:
    """Time both in turns, print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=40, help="steps of the generator in a turn")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    told = parser.parse_args()
    torch.set_num_threads(told.threads)
    pixels = torch.randint(0, 256, (10_000, *SHAPE), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    print(f"batch 64, {torch.get_num_threads()} threads, {told.turns} turns of {told.steps} steps of the generator")
    for net, rule, bf16 in itertools.product(NETS, RULES, (False, True)):
        how = asked(net, rule, told.steps, bf16)
        if bf16 and not torch.cpu._is_avx512_bf16_supported():
            continue
        rule = f"{rule} bf16" if bf16 else rule
        sides = {"ours": ours(pixels, how), "peer": peer(pixels, how)}
        for make in (ours, peer):
            make(pixels, replace(how, steps=3))()  # warm up
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
        for _ in range(told.turns):
            for name, run in sides.items():
                found[name].append(rate(run, told.steps))
        for name, rows in found.items():
            wall, cpu = (median(row[i] for row in rows) for i in range(2))
            print(f"{net:10} {rule:12} {name}  {wall:8.1f} steps/s  {cpu:8.1f} steps/s of processor time", flush=True)
        wall, cpu = (median(a[i] / b[i] for a, b in zip(found["ours"], found["peer"], strict=True)) for i in range(2))
        print(f"{net:10} {rule:12} ratio {wall:7.2f} by the clock, {cpu:.2f} by processor time", flush=True)


if __name__ == "__main__":
    main()
