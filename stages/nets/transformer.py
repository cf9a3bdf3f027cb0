"""A small Transformer language model with the choices that models in use differ by, each a name in its config.

Article: https://kexue.fm/archives/8444, which enlarges such models; papers: Vaswani et al. 2017,
https://arxiv.org/abs/1706.03762; Su et al. 2021 (RoPE), https://arxiv.org/abs/2104.09864; Press et al. 2021 (ALiBi),
https://arxiv.org/abs/2108.12409; Ainslie et al. 2023 (grouped queries), https://arxiv.org/abs/2305.13245.

    pre-norm     x + attention(norm x), then x + ffn(norm x), and a norm at the end
    post-norm    norm(x + attention x), then norm(x + ffn x)

The angles of RoPE are t * frequencies, a buffer that lies in the state with the weights: what enlarges a model needs
to set them. The number: pre-norm and post-norm are torch's own TransformerEncoder to 1e-12
(tests/nets/test_transformer.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from stages.core.errors import Refusal
from stages.core.params import choose


@dataclass(frozen=True)
class Config:
    """A model, but for its symbols and the number of its places."""

    dim: int
    layers: int
    heads: int
    groups: int  # of heads that share keys and values; as many as heads where each has its own
    head: int  # width of one
    hidden: int  # width of the feed-forward layer
    norm: str  # layer or rms
    eps: float
    pre: bool
    activation: str  # relu, gelu or swiglu
    positions: str  # absolute, rope (halves of a head turn together), rope_pairs (neighbours do), alibi, none
    tied: bool  # whether logits come from the embeddings
    bias: bool
    scaled: bool  # whether scores are divided by the root of `head`: T5's are not
    dropout: float


NORMS = {
    "layer": lambda c: nn.LayerNorm(c.dim, c.eps, bias=c.bias),
    "rms": lambda c: nn.RMSNorm(c.dim, c.eps),
}

ACTIVATIONS = {"relu": functional.relu, "gelu": functional.gelu, "swiglu": functional.silu}

ROTATED = ("rope", "rope_pairs")
POSITIONS = ("absolute", *ROTATED, "alibi", "none")


def rotated(x: torch.Tensor, angles: torch.Tensor, pairs: bool) -> torch.Tensor:
    """`x` [n, heads, tokens, head], pairs of its numbers turned by `angles` [tokens, head / 2].

    A pair is (x_2i, x_2i+1), or where not `pairs` (x_i, x_{i + head / 2}).
    """
    a, b = (x[..., ::2], x[..., 1::2]) if pairs else x.chunk(2, -1)
    turned = a * angles.cos() - b * angles.sin(), a * angles.sin() + b * angles.cos()
    return torch.stack(turned, -1).flatten(-2) if pairs else torch.cat(turned, -1)


class Attention(nn.Module):
    """Causal; the heads of a group share keys and values."""

    def __init__(self, c: Config) -> None:
        super().__init__()
        self.c = c
        self.query = nn.Linear(c.dim, c.heads * c.head, c.bias)
        self.key, self.value = (nn.Linear(c.dim, c.groups * c.head, c.bias) for _ in range(2))
        self.out = nn.Linear(c.heads * c.head, c.dim, c.bias)

    def forward(self, x: torch.Tensor, angles: torch.Tensor | None, bias: torch.Tensor | None) -> torch.Tensor:
        """x [n, tokens, dim]; `bias` [heads, tokens, tokens] is added to the scores, and hides what is to come."""
        c = self.c
        q, k, v = (m(x).unflatten(-1, (-1, c.head)).transpose(1, 2) for m in (self.query, self.key, self.value))
        if angles is not None:
            q, k = (rotated(part, angles, c.positions == "rope_pairs") for part in (q, k))
        o = functional.scaled_dot_product_attention(
            q, k, v, bias, c.dropout if self.training else 0.0, is_causal=bias is None,
            scale=None if c.scaled else 1.0, enable_gqa=c.groups < c.heads,
        )  # fmt: skip
        return self.out(o.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """second(act(first x)), or with a gate second(act(first x) * gate x)."""

    def __init__(self, c: Config) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(c.dim, c.hidden, c.bias), nn.Linear(c.hidden, c.dim, c.bias)
        self.gate = nn.Linear(c.dim, c.hidden, c.bias) if c.activation == "swiglu" else None
        self.act = choose(ACTIVATIONS, c.activation, "activation")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x [n, tokens, dim] -> the same."""
        hidden = self.act(self.first(x))
        return self.second(hidden if self.gate is None else hidden * self.gate(x))


class Block(nn.Module):
    """Attention and a feed-forward layer, each with its norm and residual."""

    def __init__(self, c: Config) -> None:
        super().__init__()
        self.pre, self.drop = c.pre, nn.Dropout(c.dropout)
        self.attention, self.ffn = Attention(c), FeedForward(c)
        self.norms = nn.ModuleList(choose(NORMS, c.norm, "norm")(c) for _ in range(2))

    def forward(self, x: torch.Tensor, angles: torch.Tensor | None, bias: torch.Tensor | None) -> torch.Tensor:
        """As in `Attention`."""
        first, second = self.norms
        if self.pre:
            x = x + self.drop(self.attention(first(x), angles, bias))
            return x + self.drop(self.ffn(second(x)))
        x = first(x + self.drop(self.attention(x, angles, bias)))
        return second(x + self.drop(self.ffn(x)))


class Transformer(nn.Module):
    """Symbols [n, tokens] -> logits [n, tokens, vocabulary] of the symbol that follows each."""

    def __init__(self, c: Config, vocabulary: int, length: int) -> None:
        super().__init__()
        _check(c)
        self.c, self.length = c, length
        self.tokens = nn.Embedding(vocabulary, c.dim)
        self.places = nn.Embedding(length, c.dim) if c.positions == "absolute" else None
        self.blocks = nn.ModuleList(Block(c) for _ in range(c.layers))
        self.norm = choose(NORMS, c.norm, "norm")(c) if c.pre else None
        self.head = None if c.tied else nn.Linear(c.dim, vocabulary, bias=False)
        self.bias = nn.Parameter(torch.zeros(vocabulary))  # of the logits
        if c.positions in ROTATED:
            self.register_buffer("frequencies", 10000.0 ** -(torch.arange(0, c.head, 2) / c.head))  # [head / 2]
        if c.positions == "alibi":
            self.register_buffer("slopes", 2.0 ** -(8 * torch.arange(1, c.heads + 1) / c.heads))  # [heads]
        for part in (self.tokens, self.places):
            if part is not None:
                nn.init.normal_(part.weight, std=0.02)

    def forward(self, symbols: torch.Tensor) -> torch.Tensor:
        """The logits. Raises `Refusal` for more tokens than there are places for."""
        n, x, angles, bias = symbols.shape[1], self.tokens(symbols), None, None
        place = torch.arange(n, device=symbols.device)
        if self.places is not None:
            if n > self.length:
                raise Refusal(f"a model of {self.length} places was given {n} tokens: cut them")
            x = x + self.places.weight[:n]
        if self.c.positions in ROTATED:
            angles = place[:, None] * self.frequencies  # [tokens, head / 2]
        if self.c.positions == "alibi":
            past = (place - place[:, None]).to(x.dtype)  # j - i
            bias = (self.slopes[:, None, None] * past).masked_fill(past > 0, -torch.inf)
        for block in self.blocks:
            x = block(x, angles, bias)
        x = x if self.norm is None else self.norm(x)
        return functional.linear(x, self.tokens.weight if self.head is None else self.head.weight, self.bias)


def loss(net: Transformer, symbols: torch.Tensor) -> torch.Tensor:
    """The mean cross entropy, nats, of each of `symbols` [n, tokens] given those before it; zeros do not count."""
    logits = net(symbols[:, :-1])
    return functional.cross_entropy(logits.flatten(0, 1), symbols[:, 1:].flatten(), ignore_index=0)


def _check(c: Config) -> None:
    if c.positions not in POSITIONS:
        raise Refusal(f"params.yaml: positions are '{c.positions}'; choices: {', '.join(POSITIONS)}")
    if c.groups < 1 or c.heads % c.groups:
        raise Refusal(f"params.yaml: {c.heads} heads are no multiple of {c.groups} groups: change one of them")
    if c.positions in ROTATED and c.head % 2:
        raise Refusal(f"params.yaml: {c.positions} turns pairs, but a head of {c.head} is odd: make it even")
