"""UniVAE: one Transformer reads a sentence into latents of several scales, and writes it again from them.

Article: https://kexue.fm/archives/8475 (and 8404 for its posterior).

    x = [CLS] a b c [SEP] [PAD] | [CLS] a b c [SEP]          read with segment 0, written with segment 1
    before each of the last M layers     x_0 <- W_out z,   z ~ p(z | W_in x_0)         x_0 is the reader's [CLS]
    layers before them have the independent mask, those the unified one (masks.py)
    -log p(x) <= E sum -log p(token | what was written, z_1 ... z_M) + sum KL(p(z_m | x) || prior)

Places are counted anew in the second half, and empty ones seen by none: the code of a sentence does not know how much
padding follows, in the author's version it does. The number: what `write.py` computes with cached keys from latents is
what this computes with masks, to 1e-5.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import torch
from torch import nn

from stages.core.errors import Refusal
from stages.nets import posteriors
from stages.nets.codes import Code
from stages.nets.posteriors import Posterior
from stages.text.bert.model import PAD, Config, Encoder, MaskedHead, initial
from stages.text.univae import masks


class Read(NamedTuple):
    """What a forward pass gives."""

    logits: torch.Tensor  # [n, t - 1, vocabulary], of the tokens from the second on
    codes: list[Code]  # of each scale, from the lowest layer up


class UniVAE(nn.Module):
    """`scales` latents in the last so many layers of `config`'s."""

    def __init__(self, config: Config, posterior: Posterior, scales: int, vocabulary: int) -> None:
        super().__init__()
        if not 1 <= scales < config.layers:  # before the first layer [CLS] is the same for every sentence
            raise Refusal(
                f"params.yaml: scales is {scales}, but it must be 1 to {config.layers - 1}, one less than layers"
            )
        if config.segments < 2:
            raise Refusal("params.yaml: encoder.segments must be 2: a sentence is read and written")
        self.body, self.head = Encoder(config, vocabulary), MaskedHead(config, vocabulary)
        self.laws = nn.ModuleList(posteriors.make(posterior) for _ in range(scales))
        self.into = nn.ModuleList(nn.Linear(config.dim, law.size) for law in self.laws)
        self.out = nn.ModuleList(nn.Linear(posterior.latent, config.dim) for _ in range(scales))
        self.apply(partial(initial, gain=1.0))  # with BERT's, topics of questions are not found for thousands of steps

    @property
    def first(self) -> int:
        """The number of the first layer with a latent."""
        return len(self.body.blocks) - len(self.laws)

    def forward(self, ids: torch.Tensor, chance: torch.Generator | None = None, zeroed: bool = False) -> Read:
        """ids [n, t] -> what is written of them, by draws of `chance` or the modes; `zeroed` puts 0 for all latents."""
        t = ids.shape[1]
        halves = [self.body.embedded(ids, torch.full_like(ids, segment)) for segment in (0, 1)]
        x, angles = torch.cat(halves, 1), self.body.angles(t)  # [n, 2 t, dim]
        angles = None if angles is None else angles.repeat(2, 1)
        segments = (torch.arange(2 * t, device=ids.device) >= t).long()
        there = (ids != PAD).repeat(1, 2)
        there[:, 0] = there[:, t] = True
        below, above = (mask & there[:, None, None] for mask in (masks.independent(segments), masks.unified(segments)))
        codes = []
        for i, block in enumerate(self.body.blocks):
            if (m := i - self.first) >= 0:
                codes.append(self.laws[m](self.into[m](x[:, 0])))
                z = self.drawn(codes[m], chance)
                x = torch.cat([self.out[m](0 * z if zeroed else z)[:, None], x[:, 1:]], 1)
            x = block(x, angles, above if m >= 0 else below)
        return Read(self.head(x[:, t:-1], self.body.tokens.weight), codes)

    def read(self, ids: torch.Tensor, chance: torch.Generator | None = None) -> torch.Tensor:
        """The latents of sentences [n, t], by draws of `chance` or the modes: [n, scales, latent]."""
        x, angles = self.body.embedded(ids, None), self.body.angles(ids.shape[1])
        there = ids != PAD
        there[:, 0] = True
        latents = []
        for i, block in enumerate(self.body.blocks):
            if (m := i - self.first) >= 0:
                latents.append(self.drawn(self.laws[m](self.into[m](x[:, 0])), chance))
                x = torch.cat([self.out[m](latents[m])[:, None], x[:, 1:]], 1)
            x = block(x, angles, there[:, None, None])
        return torch.stack(latents, 1)

    def drawn(self, code: Code, chance: torch.Generator | None) -> torch.Tensor:
        """[n, latent]."""
        z = code.mode() if chance is None else code.draw(chance)[0]
        return z.to(self.head.bias.dtype)

    def prior(self, n: int, chance: torch.Generator) -> torch.Tensor:
        """Latents [n, scales, latent] of no sentence."""
        return torch.stack([law.prior(n, chance) for law in self.laws], 1)
