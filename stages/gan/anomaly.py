"""A class that the training never saw, told by the energy: what MEG's critic is for.

Article: https://kexue.fm/archives/6331; paper: https://arxiv.org/abs/1901.08508 (section 4.3).

    AUROC, and average precision, of U = -s on the test images: those of the class left out against the others

Base rate of average precision: the share of the class. The number: AUROC 0.70, mean over the ten digits, each left out
in its turn.
"""

from __future__ import annotations

import torch

from stages.core.errors import Refusal
from stages.gan.plain import Plain
from stages.nets.images import Images, ranged
from stages.nets.outliers import auroc


@torch.no_grad()
def measured(game: Plain, data: Images, unseen: tuple[int, ...]) -> dict[str, float]:
    """auroc_unseen and precision_unseen of the classes `unseen` among the test images.

    Raises `Refusal` where the test images have none of them, or nothing else.
    """
    from sklearn.metrics import average_precision_score

    strange = torch.isin(data.test_labels, torch.tensor(unseen))
    if strange.all() or not strange.any():
        raise Refusal(f"params.yaml: unseen is {list(unseen)}, which are all or none of the classes of the test images")
    energy = -game.score(ranged(game.params.output)(data.test))
    return {
        "auroc_unseen": auroc(energy[~strange], energy[strange]),
        "precision_unseen": float(average_precision_score(strange.numpy(), energy.numpy())),
    }
