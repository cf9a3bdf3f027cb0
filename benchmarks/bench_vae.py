"""Variational training against pythae's own trainer: steps a second, with the same nets, batch and numbers of steps.

    python -m benchmarks.bench_vae                 28x28 images: perceptron, DCGAN-like and vMF

The peer is https://github.com/clementchadebec/benchmark_VAE (`pip install --no-deps pythae`): its models, with encoders
and decoders of our layers, and its trainer's `train_step`, which is one epoch of its data loader. In float32, and where
the processor has instructions for it, ours also with `bf16: true` in the row. Both run in turns, so that a busy machine
hits both; a figure is the median over turns.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import logging
import os
import tempfile
import time
from collections.abc import Callable
from statistics import median

from stages.core import machine

machine.prepare(2)  # before torch is imported

import torch  # noqa: E402
from torch import nn  # noqa: E402

from stages.nets import networks  # noqa: E402
from stages.nets.layers import Network  # noqa: E402
from stages.nets.posteriors import Posterior  # noqa: E402
from stages.nets.training import Watch  # noqa: E402
from stages.vae import train  # noqa: E402
from stages.vae.likelihoods import Likelihood  # noqa: E402
from stages.vae.settings import Optimiser, Vae  # noqa: E402

SHAPE, BATCH, LATENT = (1, 28, 28), 100, 16
NETS = {
    "perceptron": Network("mlp", (512, 256), "none", "relu", 0.0, True, "default"),
    "convolutions": Network("dcgan", (32, 64), "none", "relu", 0.0, True, "default"),
}
POSTERIORS = {
    "normal": Posterior("gauss", LATENT, {}),
    "sphere": Posterior("vmf", LATENT, {"kappa": 40.0, "learned": 0.0}),
}


def asked(net: str, law: str, steps: int, bf16: bool) -> Vae:
    """The params of one training, as a row of params.yaml would hold them."""
    return Vae(
        posterior=POSTERIORS[law], likelihood=Likelihood("bernoulli", 0.1), encoder=NETS[net], decoder=NETS[net],
        regulariser="kl", beta=1.0, free_bits=0.0, warm_up=0, binary="none", optimiser=Optimiser("adam", 1e-3),
        batch=BATCH, steps=steps, average=0.0, seeds=(0,), watch=Watch(100, 1e9, {}, 0), device="cpu", bf16=bf16,
        channels_last=False, compile=False,
    )  # fmt: skip


def ours(pixels: torch.Tensor, how: Vae) -> Callable[[], object]:
    """Our training, ready to run `how.steps` steps."""
    model = train.build(how, SHAPE, 0, torch.device("cpu"))
    return lambda: train.learn(model, pixels, how, 0)


def peer(pixels: torch.Tensor, net: str, law: str) -> Callable[[], object]:
    """An epoch of pythae's trainer over `pixels`."""
    from pythae.data.datasets import BaseDataset
    from pythae.models import SVAE, VAE, SVAEConfig, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    class Encoder(BaseEncoder):
        def __init__(self) -> None:
            super().__init__()
            outputs = 2 * LATENT if law == "normal" else LATENT + 1
            self.layers = networks.critic(NETS[net], SHAPE, outputs)

        def forward(self, x: torch.Tensor) -> ModelOutput:
            mu, rest = self.layers(x).split([LATENT, LATENT if law == "normal" else 1], dim=1)
            told = {"log_covariance": rest} if law == "normal" else {"log_concentration": rest}
            return ModelOutput(embedding=mu, **told)

    class Decoder(BaseDecoder):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(networks.generator(NETS[net], LATENT, SHAPE, "linear"), nn.Sigmoid())

        def forward(self, z: torch.Tensor) -> ModelOutput:
            return ModelOutput(reconstruction=self.layers(z))

    kind, config = (VAE, VAEConfig) if law == "normal" else (SVAE, SVAEConfig)
    model = kind(config(input_dim=SHAPE, latent_dim=LATENT, reconstruction_loss="bce"), Encoder(), Decoder())
    data = BaseDataset(pixels.float() / 255, torch.zeros(len(pixels)))
    folder = tempfile.mkdtemp()
    how = BaseTrainerConfig(folder, BATCH, BATCH, num_epochs=1, optimizer_cls="Adam", learning_rate=1e-3, no_cuda=True)
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        trainer = BaseTrainer(model, data, training_config=how)
        trainer.prepare_training()
    trainer.callback_handler.callbacks = []  # its progress bar
    return lambda: trainer.train_step(1)


def rate(run: Callable[[], object], steps: int) -> tuple[float, float]:
    """Steps a second of one run, by the clock and by processor time."""
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return steps / (time.perf_counter() - wall), steps / (time.process_time() - cpu)


def main() -> None:
    """Time both in turns, print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=40, help="steps of a turn")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    told = parser.parse_args()
    torch.set_num_threads(told.threads)
    logging.disable(logging.WARNING)  # pythae's
    source = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (told.steps * BATCH, *SHAPE), generator=source, dtype=torch.uint8)
    print(f"batch {BATCH}, {told.threads} threads, {told.turns} turns of {told.steps} steps")
    able = [False, True] if torch.cpu._is_avx512_bf16_supported() else [False]
    for net, law in itertools.product(NETS, POSTERIORS):
        sides = {f"ours{' bf16' * bf16}": ours(pixels, asked(net, law, told.steps, bf16)) for bf16 in able}
        sides["peer"] = peer(pixels, net, law)
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
        for turn in range(told.turns + 1):
            for name, run in sides.items():
                measured = rate(run, told.steps)
                if turn:  # the first warms up
                    found[name].append(measured)
        for name, rows in found.items():
            wall, cpu = (median(row[i] for row in rows) for i in range(2))
            ratios = [median(a[i] / b[i] for a, b in zip(rows, found["peer"], strict=True)) for i in range(2)]
            print(
                f"{net:12} {law:7} {name:9}  {wall:7.1f} steps/s  {cpu:7.1f} of processor time"
                f"  {ratios[0]:5.2f} times the peer by the clock, {ratios[1]:.2f} by processor time",
                flush=True,
            )


if __name__ == "__main__":
    main()
