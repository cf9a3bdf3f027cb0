"""A trained UniVAE as people use it: sentences to latents, and latents to sentences."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch.nn import functional

from stages.core import files
from stages.core.errors import Refusal, one_line
from stages.core.params import typed
from stages.nets.posteriors import Vmf
from stages.text.bert.vocabulary import Vocabulary
from stages.text.univae import data
from stages.text.univae.model import UniVAE
from stages.text.univae.train import Univae
from stages.text.univae.write import Writer


@dataclass(frozen=True)
class Robot:
    """Latents are [n, scales, latent]; on the sphere each is of length 1."""

    net: UniVAE
    vocabulary: Vocabulary

    @property
    def length(self) -> int:
        """Tokens of a sentence, [CLS] and [SEP] among them."""
        return self.net.body.config.places

    @cached_property
    def writer(self) -> Writer:
        """With as many places as it was trained with."""
        return Writer(self.net, self.length, self.vocabulary.cls, self.vocabulary.sep)

    def numbers(self, texts: list[str]) -> torch.Tensor:
        """Tokens [n, length] of sentences, cut where they are too long."""
        rows = self.vocabulary.rows([data.cut(text, self.length - 2) for text in texts], self.length)
        return torch.from_numpy(rows).to(self.net.head.bias.device)

    @torch.no_grad()
    def read(self, texts: list[str], chance: torch.Generator | None = None) -> torch.Tensor:
        """The modes of their latents, or draws by `chance`."""
        return self.net.read(self.numbers(texts), chance)

    def write(
        self, latents: torch.Tensor, temperature: float = 0.0, chance: torch.Generator | None = None
    ) -> list[str]:
        """A sentence of each."""
        return [self.vocabulary.decode(row) for row in self.writer.sample(latents, temperature, chance).tolist()]

    def beam(self, latents: torch.Tensor, width: int) -> list[list[str]]:
        """The `width` likeliest of each, best first."""
        return [[self.vocabulary.decode(row) for row in rows] for rows in self.writer.beam(latents, width)[0].tolist()]

    def between(self, a: torch.Tensor, b: torch.Tensor, share: float) -> torch.Tensor:
        """`share` of the way from `a` to `b`, of each latent; on the sphere brought back to it."""
        way = torch.lerp(a, b, share)
        return functional.normalize(way, dim=-1) if isinstance(self.net.laws[0], Vmf) else way


def opened(model: Path, device: torch.device | str = "cpu", seed: int | None = None) -> Robot:
    """The robot in a model folder, of `seed` or the first; raises `Refusal` where there is none."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    told = files.read_json(model / "model.json")
    how = typed(Univae, told["params"], str(model / "model.json"))
    vocabulary = Vocabulary(told["vocabulary"])
    net = UniVAE(how.encoder, how.posterior, how.scales, len(vocabulary))
    path = model / f"seed_{how.seeds[0] if seed is None else seed}.safetensors"
    try:
        net.load_state_dict(load_file(path))
    except (OSError, RuntimeError, SafetensorError) as error:
        raise Refusal(f"{path} is no trained UniVAE: {one_line(error)}; train it again") from error
    return Robot(net.to(device).eval(), vocabulary)
