"""What a training of energies leaves: for each seed the averaged critic and the buffer of samples.

seed_N.safetensors   weights/..., buffer float32 [buffer, channels, height, width]
history.parquet      seed, step and what was recorded
model.json           params and the shape of a datum
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import torch
from torch import nn

from stages.core import devices, files
from stages.core.params import typed
from stages.core.systems import Findings
from stages.energy.implicit import Implicit, energy, learn
from stages.nets.langevin import Potential
from stages.nets.layers import Image
from stages.nets.networks import critic
from stages.nets.seeds import every_seed
from stages.nets.threads import suited
from stages.nets.training import History

ARTICLE = 6612
"""The number of the article, https://kexue.fm/archives/6612."""


class Learns(Protocol):
    """Params of a training: those of the data, and `learning`."""

    @property
    def learning(self) -> Implicit: ...


Params = TypeVar("Params", bound=Learns)


@dataclass(frozen=True)
class Model:
    """One seed's: the critic in evaluation mode, and its past samples."""

    net: nn.Module
    buffer: torch.Tensor

    @property
    def u(self) -> Potential:
        """The energy."""
        return energy(self.net)


def train(
    reals: Callable[[torch.Generator], torch.Tensor],
    image: Image,
    params: Learns,
    spool: Path | None,
    out: Path,
) -> Findings:
    """Train `params.learning` once a seed on batches by `reals` of data shaped `image`, and write it all to `out`."""
    how = params.learning
    device = devices.pick(how.device)

    def one(seed: int, kept: Path | None) -> tuple[dict[str, torch.Tensor], History]:
        net, buffer, record = learn(reals, image, how, seed, device, kept)
        return {f"weights/{name}": value for name, value in net.state_dict().items()} | {"buffer": buffer}, record

    with suited(image):
        return every_seed(one, how.seeds, spool, out, params, image=image)


def load(model: Path, kind: type[Params], device: torch.device | str = "cpu") -> tuple[Params, dict[int, Model]]:
    """The params of `kind` of the training in the folder `model`, and its models by seed.

    Raises `Refusal` where the folder lacks model.json or that has other keys.
    """
    from safetensors.torch import load_file

    path = Path(model) / "model.json"
    made = files.read_json(path)
    params = typed(kind, made["params"], str(path))
    how, found = params.learning, {}
    for seed in how.seeds:
        held = load_file(Path(model) / f"seed_{seed}.safetensors", device=str(device))
        net = critic(how.network, tuple(made["image"])).to(device)
        weights = {name.removeprefix("weights/"): v for name, v in held.items() if name.startswith("weights/")}
        net.load_state_dict(weights)
        found[seed] = Model(net.eval().requires_grad_(False), held["buffer"])
    return params, found
