"""Checkpoints outside DVC's outputs, from which a training that was killed goes on to the same bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.core import distributed
from stages.core.errors import Refusal, one_line
from stages.core.files import replacing

if TYPE_CHECKING:
    import torch


class Checkpoint:
    """The newest state of a training in `folder`: named tensors and plain values in one safetensors file.

    Keep torch's generator states among the tensors (uint8) and the place in the data among the values, and what is
    resumed is what would have been.
    """

    def __init__(self, folder: Path) -> None:
        self.path = Path(folder) / "checkpoint.safetensors"

    def save(self, tensors: dict[str, torch.Tensor], values: dict[str, Any]) -> None:
        """Replace the last state by this one; a kill leaves the last one or this one, never half of either.

        Of several processes that train together the first one's state is kept.
        """
        if distributed.world()[0] > 0:
            return
        from safetensors.torch import save_file

        whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        with replacing(self.path) as beside:
            save_file(whole, beside, metadata={"values": json.dumps(values, sort_keys=True)})

    def load(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
        """The last saved (tensors, values), or None where the training starts."""
        from safetensors import SafetensorError, safe_open

        if not self.path.exists():
            return None
        try:
            with safe_open(self.path, framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                return tensors, json.loads(file.metadata()["values"])
        except (SafetensorError, KeyError, ValueError) as error:
            raise Refusal(f"{self.path} is not a checkpoint: {one_line(error)}; remove it to start anew") from error

    def clear(self) -> None:
        """Forget the state: the training is done."""
        self.path.unlink(missing_ok=True)
