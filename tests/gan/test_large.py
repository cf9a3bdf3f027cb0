"""The same training at the size of the article's faces: 512 pixels, full width, one image at a time."""

from dataclasses import replace

import pytest
import torch
from test_train import played

from stages.nets.layers import Network


@pytest.mark.slow
def test_gan_qp_of_512_pixels_takes_twenty_steps(rows):
    """Channels 64 to 2048 and 128 numbers of noise, as in https://kexue.fm/archives/6163; batch norm in both."""
    how = replace(
        rows["gan_qp_l1"],
        latent=128,
        output="tanh",
        generator=Network("dcgan", (64, 2048), "batch", "relu", 0.0, False, "normal002"),
        critic=Network("dcgan", (64, 2048), "batch", "leaky", 0.2, False, "normal002"),
        batch=1,
        steps=20,
        grids=0,
        channels_last=True,
    )
    pixels = torch.randint(0, 256, (4, 3, 512, 512), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    game, average, _, history = played(how, pixels)
    assert len(history["critic"]) == 20
    with torch.no_grad():
        made = average(torch.randn(1, 128))
    assert made.shape == (1, 3, 512, 512)
    assert made.isfinite().all()
    assert sum(weight.numel() for net in game.nets.values() for weight in net.parameters()) > 100e6
