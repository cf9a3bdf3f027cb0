"""Growth of Transformers, held against what it promises, and against the mistakes that one can make.

Article: https://kexue.fm/archives/8444. The mistakes: its bias of the second feed-forward layer, rep(b) / k; norms
with the eps they had; copies after one another; RoPE with the frequencies of the wider head.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import torch

from stages.nets.growth import deepen, grow, grow_adam
from stages.nets.growth.width import MODES
from stages.nets.transformer import Config, Transformer, loss

SMALL = Config(24, 3, 4, 4, 6, 48, "layer", 1e-5, True, "gelu", "absolute", True, True, True, 0.0)
SYMBOLS, LENGTH = 50, 12

KINDS = [
    replace(SMALL, activation=activation, norm=norm, positions=positions, tied=tied, pre=pre, groups=groups)
    for activation, (norm, positions), (tied, pre, groups) in product(
        ("gelu", "relu", "swiglu"),
        (("layer", "absolute"), ("rms", "rope"), ("layer", "rope_pairs"), ("rms", "alibi")),
        ((True, True, 2), (False, False, 4)),
    )
]
"""Models that differ in each of their choices; every fifth has all of them."""


def model(c: Config, seed: int = 0, dtype: torch.dtype = torch.float64) -> Transformer:
    """A model whose every weight, norm and bias is drawn, so that nothing is 0 or 1 by chance."""
    generator = torch.Generator().manual_seed(seed)
    net = Transformer(c, SYMBOLS, LENGTH).to(dtype).eval()
    with torch.no_grad():
        for name, weight in net.named_parameters():
            drawn = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
            weight.copy_(1 + 0.3 * drawn if "norm" in name and "weight" in name else 0.4 * drawn)
    return net


def symbols(seed: int = 0) -> torch.Tensor:
    """Rows of symbols [4, LENGTH]; none is 0."""
    return torch.randint(1, SYMBOLS, (4, LENGTH), generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def off(net: Transformer, state: dict[str, torch.Tensor], config: Config) -> tuple[float, float]:
    """The largest change of a logit, and the same over the largest logit, of the model of `state` and `config`."""
    like, x = next(net.parameters()), symbols()
    other = Transformer(config, SYMBOLS, LENGTH).to(like).eval()
    other.load_state_dict(state)
    before = net(x)
    change = (other(x) - before).abs().max()
    return change.item(), (change / before.abs().max()).item()


def gradients(net: Transformer) -> dict[str, torch.Tensor]:
    """Of the loss of `symbols`, by the name of the weight."""
    names, weights = zip(*net.named_parameters(), strict=True)
    return dict(zip(names, torch.autograd.grad(loss(net, symbols()), weights), strict=True))


def measure(seed: int) -> dict[str, float]:
    """logits_off..., mistake_..., copies_..., moments_off, depth_off; see the promises of systems row `nets_theory`."""
    found = {"logits_off": 0.0, "logits_off_float32": 0.0, "noise_off": 0.0, "depth_off": 0.0}
    for k, mode, c in product((2, 3), MODES, KINDS[::5]):
        net = model(c, seed)
        _keep(found, "logits_off", off(net, *grow(net.state_dict(), c, k, mode))[1])
        if k == 2:
            _keep(found, "noise_off", off(net, *grow(net.state_dict(), c, k, mode, 0.5, seed))[1])
            single = model(c, seed, torch.float32)
            _keep(found, "logits_off_float32", off(single, *grow(single.state_dict(), c, k, mode))[1])
        if c.pre and k == 2:
            _keep(found, "depth_off", off(net, *deepen(net.state_dict(), c, 5))[1])
    return found | _mistakes(seed) | _copies(seed)


def _mistakes(seed: int) -> dict[str, float]:
    """By how much a logit changes where one thing is done as the article, or haste, has it."""
    k, coarse, turned = 2, replace(SMALL, eps=1e-2), replace(SMALL, positions="rope")
    net = model(SMALL, seed)
    state, c = grow(net.state_dict(), SMALL, k)
    biases = {name: tensor / k**0.5 if "second.bias" in name else tensor for name, tensor in state.items()}
    after = {name: _after(tensor, k) for name, tensor in state.items()}
    rough, rope = model(coarse, seed), model(turned, seed)
    eps, wider = grow(rough.state_dict(), coarse, k), grow(rope.state_dict(), turned, k)
    usual = Transformer(wider[1], SYMBOLS, LENGTH).double().frequencies
    return {
        "mistake_bias": off(net, biases, c)[0],
        "mistake_concatenated": off(net, after, c)[0],
        "mistake_eps": off(rough, eps[0], replace(eps[1], eps=coarse.eps))[0],
        "mistake_frequencies": off(rope, wider[0] | {"frequencies": usual}, wider[1])[0],
    }


def _after(tensor: torch.Tensor, k: int) -> torch.Tensor:
    """Copies that lie side by side laid after one another, in the stream and in heads, which are as wide."""
    for axis, size in enumerate(tensor.shape):
        if size == k * SMALL.dim:
            tensor = tensor.unflatten(axis, (-1, k)).transpose(axis, axis + 1).flatten(axis, axis + 1)
    return tensor


def _copies(seed: int) -> dict[str, float]:
    """How far gradients of copies are apart, over the largest of their weight, and Adam's averages from the grown."""
    found = {}
    net = model(SMALL, seed)
    for name, noise in (("copies_apart", 0.0), ("copies_apart_with_noise", 0.5)):
        state, c = grow(net.state_dict(), SMALL, 2, noise=noise, seed=seed)
        other = Transformer(c, SYMBOLS, LENGTH).double()
        other.load_state_dict(state)
        apart = []
        for gradient in (g for key, g in gradients(other).items() if key.endswith("first.weight")):
            a, b = gradient.unflatten(0, (-1, 2)).unbind(1)
            apart.append(((a - b).abs().max() / gradient.abs().max()).item())
        found[name] = min(apart) if noise else max(apart)
        if not noise:
            right, moved = gradients(other), grow_adam(gradients(net), SMALL, 2)
            most = max(g.abs().max().item() for g in right.values())
            found["moments_off"] = max((moved[key] - g).abs().max().item() for key, g in right.items()) / most
    return found


def _keep(found: dict[str, float], name: str, value: float) -> None:
    found[name] = max(found[name], value)
