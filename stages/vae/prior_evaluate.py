"""What the law of a VQ-VAE's codes is worth: in nats a code, and by the images that it makes.

Article: https://kexue.fm/archives/6760.

    nats       mean - log p of a test code, given those before it (and the level above)
    unigram    entropy of the test codes' frequencies: no law without context does better; gain = unigram - nats
    fd and so on: the metrics of quality.py, of samples at temperature 1; reconstruction_fd: of what is between
               images and codes; uniform_fd and unigram_fd: of codes that are drawn each by itself
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from stages.core import tables, targets
from stages.core.systems import Findings, Inputs
from stages.core.targets import Target
from stages.nets import curves, features, images, quality
from stages.vae import prior, vq
from stages.vae.codebook import entropy, usage
from stages.vae.prior import Prior
from stages.vae.vq_evaluate import judged

SHOWN = 64  # samples in a grid
A_ROW = 10  # samples of each temperature


@dataclass(frozen=True)
class EvaluateLaw:
    """Params of the evaluation."""

    archive: int  # number of the article
    data: str  # what the claims say they were measured on
    samples: int
    temperatures: tuple[float, ...]  # besides 1, to be tried
    targets: tuple[Target, ...]


def evaluate(model: Path, inputs: Inputs, params: EvaluateLaw) -> Findings:
    """Metrics of each seed's law, and the promises held against them; errors as in `vq_evaluate.evaluate`."""
    import pyarrow as pa

    judge, found = judged(inputs), prior.load(model)
    rows, trials, shown = {}, [], []
    for seed, (law, made) in found.items():
        made_images = drawn(law, made, params.samples, 1.0, seed)
        rows[seed] = likelihoods(law, made) | qualities(made_images, made, judge, seed)
        shown.append(made_images[:SHOWN])
        for temperature in params.temperatures:
            cooled = drawn(law, made, params.samples, temperature, seed)
            measured = quality.measure(judge, cooled, seed)
            trials.append({"seed": seed, "temperature": temperature, **measured})
            shown.append(cooled[:A_ROW])
    figures = {
        "samples": images.grid(shown[0], 8),
        "curves": curves.curves(tables.read(model / "history.parquet")),
    }
    found_tables = {"seeds": targets.table(rows)}
    if trials:
        figures["temperatures"] = images.grid(torch.cat(shown[1 : 1 + len(params.temperatures)]), A_ROW)
        found_tables["temperatures"] = pa.Table.from_pylist(trials)
    claims = targets.judged(rows, params.targets, params.archive, params.data)
    return Findings(targets.summary(rows), claims, found_tables, figures)


def drawn(law: Prior, made: vq.Made, size: int, temperature: float, seed: int) -> torch.Tensor:
    """`size` samples in [0, 1], [size, channels, height, width]."""
    return made.pictured(law.sample(size, temperature, torch.Generator().manual_seed(1000 + seed)))


@torch.no_grad()
def likelihoods(law: Prior, made: vq.Made) -> dict[str, float]:
    """Nats a code of the test set and of as many training grids, and of frequencies alone; of two levels each, too."""
    seen = [level[: len(made.test[0])] for level in made.train]
    test, train = ([level.double() for level in nats(law, codes)] for codes in (made.test, seen))
    plain = [entropy(usage(codes, made.params.codebook.codes)) for codes in made.test]
    places = [float(codes.numel()) for codes in made.test]
    unigram = sum(e * n for e, n in zip(plain, places, strict=True)) / sum(places)
    mean = (sum(level.sum() for level in test) / sum(places)).item()
    found = {"nats": mean, "nats_train": torch.cat([level.flatten() for level in train]).mean().item()}
    found |= {"unigram": unigram, "gain": unigram - mean}
    if len(test) > 1:
        for name, level, alone in zip(made.params.levels, test, plain, strict=True):
            found |= {f"nats_{name}": level.mean().item(), f"unigram_{name}": alone}
    return found


def nats(law: Prior, codes: list[torch.Tensor]) -> list[torch.Tensor]:
    """- log p of each code of whole data sets, [n, side, side] of each level."""
    parts = [law(list(part)) for part in zip(*(level.split(prior.AT_ONCE) for level in codes), strict=True)]
    return [torch.cat(level) for level in zip(*parts, strict=True)]


def qualities(samples: torch.Tensor, made: vq.Made, judge: features.Judge, seed: int) -> dict[str, float]:
    """The metrics of samples, beside reconstructions and codes drawn without a law."""
    source, size = torch.Generator().manual_seed(2000 + seed), made.params.codebook.codes
    shapes = [(len(samples), *level.shape[1:]) for level in made.train]
    uniform = [torch.randint(size, shape, generator=source) for shape in shapes]
    pools = [level.flatten() for level in made.train]
    single = [pool[torch.randint(len(pool), s, generator=source)] for pool, s in zip(pools, shapes, strict=True)]

    def fd(codes: list[torch.Tensor]) -> float:
        return quality.frechet(judge.reference, judge.features(made.pictured(codes)))

    found = quality.measure(judge, samples, seed)
    found |= {"reconstruction_fd": fd(made.test), "uniform_fd": fd(uniform), "unigram_fd": fd(single)}
    found["fd_of_uniform"] = found["fd"] / found["uniform_fd"]
    found["fd_of_reconstruction"] = found["fd"] / found["reconstruction_fd"]
    return found
