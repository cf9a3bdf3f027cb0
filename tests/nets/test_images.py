"""Images in memory, and pictures of many of them."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from stages.core.errors import Refusal
from stages.nets import images, references


def held(labels=(0, 2, 1)):
    n = len(labels)
    x = torch.arange(n * 12, dtype=torch.uint8).reshape(n, 1, 3, 4)
    return {
        "train": x,
        "train_labels": torch.tensor(labels),
        "test": x[:1].clone(),
        "test_labels": torch.tensor(labels[:1]),
    }


def test_a_data_set_is_loaded_as_it_lies(tmp_path):
    save_file(held(), tmp_path / "images.safetensors")
    found = images.load(tmp_path)
    torch.testing.assert_close(found.train, held()["train"])
    assert found.shape == (1, 3, 4)
    assert found.classes == 3
    save_file(held((-1, -1)), tmp_path / "images.safetensors")
    assert images.load(tmp_path).classes == 0


def test_a_missing_or_foreign_file_is_refused(tmp_path):
    with pytest.raises(Refusal, match="is missing"):
        images.load(tmp_path)
    (tmp_path / "images.safetensors").write_bytes(b"no")
    with pytest.raises(Refusal, match="no data set of images"):
        images.load(tmp_path)
    save_file({"train": torch.zeros(1)}, tmp_path / "images.safetensors")
    with pytest.raises(Refusal, match="no data set of images"):
        images.load(tmp_path)


def test_bytes_become_numbers_in_both_ranges():
    x = torch.tensor([0, 51, 255], dtype=torch.uint8)
    torch.testing.assert_close(images.unit(x), torch.tensor([0, 0.2, 1]))
    torch.testing.assert_close(images.symmetric(x), torch.tensor([-1, -0.6, 1]))


def drawn(figure):
    stream = io.BytesIO()
    figure.savefig(stream, metadata={"Software": None})
    return np.asarray(Image.open(io.BytesIO(stream.getvalue())).convert("RGB")), stream.getvalue()


def test_a_grid_shows_every_image_in_its_place():
    grey = torch.zeros(5, 1, 6, 6)
    grey[3] = 0.5
    pixels, content = drawn(images.grid(grey, 3))
    height, width = pixels.shape[:2]
    assert width == pytest.approx(1.5 * height, abs=2)
    at = [[tuple(pixels[int((r + 0.4) * height / 2), int((c + 0.4) * width / 3)]) for c in range(3)] for r in range(2)]
    black, middle, white = (0, 0, 0), (128, 128, 128), (255, 255, 255)
    assert at == [[black, black, black], [at[1][0], black, white]]
    assert np.abs(np.array(at[1][0]) - middle).max() <= 2
    assert drawn(images.grid(grey, 3))[1] == content


def test_images_in_a_grid_stand_upright():
    upper = torch.zeros(1, 1, 6, 6)
    upper[:, :, :3] = 1
    pixels, _ = drawn(images.grid(upper, 1))
    side = len(pixels)
    assert tuple(pixels[side // 4, side // 4]) == tuple(pixels[side // 4, side // 2]) == (255, 255, 255)
    assert tuple(pixels[side * 2 // 3, side // 4]) == (0, 0, 0)


def test_a_grid_of_colours_cuts_off_what_is_out_of_range(caplog):
    colour = torch.tensor([2.0, -1.0, 0.0]).reshape(1, 3, 1, 1).expand(2, 3, 4, 8)
    pixels, _ = drawn(images.grid(colour, 1))
    assert tuple(pixels[pixels.shape[0] // 4, pixels.shape[1] // 3]) == (255, 0, 0)
    assert caplog.text == ""  # matplotlib would complain


# images that no model made


@pytest.fixture
def pictures():
    """3,000 images of 2 x 3 pixels well inside [0, 1], with correlated pixels."""
    generator = torch.Generator().manual_seed(0)
    mix = torch.randn(6, 6, generator=generator)
    flat = 0.5 + 0.03 * torch.randn(3000, 6, generator=generator) @ mix
    return flat.reshape(3000, 1, 2, 3)


def test_a_fitted_gaussian_has_the_mean_and_covariance_of_the_pixels(pictures):
    found = references.gaussian(pictures, 20_000, torch.Generator().manual_seed(1))
    assert found.shape == (20_000, 1, 2, 3)
    flat, truth = found.flatten(1), pictures.flatten(1)
    torch.testing.assert_close(flat.mean(0), truth.mean(0), atol=0.003, rtol=0)
    torch.testing.assert_close(torch.cov(flat.T), torch.cov(truth.T), atol=3e-4, rtol=0)
    wild = references.gaussian(pictures * 3 - 1, 100, torch.Generator().manual_seed(1))
    assert wild.min() == 0
    assert wild.max() == 1


def test_shuffled_pixels_keep_their_law_and_lose_their_company(pictures):
    found = references.shuffled(pictures, 5000, torch.Generator().manual_seed(2)).flatten(1)
    truth = pictures.flatten(1)
    for pixel in range(6):
        assert set(found[:, pixel].tolist()) <= set(truth[:, pixel].tolist())
    torch.testing.assert_close(found.std(0), truth.std(0), rtol=0.05, atol=0)
    assert torch.corrcoef(truth.T).fill_diagonal_(0).abs().max() > 0.5
    assert torch.corrcoef(found.T).fill_diagonal_(0).abs().max() < 0.06


def test_blurring_is_the_mean_of_nine_and_noise_is_uniform():
    dot = torch.zeros(1, 1, 5, 5)
    dot[0, 0, 2, 2] = 9
    expected = torch.zeros(5, 5)
    expected[1:4, 1:4] = 1
    torch.testing.assert_close(references.blurred(dot)[0, 0], expected)
    found = references.noise(dot, 4000, torch.Generator().manual_seed(3))
    assert found.shape == (4000, 1, 5, 5)
    assert found.mean().item() == pytest.approx(0.5, abs=0.005)
    assert found.var().item() == pytest.approx(1 / 12, abs=0.002)
