"""A network that knows a data set, by whose features its imitations are judged.

Article: https://kexue.fm/archives/6163, which compares generative models by the Frechet distance of features.

    conv 3x3 -> ReLU -> halved, for each of `widths` -> dense `dim`, ReLU (the features) -> classes
    loss = cross entropy with smoothed labels, images with Gaussian noise

Where the data set has no labels, the four classes are turns by 0, 90, 180 and 270 degrees
(Gidaris et al. 2018, https://arxiv.org/abs/1803.07728). That is a weaker judge: what stands upright need not be sharp.
The number: 0.98 of the test digits known, after seconds on a CPU (systems row `digits_features`).
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from stages.core import devices, files
from stages.core.errors import Refusal, one_line
from stages.core.params import Choices, choose
from stages.core.systems import Findings, Inputs
from stages.nets import quality, references
from stages.nets.images import Images, unit
from stages.nets.images import load as load_images
from stages.nets.inception import Inception
from stages.nets.threads import suited
from stages.nets.training import Watch, fit

AT_ONCE = 2048  # images that are judged at a time
SMALLEST = 4  # pixels a side that are still halved
LEAST = 0.1  # of the mean deviation of features
IMAGENET = "imagenet"  # the task of Inception, which fid.py makes a judge


@dataclass(frozen=True)
class Features:
    """Params of the training."""

    widths: tuple[int, ...]  # channels of the convolutions; one for each halving from 28 pixels on
    dim: int  # features
    task: str  # labels or rotations
    smoothing: float  # of labels
    noise: float  # standard deviation, of pixels in [0, 1]
    steps: int
    batch: int
    rate: float  # of Adam, constant, and falling to 0 over the last half
    reference: int  # most training images that generated ones are held against
    seed: int
    watch: Watch
    device: str
    bf16: bool
    compile: bool


class Net(nn.Module):
    """`body`: images [n, channels, height, width] in [0, 1] to features [n, dim]; `head`: to logits [n, outputs]."""

    def __init__(self, image: tuple[int, int, int], widths: tuple[int, ...], dim: int, outputs: int) -> None:
        super().__init__()
        channels, *sides = image
        layers: list[nn.Module] = []
        for width in widths:
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
            if min(sides) >= SMALLEST:
                layers.append(nn.MaxPool2d(2))
                sides = [side // 2 for side in sides]
        flat = channels * sides[0] * sides[1]
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Linear(flat, dim), nn.ReLU())
        self.head = nn.Linear(dim, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits [n, outputs]."""
        return self.head(self.body(x))


@torch.no_grad()
def embed(net: Net | Inception, images: torch.Tensor) -> torch.Tensor:
    """The features [n, dim] float32, on the device of `net`, of images [n, channels, height, width] in [0, 1]."""
    weight = net.head.weight
    return torch.cat([net.body(part.to(weight)) for part in images.split(AT_ONCE)])


def by_label(x: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Images and their labels as they are."""
    return x, labels


def by_rotation(x: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Every fourth image turned by a right angle, the next by two, the next by three; which it was is the label."""
    turned = [torch.rot90(x[turns::4], turns, (2, 3)) for turns in range(4)]
    return torch.cat(turned), torch.cat([labels.new_full((len(part),), turns) for turns, part in enumerate(turned)])


Task = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
TASKS: Choices = {"labels": by_label, "rotations": by_rotation}
"""What the network is asked about images [n, ...] with labels [n]."""


@dataclass(frozen=True)
class Judge:
    """A trained network with the data set that it knows, and the features of that."""

    net: Net | Inception
    task: str
    images: Images
    train: torch.Tensor  # features [n, dim]
    test: torch.Tensor
    rows: torch.Tensor  # the training images that others are held against
    scale: dict[str, float]  # what numbers are read against: `gaussian` (fd) and `nearest_test`

    @property
    def reference(self) -> torch.Tensor:
        """The features of those training images; [m, dim]."""
        return self.train[self.rows]

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Features [n, dim] float32, not standardised, of images [n, channels, height, width] in [0, 1]."""
        return embed(self.net, images)

    def probabilities(self, images: torch.Tensor) -> torch.Tensor:
        """Probabilities [n, outputs] of the classes, likewise."""
        with torch.no_grad():
            return self.net.head(self.features(images)).softmax(1)

    def standardised(self, features: torch.Tensor) -> torch.Tensor:
        """Features less their mean over the training set, by their deviation there, or a tenth of the mean one if more.

        A unit that hardly ever answers would else make of its few answers distances beyond all others.
        """
        deviation = self.train.std(0)
        return (features - self.train.mean(0)) / deviation.clamp(min=LEAST * deviation.mean())


def train(inputs: Inputs, params: Features, out: Path) -> Findings:
    """Train on `inputs.input`/images.safetensors; writes to `out` what `load` reads.

    Raises `Refusal` for a data set without the labels or the square images that the task needs.
    """
    device = devices.pick(params.device)
    images = load_images(inputs.input, device)
    task, outputs = choose(TASKS, params.task, "task"), _outputs(images, params.task, inputs.input)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(params.seed)
        net = Net(images.shape, params.widths, params.dim, outputs).to(device)
    begin = time.perf_counter()
    with suited(images.shape):
        history = learn(net, images, task, params, inputs.spool)
    seconds = time.perf_counter() - begin
    judge = judging(net, images, params.task, params.reference, params.seed)
    save(judge, asdict(params), inputs.input, out)
    facts = {"images_per_second": params.steps * params.batch / seconds}
    return Findings(metrics={"accuracy": accuracy(judge), **judge.scale}, facts=facts, history=history)


def accuracy(judge: Judge) -> float:
    """The share of the test images about which the network answers its task rightly."""
    x, y = choose(TASKS, judge.task, "task")(unit(judge.images.test), judge.images.test_labels)
    return (judge.probabilities(x).argmax(1) == y).double().mean().item()


def learn(net: Net, images: Images, task: Task, params: Features, spool: Path | None) -> dict[str, list[float]]:
    """Train `net` in place; returns the loss of every step. With `spool` a killed training goes on."""
    device = images.train.device
    optimiser = torch.optim.Adam(net.parameters(), lr=params.rate)
    generator = torch.Generator(device).manual_seed(params.seed)
    forward = torch.compile(net) if params.compile and device.type == "cuda" else net

    def step(i: int) -> dict[str, torch.Tensor]:
        rows = torch.randint(len(images.train), (params.batch,), generator=generator, device=device)
        x, y = task(unit(images.train[rows]), images.train_labels[rows])
        x = x + params.noise * torch.randn(x.shape, generator=generator, device=device)
        with devices.precision(device, params.bf16):
            loss = functional.cross_entropy(forward(x), y, label_smoothing=params.smoothing)
        for group in optimiser.param_groups:
            group["lr"] = params.rate * min(1.0, 2 - 2 * i / params.steps)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return {"loss": loss}

    parts = {"net": net, "optimiser": optimiser, "generator": generator}
    return fit(step, parts, params.steps, params.watch, spool, "features")


def save(judge: Judge, params: dict[str, Any], data: Path, out: Path) -> None:
    """Write the judge to the folder `out`: weights, features, the data set itself and model.json."""
    from safetensors.torch import save_file

    out.mkdir(parents=True)
    shutil.copyfile(data / "images.safetensors", out / "images.safetensors")
    weights = {name: value.cpu().contiguous() for name, value in judge.net.state_dict().items()}
    save_file(weights, out / "weights.safetensors")
    held = {"train": judge.train, "test": judge.test, "rows": judge.rows}
    save_file({name: value.cpu().contiguous() for name, value in held.items()}, out / "features.safetensors")
    layer = "the last but one, dense, after ReLU"
    facts = {"outputs": judge.net.head.out_features, "scale": judge.scale, "features": layer}
    files.write_json({"params": params, **facts}, out / "model.json")


def load(folder: Path, device: torch.device | str = "cpu") -> Judge:
    """The judge in `folder`; raises `Refusal` where it is missing or broken."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    made = files.read_json(Path(folder) / "model.json")
    images = load_images(folder, device)
    try:
        params = made["params"]
        known = params["task"] == IMAGENET
        net = Inception() if known else Net(images.shape, params["widths"], params["dim"], made["outputs"])
        net.to(device).load_state_dict(load_file(Path(folder) / "weights.safetensors", device=str(device)))
        held = load_file(Path(folder) / "features.safetensors", device=str(device))
        net.requires_grad_(False)
        return Judge(net, params["task"], images, held["train"], held["test"], held["rows"], made["scale"])
    except (OSError, KeyError, RuntimeError, SafetensorError) as error:
        raise Refusal(f"{folder} holds no feature network: {one_line(error)}; train it again") from error


def judging(net: Net | Inception, images: Images, task: str, reference: int, seed: int) -> Judge:
    """The judge with the features of its data set, of which `reference` are drawn, and the scale of its numbers."""
    drawn = torch.randperm(len(images.train), generator=torch.Generator().manual_seed(seed))
    rows = drawn[:reference].sort().values.to(images.train.device)
    known = (torch.cat([embed(net, unit(part)) for part in x.split(AT_ONCE)]) for x in (images.train, images.test))
    judge = Judge(net, task, images, *known, rows, {})
    generator = torch.Generator(rows.device).manual_seed(seed)
    fitted = references.gaussian(unit(images.train[rows]), len(rows), generator)
    scale = {
        "gaussian": quality.frechet(judge.reference, judge.features(fitted)),
        "nearest_test": quality.nearest(judge.standardised(judge.train), judge.standardised(judge.test)),
    }
    return replace(judge, scale=scale)


def _outputs(images: Images, task: str, data: Path) -> int:
    if task == "labels" and min(images.train_labels.min(), images.test_labels.min()) < 0:
        raise Refusal(f"{data} has images without labels: set the task to rotations")
    if task == "rotations" and images.shape[1] != images.shape[2]:
        raise Refusal(f"images of {data} are {images.shape[1]} x {images.shape[2]}, but rotations need square ones")
    return images.classes if task == "labels" else 4
