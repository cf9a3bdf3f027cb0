"""Inception v3 in the form of the FID's weights: its numbers, its blocks by hand, and a judge made of it."""

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional

from stages.core.errors import Refusal
from stages.core.systems import Inputs
from stages.nets import features, fid, inception, quality
from stages.nets.fid import Fid
from stages.nets.threads import one_thread

HOW = Fid(2, 0, "cpu")
PUBLISHED = 27_161_264  # numbers of the common Inception v3 of 1000 classes, by the table of torchvision's models
SIDE = 768 * 128 + 2 * 128 + 128 * 768 * 25 + 2 * 768 + 768 * 1000 + 1000  # its second head, which the FID's has not


@pytest.fixture(scope="module")
def net():
    """A network of random weights, with batch norms that have seen something."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = inception.Inception()
        for name, buffer in made.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_(std=0.1)
            elif name.endswith("running_var"):
                buffer.uniform_(0.5, 2)
        for weight in made.parameters():
            if weight.dim() == 4:
                torch.nn.init.kaiming_normal_(weight)
    return made.requires_grad_(False)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Five grey images: each takes the network a third of a second."""
    source = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (5, 1, 8, 8), generator=source, dtype=torch.uint8)
    folder, labels = tmp_path_factory.mktemp("data"), torch.arange(5) % 2
    parts = {"train": pixels[:3], "train_labels": labels[:3], "test": pixels[3:], "test_labels": labels[3:]}
    save_file({name: part.contiguous() for name, part in parts.items()}, folder / "images.safetensors")
    return folder


def conv(weights, name, x, stride=1, padding=0):
    """Convolution, batch norm and ReLU written out, of the weights called `name`."""
    y = functional.conv2d(x, weights[f"{name}.conv.weight"], None, stride, padding)
    mean, variance, scale, shift = (
        weights[f"{name}.bn.{what}"].view(-1, 1, 1) for what in ("running_mean", "running_var", "weight", "bias")
    )
    return ((y - mean) / (variance + 0.001).sqrt() * scale + shift).clamp(min=0)


def test_its_layers_are_those_of_the_common_form(net):
    shapes = {name: tuple(value.shape) for name, value in net.state_dict().items()}
    assert sum(weight.numel() for weight in net.parameters()) == PUBLISHED - SIDE + 8 * (2048 + 1)
    assert len([name for name in shapes if name.endswith("conv.weight")]) == 94
    for name, shape in {
        "Conv2d_1a_3x3.conv.weight": (32, 3, 3, 3),
        "Mixed_5b.branch_pool.bn.running_var": (32,),
        "Mixed_5d.branch5x5_2.conv.weight": (64, 48, 5, 5),
        "Mixed_6a.branch3x3dbl_3.conv.weight": (96, 96, 3, 3),
        "Mixed_6e.branch7x7dbl_2.conv.weight": (192, 192, 7, 1),
        "Mixed_7a.branch7x7x3_4.conv.weight": (192, 192, 3, 3),
        "Mixed_7c.branch3x3_2a.conv.weight": (384, 384, 1, 3),
        "Mixed_7c.branch1x1.conv.weight": (320, 2048, 1, 1),
        "fc.weight": (1008, 2048),
    }.items():
        assert shapes[name] == shape


def mean_inside(x):
    """The mean over 3 x 3 of what lies inside."""
    ones = torch.ones(1, 1, 3, 3)
    flat = x.flatten(0, 1)[:, None]
    inside = functional.conv2d(torch.ones_like(flat), ones, padding=1)
    return (functional.conv2d(flat, ones, padding=1) / inside).view_as(x)


def test_a_block_is_its_convolutions(net):
    weights, x = net.state_dict(), torch.randn(2, 192, 7, 7, generator=torch.Generator().manual_seed(0))
    name = "Mixed_5b.branch"
    five = conv(weights, f"{name}5x5_2", conv(weights, f"{name}5x5_1", x), padding=2)
    three = conv(weights, f"{name}3x3dbl_2", conv(weights, f"{name}3x3dbl_1", x), padding=1)
    three = conv(weights, f"{name}3x3dbl_3", three, padding=1)
    parts = [conv(weights, f"{name}1x1", x), five, three, conv(weights, f"{name}_pool", mean_inside(x))]
    torch.testing.assert_close(net.Mixed_5b(x), torch.cat(parts, 1), rtol=1e-4, atol=1e-4)


def test_the_last_block_takes_a_maximum(net):
    weights, x = net.state_dict(), torch.randn(1, 2048, 3, 3, generator=torch.Generator().manual_seed(0))
    padded = functional.pad(x, (1, 1, 1, 1), value=-torch.inf).unfold(2, 3, 1).unfold(3, 3, 1)
    pooled = conv(weights, "Mixed_7c.branch_pool", padded.amax(dim=(4, 5)))
    torch.testing.assert_close(net.Mixed_7c(x)[:, -192:], pooled, rtol=1e-4, atol=1e-4)
    one = conv(weights, "Mixed_7c.branch3x3_1", x)
    wide = conv(weights, "Mixed_7c.branch3x3_2a", one, padding=(0, 1))
    torch.testing.assert_close(net.Mixed_7c(x)[:, 320:704], wide, rtol=1e-4, atol=1e-4)


def test_images_are_enlarged_as_the_reference_does(net, monkeypatch):
    """Bilinear, half-pixel centres, no antialiasing: between two pixels of 8 the way is straight; then [-1, 1]."""
    seen = []
    monkeypatch.setattr(type(net.Conv2d_1a_3x3), "forward", lambda self, x: seen.append(x) or 1 / 0)
    ramp = torch.arange(8.0).expand(1, 1, 8, 8) / 7
    with pytest.raises(ZeroDivisionError):
        net.body(ramp)
    (x,) = seen
    assert x.shape == (1, 3, 299, 299)
    place = ((torch.arange(299) + 0.5) * 8 / 299 - 0.5).clamp(0, 7)
    torch.testing.assert_close(x, (2 * place / 7 - 1).expand(1, 3, 299, 299), rtol=1e-4, atol=1e-4)


def test_a_judge_is_made_of_a_file_of_weights(net, data, tmp_path, monkeypatch):
    path = tmp_path / "weights.safetensors"
    save_file(net.state_dict(), path)
    monkeypatch.setattr(quality, "frechet", lambda a, b: float(len(a)))  # of 2048 features it takes seconds
    with one_thread():
        found = fid.train(Inputs(input=data, against=path), HOW, tmp_path / "judge")
        judge = features.load(tmp_path / "judge")
        again = judge.features(judge.images.test / 255)
    assert found.metrics["gaussian"] == 2
    assert judge.task == "imagenet"
    assert judge.train.shape == (3, 2048)
    assert judge.reference.shape == (2, 2048)
    torch.testing.assert_close(again, judge.test)
    assert judge.probabilities(judge.images.test[:1] / 255).shape == (1, 1008)
    torch.testing.assert_close(again[:1], net.body(judge.images.test[:1] / 255), rtol=1e-4, atol=1e-4)


def test_weights_may_be_what_torch_has_saved(net, tmp_path):
    """Also by an old torch, whose batch norms did not count batches."""
    old = {name: value for name, value in net.state_dict().items() if not name.endswith("num_batches_tracked")}
    torch.save(old, tmp_path / "weights.pth")
    read = fid.read(tmp_path / "weights.pth").state_dict()
    assert all(torch.equal(value, read[name]) for name, value in old.items())


def test_what_holds_no_such_weights_is_told(data, tmp_path):
    with pytest.raises(Refusal, match=r"against is .*nowhere\.pth, but there is no such file"):
        fid.train(Inputs(input=data, against=tmp_path / "nowhere.pth"), HOW, tmp_path / "judge")
    with pytest.raises(Refusal, match="needs an `input`"):
        fid.train(Inputs(input=data), HOW, tmp_path / "judge")
    for name, content in {"a.pth": b"no weights", "b.safetensors": b"no weights"}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(Refusal, match="holds no weights"):
            fid.read(tmp_path / name)
    torch.save({"fc.weight": torch.zeros(2)}, tmp_path / "c.pth")
    with pytest.raises(Refusal, match="holds no weights"):
        fid.read(tmp_path / "c.pth")
