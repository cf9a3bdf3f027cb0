"""What codes are good for: classes by a linear probe and by neighbours, and ways from one image to another.

    slerp(a, b; s) = (sin((1 - s) w) a + sin(s w) b) / sin w        w the angle between a and b

Article: https://kexue.fm/archives/6181, which mixes Gaussian codes by cos and sin: halfway along a straight line their
norm is sqrt(1/2) of what it should be. A probe has no scale: it may read classes even from codes that the decoder
does not look at, so it shows no collapse; `bounds.py` does.
"""

from __future__ import annotations

import torch

from stages.nets.features import Judge

NEAREST = 9  # of retrieval, as in https://kexue.fm/archives/6024
FRAMES = 8  # of a path


def classes(train: torch.Tensor, labels: torch.Tensor, test: torch.Tensor, truth: torch.Tensor) -> dict[str, float]:
    """Of codes `train` [m, latent] with `labels` [m], and `test` [n, latent] with `truth` [n], all by the code alone:

    probe, as `linear`; nearest_code and retrieval, as `neighbours`.
    """
    return {"probe": linear(train, labels, test, truth), **neighbours(train, labels, test, truth)}


def linear(train: torch.Tensor, labels: torch.Tensor, test: torch.Tensor, truth: torch.Tensor) -> float:
    """The accuracy of a logistic regression of codes, standardised."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    probe.fit(train.cpu().numpy(), labels.cpu().numpy())
    return float(probe.score(test.cpu().numpy(), truth.cpu().numpy()))


def neighbours(train: torch.Tensor, labels: torch.Tensor, test: torch.Tensor, truth: torch.Tensor) -> dict[str, float]:
    """nearest_code, accuracy of the nearest training code; retrieval, the share of the 9 nearest of the class."""
    found = torch.cat([torch.cdist(part, train).topk(NEAREST, largest=False).indices for part in test.split(1024)])
    same = labels[found] == truth[:, None]  # [n, 9]
    return {"nearest_code": same[:, 0].double().mean().item(), "retrieval": same.double().mean().item()}


def slerp(a: torch.Tensor, b: torch.Tensor, frames: int) -> torch.Tensor:
    """`frames` codes from each of `a` [n, latent] to its one of `b`, both ends included; [frames, n, latent]."""
    s = torch.linspace(0, 1, frames, device=a.device)[:, None, None]
    cosine = torch.cosine_similarity(a, b, dim=-1).clamp(-0.9999, 0.9999)
    w = cosine.acos()[:, None]
    return (torch.sin((1 - s) * w) * a + torch.sin(s * w) * b) / torch.sin(w)


def paths(images: torch.Tensor, judge: Judge) -> dict[str, float]:
    """How smooth ways are, of `images` [frames, n, c, h, w] along them.

    path_length: of the way in pixels over the straight line between its ends, mean; path_sure: how much less sure of
    a class the judge is along the way than at the less sure end, mean: above 0 where frames are no images of a class.
    """
    flat = images.flatten(2)
    length = (flat[1:] - flat[:-1]).norm(dim=-1).sum(0)
    straight = (flat[-1] - flat[0]).norm(dim=-1).clamp(min=1e-6)
    found = {"path_length": (length / straight).mean().item()}
    if judge.task == "labels":
        sure = judge.probabilities(images.flatten(0, 1)).amax(1).view(images.shape[:2])
        found["path_sure"] = (torch.minimum(sure[0], sure[-1]) - sure.mean(0)).mean().item()
    return found
