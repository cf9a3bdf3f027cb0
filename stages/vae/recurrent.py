"""Encoders and decoders of sequences of symbols: a GRU and a Transformer, each both ways.

    encoder    x [n, length] -> h [n, outputs], from the whole sequence
    decoder    x, z -> logits [n, length, symbols + 1] of each place, given z and the symbols before it

0 ends a sequence. z is given at every place, so that it is never far away: what makes a KL vanish is not forgetting.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from stages.core.errors import Refusal
from stages.core.params import Choices, choose


@dataclass(frozen=True)
class Reader:
    """Params of an encoder or a decoder."""

    kind: str  # gru or transformer
    width: int
    layers: int
    heads: int  # of a transformer's attention


class Symbols(nn.Module):
    """Embeddings [n, length, width] of x [n, length], in which 0 ends a sequence."""

    def __init__(self, reader: Reader, symbols: int, length: int) -> None:
        super().__init__()
        if reader.width < 1 or reader.layers < 1:
            raise Refusal("params.yaml: width and layers of an encoder or decoder are 1 at least")
        self.symbols = nn.Embedding(symbols + 2, reader.width)  # 0, the symbols, and what stands before the first
        self.places = nn.Parameter(torch.zeros(length, reader.width)) if reader.kind == "transformer" else None
        nn.init.normal_(self.symbols.weight, std=reader.width**-0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Embeddings of the symbols and, for a Transformer, of their places."""
        found = self.symbols(x)
        return found if self.places is None else found + self.places[: x.shape[1]]


def shifted(x: torch.Tensor, start: int) -> torch.Tensor:
    """`x` [n, length] one place later, `start` at the first."""
    return torch.cat([torch.full_like(x[:, :1], start), x[:, :-1]], 1)


class GruEncoder(nn.Module):
    """h is a linear map of the state after the last symbol."""

    def __init__(self, reader: Reader, symbols: int, length: int, outputs: int) -> None:
        super().__init__()
        self.embedding = Symbols(reader, symbols, length)
        self.gru = nn.GRU(reader.width, reader.width, reader.layers, batch_first=True)
        self.out = nn.Linear(reader.width, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x [n, length] -> [n, outputs]."""
        states, _ = self.gru(self.embedding(x))
        last = (x > 0).sum(1).clamp(min=1) - 1
        return self.out(states[torch.arange(len(x), device=x.device), last])


class GruDecoder(nn.Module):
    """The GRU sees z beside each symbol."""

    def __init__(self, reader: Reader, symbols: int, length: int, latent: int) -> None:
        super().__init__()
        self.embedding, self.start = Symbols(reader, symbols, length), symbols + 1
        self.gru = nn.GRU(reader.width + latent, reader.width, reader.layers, batch_first=True)
        self.out = nn.Linear(reader.width, symbols + 1)

    def forward(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        """x [n, length], z [n, latent] -> [n, length, symbols + 1]."""
        before = self.embedding(shifted(x, self.start))
        states, _ = self.gru(torch.cat([before, z[:, None].expand(-1, x.shape[1], -1)], 2))
        return self.out(states)


def _layers(reader: Reader) -> nn.TransformerEncoder:
    if reader.heads < 1 or reader.width % reader.heads:
        raise Refusal(f"params.yaml: width {reader.width} is no multiple of heads {reader.heads}")
    layer = nn.TransformerEncoderLayer(
        reader.width, reader.heads, 4 * reader.width, 0.0, "gelu", batch_first=True, norm_first=True
    )
    norm = nn.LayerNorm(reader.width)
    return nn.TransformerEncoder(layer, reader.layers, norm, enable_nested_tensor=False)


class TransformerEncoder(nn.Module):
    """h is a linear map of the mean over places."""

    def __init__(self, reader: Reader, symbols: int, length: int, outputs: int) -> None:
        super().__init__()
        self.embedding, self.layers = Symbols(reader, symbols, length), _layers(reader)
        self.out = nn.Linear(reader.width, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """As in `GruEncoder`."""
        there = (x > 0).float()  # [n, length]
        seen = self.layers(self.embedding(x), src_key_padding_mask=x == 0)
        return self.out((seen * there[..., None]).sum(1) / there.sum(1, keepdim=True).clamp(min=1))


class TransformerDecoder(nn.Module):
    """z is added at each place, which looks at those before it."""

    def __init__(self, reader: Reader, symbols: int, length: int, latent: int) -> None:
        super().__init__()
        self.embedding, self.layers, self.start = Symbols(reader, symbols, length), _layers(reader), symbols + 1
        self.given, self.out = nn.Linear(latent, reader.width), nn.Linear(reader.width, symbols + 1)

    def forward(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        """As in `GruDecoder`."""
        length = x.shape[1]
        hidden = torch.ones(length, length, dtype=torch.bool, device=x.device).triu(1)
        seen = self.embedding(shifted(x, self.start)) + self.given(z)[:, None]
        return self.out(self.layers(seen, mask=hidden, is_causal=True))


ENCODERS: Choices = {"gru": GruEncoder, "transformer": TransformerEncoder}
DECODERS: Choices = {"gru": GruDecoder, "transformer": TransformerDecoder}


def encoder(reader: Reader, symbols: int, length: int, outputs: int, seed: int) -> nn.Module:
    """An encoder with weights that `seed` decides; raises `Refusal` for sizes and names that do not fit."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return choose(ENCODERS, reader.kind, "encoder.kind")(reader, symbols, length, outputs)


def decoder(reader: Reader, symbols: int, length: int, latent: int, seed: int) -> nn.Module:
    """A decoder, likewise."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return choose(DECODERS, reader.kind, "decoder.kind")(reader, symbols, length, latent)
