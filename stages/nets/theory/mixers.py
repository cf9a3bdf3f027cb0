"""Mixers of tokens, against what their equations say: who sees whom, what they are at first, how many weights.

Article: https://kexue.fm/archives/8431.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from stages.core.errors import Refusal
from stages.nets.mixers import MIXERS, USUAL, Block, make

DIM, LENGTH, TOKENS = 8, 10, 7
APART = ("external_over_slots",)
"""Mixers in which no token sees another."""

ALIKE = ("attention", "external_over_slots", "external_over_tokens")
"""Mixers that do not see where tokens stand."""


def jacobian(module: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """[to, from]: the largest derivative of what comes out at one token by what went in at one, at x [tokens, dim]."""
    found = torch.autograd.functional.jacobian(lambda row: module(row[None])[0], x)
    return found.abs().amax((1, 3))


def transform(x: torch.Tensor) -> torch.Tensor:
    """Re(D X D) of x [n, tokens, dim] with the matrices D_jk = exp(-2 pi i j k / size) written out."""

    def matrix(size: int) -> torch.Tensor:
        turns = torch.outer(torch.arange(size), torch.arange(size)) % size
        return torch.exp(-2j * math.pi * turns.double() / size)

    return (matrix(x.shape[1]) @ x.to(torch.complex128) @ matrix(x.shape[2])).real


def weights(name: str, d: int, n: int) -> int:
    """How many weights the mixer `name` has for `n` tokens of `d` numbers, with USUAL settings."""
    heads, inner, s, k = USUAL.heads, USUAL.expansion * d, USUAL.memories, USUAL.kernel
    dense, glu, gate = d * d + d, 3 * d * d + 3 * d, d * inner + inner + inner + n * n + n + inner // 2 * d + d
    m = int(USUAL.hidden * n)
    return {
        "attention": 4 * dense,
        "synthesizer_random": heads * n * n + 2 * dense,
        "synthesizer_frozen": heads * n * n + 2 * dense,
        "synthesizer_dense": 3 * dense + n * d,
        "mixer": 2 * n * m + n + m,
        "ffn_stack": 8 * n * n + 5 * n,
        "resmlp": n * n,
        "external_over_slots": 2 * s * d,
        "external_over_tokens": 2 * s * d,
        "convolution_depthwise": glu + d * k,
        "convolution_lightweight": glu + heads * k,
        "convolution_dynamic": glu + d * heads * k,
        "fnet": 0,
        "gmlp": gate,
        "amlp": gate + 3 * (d + 1) * USUAL.tiny + (USUAL.tiny + 1) * inner // 2,
    }[name]


def measure(seed: int) -> dict[str, float]:
    """fourier_off..., jacobian..., order..., and so on; see the promises of systems row `nets_theory`."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        x = torch.randn(2, TOKENS, DIM, dtype=torch.float64)
        mixers = {name: make(name, DIM, LENGTH).double().eval() for name in MIXERS}
        return _fourier(mixers["fnet"], x) | _seen(mixers, x) | _relations(mixers, x) | _start(x)


def _fourier(fnet: nn.Module, x: torch.Tensor) -> dict[str, float]:
    right = transform(x)
    return {
        "fourier_off": _off(fnet(x), right),
        "fourier_off_float32": _off(fnet(x.float()).double(), right),
        "fourier_weights": float(sum(w.numel() for w in fnet.parameters())),
    }


def _seen(mixers: dict[str, nn.Module], x: torch.Tensor) -> dict[str, float]:
    """Between tokens; of the causal ones, of what is to come. And what a change of the order of tokens changes."""
    seen = {name: jacobian(module, x[0]).fill_diagonal_(0).max().item() for name, module in mixers.items()}
    order = torch.randperm(TOKENS)
    order = order if (order != torch.arange(TOKENS)).any() else order.flip(0)
    moved = {name: _off(module(x[:, order]), module(x)[:, order]) for name, module in mixers.items()}
    leaks = []
    for name in MIXERS:
        try:
            causal = make(name, DIM, LENGTH, causal=True).double().eval()
        except Refusal:
            continue
        leaks.append(jacobian(causal, x[0]).triu(1).max().item())
    return {
        "apart_jacobian": max(seen[name] for name in APART),
        "together_jacobian": min(value for name, value in seen.items() if name not in APART),
        "causal": float(len(leaks)),
        "causal_leak": max(leaks),
        "alike_moved": max(moved[name] for name in ALIKE),
        "placed_moved": min(value for name, value in moved.items() if name not in ALIKE),
    }


def _relations(mixers: dict[str, nn.Module], x: torch.Tensor) -> dict[str, float]:
    """MLP-Mixer with the identity, and ResMLP, against Random Synthesizer without softmax: R X."""
    mixer, resmlp = mixers["mixer"], mixers["resmlp"]
    mixer.g = nn.Identity()
    for layer in (mixer.first, mixer.second):
        nn.init.zeros_(layer.bias)
    r = (mixer.second.weight @ mixer.first.weight)[:TOKENS, :TOKENS]
    off = {
        name: sum(w.numel() for w in module.parameters()) - weights(name, DIM, LENGTH)
        for name, module in mixers.items()
    }
    return {
        "mixer_off_synthesizer": _off(mixer(x), r @ x),
        "resmlp_off_synthesizer": _off(resmlp(x), resmlp.A[:TOKENS, :TOKENS] @ x),
        "weights_off": float(sum(map(abs, off.values()))),
    }


def _start(x: torch.Tensor) -> dict[str, float]:
    """Blocks that begin as the identity, or near it."""
    gmlp = make("gmlp", DIM, LENGTH).double()
    resmlp, mixer = (Block(name, DIM, LENGTH).double() for name in ("resmlp", "mixer"))
    for last in (resmlp.last, resmlp.channels[-1]):
        nn.init.zeros_(last.alpha)
    for last in (mixer.mixing.second, mixer.channels[-2]):
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
    return {
        "gate_off": _off(gmlp.gated(x), gmlp.g(gmlp.U(x)).chunk(2, -1)[0]),
        "resmlp_off_identity": _off(resmlp(x), x),
        "mixer_off_identity": _off(mixer(x), x),
    }


def _off(a: torch.Tensor, b: torch.Tensor) -> float:
    return (a - b).abs().max().item()
