"""Blocks of token mixers against the same blocks of public packages: forward and backward, seconds over seconds.

    python -m benchmarks.bench_blocks              and FNet against attention at 2048 tokens

Peers: torch's TransformerEncoderLayer; https://github.com/lucidrains/mlp-mixer-pytorch, res-mlp-pytorch and
g-mlp-pytorch; https://github.com/labmlai/annotated_deep_learning_paper_implementations (FNet); `pip install --no-deps
mlp-mixer-pytorch res-mlp-pytorch g-mlp-pytorch labml-nn labml labml-helpers einops`. No package on PyPI has external
attention, the Synthesizers or the convolutions of the survey. Both sides run in turns, so that a busy machine hits
both; a figure is the median over turns of the ratio of processor times.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from statistics import median

from stages.core import machine

machine.prepare(1)  # before torch is imported

import torch  # noqa: E402
from torch import nn  # noqa: E402

from stages.nets.mixers import USUAL, Block, make  # noqa: E402

SIZES = ((32, 64, 128), (8, 256, 256), (64, 16, 64))  # batch, tokens, dim
LONG = (2, 2048, 128)


def attention(dim: int, length: int) -> nn.Module:
    """torch's own."""
    return nn.TransformerEncoderLayer(
        dim, USUAL.heads, USUAL.expansion * dim, 0.0, "gelu", batch_first=True, norm_first=True
    )


def mixer(dim: int, length: int) -> nn.Module:
    """lucidrains' MLP-Mixer with our widths."""
    from mlp_mixer_pytorch.mlp_mixer_pytorch import FeedForward, PreNormResidual

    tokens = FeedForward(length, int(USUAL.hidden * length), 0.0, lambda a, b: nn.Conv1d(a, b, 1))
    return nn.Sequential(PreNormResidual(dim, tokens), PreNormResidual(dim, FeedForward(dim, USUAL.expansion * dim)))


def resmlp(dim: int, length: int) -> nn.Module:
    """lucidrains' ResMLP."""
    from res_mlp_pytorch.res_mlp_pytorch import PreAffinePostLayerScale

    inner = USUAL.expansion * dim
    channels = nn.Sequential(nn.Linear(dim, inner), nn.GELU(), nn.Linear(inner, dim))
    return nn.Sequential(
        PreAffinePostLayerScale(dim, 1, nn.Conv1d(length, length, 1)), PreAffinePostLayerScale(dim, 1, channels)
    )


def gmlp(dim: int, length: int, tiny: int | None = None) -> nn.Module:
    """lucidrains' gMLP, with `tiny` attention aMLP."""
    from g_mlp_pytorch.g_mlp_pytorch import PreNorm, Residual, gMLPBlock

    block = gMLPBlock(dim=dim, dim_ff=USUAL.expansion * dim, seq_len=length, attn_dim=tiny)
    return Residual(PreNorm(dim, block))


def amlp(dim: int, length: int) -> nn.Module:
    """lucidrains' aMLP."""
    return gmlp(dim, length, USUAL.tiny)


def fnet(dim: int, length: int) -> nn.Module:
    """labml's mixing, in the block that ours stands in."""
    from labml_nn.transformers.fnet import FNetMix

    block = Block("fnet", dim, length)
    block.mixing = Called(FNetMix())
    return block


class Called(nn.Module):
    """labml's attention takes a query, a key, a value and a mask."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor, mask: None) -> torch.Tensor:
        """x mixed."""
        return self.inner(x, x, x)


PEERS = {"attention": attention, "mixer": mixer, "resmlp": resmlp, "gmlp": gmlp, "amlp": amlp, "fnet": fnet}


def step(module: nn.Module, x: torch.Tensor) -> Callable[[], None]:
    """One forward and backward pass."""

    def run() -> None:
        module.zero_grad()
        module(x).square().mean().backward()

    return run


def forward(module: nn.Module, x: torch.Tensor) -> Callable[[], None]:
    """One forward pass."""

    def run() -> None:
        with torch.no_grad():
            module(x)

    return run


def ratio(runs: Mapping[str, Callable[[], None]], turns: int, seconds: float) -> tuple[float, float, float]:
    """Milliseconds of the first and the second, and the median over turns of the first over the second."""
    (a, b), found = runs.values(), []
    a(), b()
    begin = time.process_time()
    a()
    times = max(1, int(seconds / (time.process_time() - begin)))
    for turn in range(turns):
        took = []
        for run in (a, b) if turn % 2 else (b, a):
            begin = time.process_time()
            for _ in range(times):
                run()
            took.append((time.process_time() - begin) / times * 1000)
        found.append(took if turn % 2 else took[::-1])
    return median(x for x, _ in found), median(y for _, y in found), median(x / y for x, y in found)


def main() -> None:
    """Time both in turns, print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=11)
    parser.add_argument("--seconds", type=float, default=0.15, help="of a turn")
    told = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    for batch, length, dim in SIZES:
        x = torch.randn(batch, length, dim, requires_grad=True)
        print(f"forward and backward, {batch} samples of {length} tokens of {dim} numbers, 1 thread")
        for name, peer in PEERS.items():
            runs = {"ours": step(Block(name, dim, length), x), "peer": step(peer(dim, length), x)}
            ours, theirs, over = ratio(runs, told.turns, told.seconds)
            print(f"  {name:10} {ours:8.2f} ms  peer {theirs:8.2f} ms  {over:.2f} of the peer", flush=True)
    batch, length, dim = LONG
    x = torch.randn(batch, length, dim)
    mixers = {name: make(name, dim, length, settings=replace(USUAL)) for name in ("attention", "fnet")}
    slow, fast, over = ratio({name: forward(mixer, x) for name, mixer in mixers.items()}, told.turns, told.seconds)
    print(f"forward at {length} tokens of {dim} numbers: attention {slow:.1f} ms, fnet {fast:.1f} ms, {over:.1f} times")


if __name__ == "__main__":
    main()
