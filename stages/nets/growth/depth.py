"""A trained Transformer made deeper, computing the same function.

Article: https://kexue.fm/archives/8444; paper: Gong et al. 2019 (StackBERT), https://arxiv.org/abs/1906.02337, whose
copies of layers do not keep the function.

    x + attention(norm x) = x    where attention's last layer is 0, and so for the feed-forward layer

With norms before the branches a copy of a block that ends in zeros is the identity. With norms after them none is: a
norm of what a norm has scaled is another vector. The number: logits stay, exactly
(tests/nets/test_transformer_growth.py).
"""

from __future__ import annotations

import re
from dataclasses import replace

import torch

from stages.core.errors import Refusal
from stages.nets.growth.width import State
from stages.nets.transformer import Config

LAST = (".attention.out.", ".ffn.second.")
"""What each branch of a block ends with."""


def deepen(state: State, config: Config, layers: int) -> tuple[dict[str, torch.Tensor], Config]:
    """The state and config of the model with `layers` blocks: copies that end in zeros follow those they copy.

    Raises `Refusal` for norms after the branches, and for fewer layers than there are.
    """
    if not config.pre:
        raise Refusal("with norms after its branches no block is the identity: only pre-norm models grow in depth")
    if layers < config.layers:
        raise Refusal(f"a model of {config.layers} layers cannot grow to {layers}: give more")
    sources = [block * config.layers // layers for block in range(layers)]
    grown = {name: tensor for name, tensor in state.items() if not name.startswith("blocks.")}
    for block, source in enumerate(sources):
        copy = block > 0 and sources[block - 1] == source
        for name, tensor in state.items():
            if name.startswith(f"blocks.{source}."):
                new = re.sub(r"^blocks\.\d+", f"blocks.{block}", name)
                grown[new] = torch.zeros_like(tensor) if copy and any(last in new for last in LAST) else tensor.clone()
    return grown, replace(config, layers=layers)
