"""What keeps codes near the prior: the KL divergence, or what the articles hold beside it.

Articles: https://kexue.fm/archives/5343 (KL), https://kexue.fm/archives/7725 (the others).

    loss = E[-log q(x|z)] + beta min(1, i / warm_up) E[regulariser]

    kl      KL(p(z|x) || q(z)); a dimension counts free_bits at least (https://arxiv.org/abs/1606.04934)
    crude   sum_j (mu_j^2 + (sigma_j - 1)^2) / 2
    none    0: with a posterior of kind `fixed` an autoencoder, with noise where its sigma is not 0

The number: crude is no VAE: without the barrier of -log sigma the codes shrink (tests/vae/test_promises.py).
"""

from __future__ import annotations

import torch

from stages.core.errors import Refusal
from stages.core.params import Choices
from stages.nets.codes import Code, Gaussian


def kl(code: Code, free_bits: float) -> torch.Tensor:
    """Nats, 0-dim, mean over the batch."""
    if not free_bits:
        return code.kl().mean()
    each = code.kl_each()
    if each is None:
        raise Refusal("params.yaml: free_bits is for posteriors whose dimensions come apart: set it to 0 for vmf")
    return each.mean(0).clamp(min=free_bits).sum()


def crude(code: Code, free_bits: float) -> torch.Tensor:
    """The article's first guess, 0-dim."""
    if not isinstance(code, Gaussian):
        raise Refusal("params.yaml: regulariser crude is for Gaussian posteriors: use kl")
    return (code.mu.square() + (code.sigma - 1).square()).sum(-1).mean() / 2


def none(code: Code, free_bits: float) -> torch.Tensor:
    """0."""
    return code.mode().new_zeros(())


REGULARISERS: Choices = {"kl": kl, "crude": crude, "none": none}
"""Functions of a batch's `Code` and free_bits."""


def warmth(step: int, warm_up: int) -> float:
    """The share of beta that counts at `step`: 0 at the first, 1 from `warm_up` on."""
    return min(1.0, step / warm_up) if warm_up else 1.0
