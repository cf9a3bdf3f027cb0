"""One step of each optimiser against torch's AdamW and named peers, and the memory of the gradient cache.

    python -m benchmarks.bench_optimisers          a million weights, float32; and a contrastive batch 16 times larger

Peers: torch.optim.AdamW(foreach=True), against which all are held; torch.optim.Adafactor; and of
https://github.com/kozistr/pytorch_optimizer (`pip install --no-deps pytorch_optimizer`) Lion, Tiger, AdaFactor, Lamb.
All step in turns, so that a busy machine hits all; a figure is the median over turns, on the CPU of processor time.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median

from stages.core import machine

machine.prepare(1)  # before torch is imported

import torch  # noqa: E402
from torch import nn  # noqa: E402

from stages.nets.contrast import info_nce  # noqa: E402
from stages.nets.gradient_cache import cached_step  # noqa: E402
from stages.nets.optimisers import OPTIMISERS, Accumulate, Lazy, Scheduled, WeightDecay  # noqa: E402

RATE = 1e-3
Make = Callable[[nn.Module], torch.optim.Optimizer]


def network(device: str) -> nn.Module:
    """1.05 million weights in 32 tensors, with gradients."""
    torch.manual_seed(0)
    net = nn.Sequential(*(nn.Linear(256, 256) for _ in range(15)), nn.LayerNorm(256), nn.Linear(256, 256)).to(device)
    for weight in net.parameters():
        weight.grad = torch.randn_like(weight)
    return net


def adam(net: nn.Module) -> torch.optim.Optimizer:
    """What decorators stand around here."""
    return torch.optim.AdamW(net.parameters(), RATE, foreach=True)


def sides() -> dict[str, Make]:
    """All that step: the yardstick first."""
    found: dict[str, Make] = {"torch AdamW foreach": adam}
    found["torch AdamW"] = lambda net: torch.optim.AdamW(net.parameters(), RATE)
    found["torch Adafactor"] = lambda net: torch.optim.Adafactor(net.parameters(), RATE)
    found |= {name: lambda net, make=make: make(net, RATE) for name, make in OPTIMISERS.items()}
    found["Accumulate of 4"] = lambda net: Accumulate(adam(net), 4)
    found["Scheduled"] = lambda net: Scheduled(adam(net), {10: 1.0})
    found["WeightDecay"] = lambda net: WeightDecay(adam(net), 0.01)
    found["Lazy"] = lambda net: Lazy(adam(net), [net[0].weight])
    try:
        import pytorch_optimizer as peer
    except ImportError:
        print("pytorch_optimizer is not here: pip install --no-deps pytorch_optimizer")
        return found
    for kind in (peer.Lion, peer.Tiger, peer.AdaFactor, peer.Lamb):
        found[f"peer {kind.__name__}"] = lambda net, kind=kind: kind(net.parameters(), lr=RATE)
    return found


def steps(turns: int, device: str) -> None:
    """Print the median time of a step of each, and its ratio to the first."""
    clock = time.perf_counter if device == "cuda" else time.process_time  # not what other processes take
    able = {name: make(network(device)) for name, make in sides().items()}
    took: dict[str, list[float]] = {name: [] for name in able}
    for turn in range(turns + 5):
        for name, optimiser in able.items():
            begin = clock()
            optimiser.step()
            if device == "cuda":
                torch.cuda.synchronize()
            if turn >= 5:  # the first ones make the state
                took[name].append(clock() - begin)
    first = median(next(iter(took.values())))
    for name, times in took.items():
        print(f"{name:20} {1e3 * median(times):7.3f} ms  {median(times) / first:5.2f} times AdamW foreach", flush=True)


def peak(run: Callable[[], object]) -> int:
    """Bytes of tensors that are alive at most during a run on the CPU, those from before left out."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        run()
    alive = most = 0
    for event in seen.profiler.kineto_results.events():
        if event.name() == "[memory]":
            alive += event.nbytes()
            most = max(most, alive)
    return most


def memory() -> None:
    """Print peak memory and time of contrastive steps: plain ones, and cached ones in chunks of 32."""
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(64, 4, 128, dropout=0.1, batch_first=True)
    net = nn.Sequential(
        nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), nn.Flatten(), nn.Linear(32 * 64, 64)
    )
    for weight in net.parameters():
        weight.grad = torch.zeros_like(weight)

    def plain(n: int) -> None:
        info_nce(net(torch.randn(n, 32, 64)), net(torch.randn(n, 32, 64)), temperature=0.05).backward()

    def cached(n: int) -> None:
        loss = lambda a, b: info_nce(a, b, temperature=0.05)  # noqa: E731
        cached_step([net, net], [torch.randn(n, 32, 64), torch.randn(n, 32, 64)], loss, 32)

    for how, n in ((plain, 32), (plain, 512), (cached, 512), (cached, 1024)):
        begin = time.perf_counter()
        how(n)
        took = time.perf_counter() - begin
        print(
            f"{how.__name__:6} batch {n:5}  peak {peak(lambda how=how, n=n: how(n)) / 2**20:6.1f} MiB  {took:5.2f} s",
            flush=True,
        )


def main() -> None:
    """Time steps, weigh the cache."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=100)
    parser.add_argument("--device", default="cpu")
    told = parser.parse_args()
    torch.set_num_threads(1)
    steps(told.turns, told.device)
    memory()


if __name__ == "__main__":
    main()
