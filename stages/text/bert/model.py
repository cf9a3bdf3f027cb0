"""BERT's encoder, and RoFormer's, which differs in where the places enter; and the head that guesses masked tokens.

Articles: https://kexue.fm/archives/8265 (RoFormer), https://kexue.fm/archives/8739 (the tasks it is for); papers:
Devlin et al. 2018, https://arxiv.org/abs/1810.04805; Su et al. 2021, https://arxiv.org/abs/2104.09864.

    x = norm(E_token + E_place + E_segment)          absolute; with rope, queries and keys are turned instead
    x = norm(x + attention x), x = norm(x + W_2 gelu(W_1 x))         in every block: post-norm
    logits = E_token norm(gelu(W x)) + b             of the masked tokens

The number: it is torch's own TransformerEncoder to 1e-12 (tests/text/test_bert_model.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from stages.core.errors import Refusal
from stages.core.params import Choices, choose
from stages.nets import transformer

PAD = 0
BERT = 0.02 * 768**0.5
"""Of the first weights: deviation 0.02 at a width of 768, and as much at others."""

POSITIONS: Choices = {"absolute": "absolute", "rope": "rope_pairs"}
"""Names of positions to those of stages/nets/transformer.py: RoFormer turns neighbouring pairs."""


@dataclass(frozen=True)
class Config:
    """An encoder, but for its vocabulary."""

    dim: int
    layers: int
    heads: int
    hidden: int  # width of the feed-forward layers
    places: int  # tokens that a text has at most
    positions: str  # absolute or rope
    dropout: float
    segments: int  # kinds of them, 0 for none
    eps: float  # of the norms

    def block(self) -> transformer.Config:
        """The same in the words of stages/nets/transformer.py."""
        if self.dim % self.heads:
            raise Refusal(f"params.yaml: encoder.dim {self.dim} is no multiple of encoder.heads {self.heads}")
        head = self.dim // self.heads
        if self.positions == "rope" and head % 2:
            raise Refusal(f"params.yaml: rope turns pairs, but a head of {head} is odd: change encoder.dim or heads")
        return transformer.Config(
            dim=self.dim, layers=self.layers, heads=self.heads, groups=self.heads, head=head, hidden=self.hidden,
            norm="layer", eps=self.eps, pre=False, activation="gelu",
            positions=choose(POSITIONS, self.positions, "encoder.positions"),
            tied=True, bias=True, scaled=True, dropout=self.dropout,
        )  # fmt: skip


class Encoder(nn.Module):
    """Tokens -> what each has become; [PAD] is seen by none. Weights start as `initial` says."""

    def __init__(self, config: Config, vocabulary: int) -> None:
        super().__init__()
        self.config, c = config, config.block()
        self.tokens = nn.Embedding(vocabulary, c.dim, padding_idx=PAD)
        self.places = nn.Embedding(config.places, c.dim) if config.positions == "absolute" else None
        self.segments = nn.Embedding(config.segments, c.dim) if config.segments else None
        self.norm, self.drop = nn.LayerNorm(c.dim, c.eps), nn.Dropout(c.dropout)
        self.blocks = nn.ModuleList(transformer.Block(c) for _ in range(c.layers))
        frequencies = 10000.0 ** -(torch.arange(0, c.head, 2) / c.head)  # [head / 2]
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.apply(initial)

    def forward(self, ids: torch.Tensor, segments: torch.Tensor | None = None) -> torch.Tensor:
        """ids [n, t], segments [n, t] or None for the first kind throughout -> [n, t, dim].

        Raises `Refusal` for more tokens than there are places. The first token of a row is taken to be there.
        """
        seen = ids != PAD
        seen[:, 0] = True  # so that a row of [PAD] alone gives numbers too
        x, angles = self.embedded(ids, segments), self.angles(ids.shape[1])
        for block in self.blocks:
            x = block(x, angles, seen[:, None, None])  # [n, 1, 1, t]
        return x

    def embedded(self, ids: torch.Tensor, segments: torch.Tensor | None) -> torch.Tensor:
        """What the first block is given, [n, t, dim]."""
        t = ids.shape[1]
        if t > self.config.places:
            raise Refusal(f"an encoder of {self.config.places} places was given {t} tokens: cut them")
        x = self.tokens(ids)
        if self.places is not None:
            x = x + self.places.weight[:t]
        if self.segments is not None:
            x = x + (self.segments.weight[0] if segments is None else self.segments(segments))
        return self.drop(self.norm(x))

    def angles(self, t: int) -> torch.Tensor | None:
        """By which queries and keys are turned, [t, head / 2]."""
        if self.config.positions != "rope":
            return None
        return torch.arange(t, device=self.frequencies.device)[:, None] * self.frequencies


class MaskedHead(nn.Module):
    """What a token may be, of what its place has become."""

    def __init__(self, config: Config, vocabulary: int) -> None:
        super().__init__()
        self.dense, self.norm = nn.Linear(config.dim, config.dim), nn.LayerNorm(config.dim, config.eps)
        self.bias = nn.Parameter(torch.zeros(vocabulary))
        self.apply(initial)

    def forward(self, x: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """x [..., dim] and the embeddings of tokens [vocabulary, dim] -> logits [..., vocabulary]."""
        return functional.linear(self.norm(functional.gelu(self.dense(x))), tokens, self.bias)


def initial(module: nn.Module, gain: float = BERT) -> None:
    """Truncated normals of deviation `gain` / sqrt(inputs), of embeddings BERT / sqrt(dim); biases 0."""
    if isinstance(module, nn.Linear | nn.Embedding):
        std = (gain if isinstance(module, nn.Linear) else BERT) * module.weight.shape[1] ** -0.5
        nn.init.trunc_normal_(module.weight, std=std, a=-2 * std, b=2 * std)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
    if isinstance(module, nn.Embedding) and module.padding_idx is not None:
        with torch.no_grad():
            module.weight[module.padding_idx] = 0
