"""The network of the FID, for data sets of natural images: Inception v3 as a TensorFlow graph of 2015 has it.

Papers: https://arxiv.org/abs/1512.00567 (Inception v3), https://arxiv.org/abs/1706.08500 (FID).

    x in [0, 1] -> 299 x 299 (bilinear, no antialiasing) -> 2 x - 1 -> convolutions -> mean over 8 x 8: 2048 features

That graph differs from the paper: averages over 3 x 3 leave the padding out, and the last block takes a maximum in
place of its average. Names and shapes of the weights are those of their common PyTorch form, 23.9 million numbers.
No weights come with this program and none are fetched: params name a file. The number: an FID of papers, with theirs.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import avg_pool2d, interpolate, max_pool2d

SIDE = 299
DIM = 2048
OUTPUTS = 1008  # of the graph, of which 1000 are classes of ImageNet
AT_ONCE = 32  # images


class Conv(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(self, before: int, after: int, size: int | tuple[int, int], stride: int = 1, padding: bool = False):
        super().__init__()
        height, width = (size, size) if isinstance(size, int) else size
        pad = (height // 2, width // 2) if padding else (0, 0)
        self.conv = nn.Conv2d(before, after, (height, width), stride, pad, bias=False)
        self.bn = nn.BatchNorm2d(after, eps=0.001)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[n, before, h, w] -> [n, after, ...]."""
        return self.bn(self.conv(x)).relu()


class Block(nn.Module):
    """Branches side by side, their channels one after another.

    A branch is a list of names of convolutions in turn; a list within it is convolutions of the same thing, side by
    side. Before the branch `branch_pool` comes a pool of 3 x 3, and one of stride 2 is a branch by itself.
    """

    branches: tuple[list, ...] = ()
    pool = "mean"  # or max; or stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[n, channels, h, w] -> [n, channels of all branches, h, w], or half of h and w."""
        found = [self._branch(x, names) for names in self.branches]
        if self.pool == "stride":
            return torch.cat([*found, max_pool2d(x, 3, 2)], dim=1)
        mean = self.pool == "mean"
        pooled = avg_pool2d(x, 3, 1, 1, count_include_pad=False) if mean else max_pool2d(x, 3, 1, 1)
        return torch.cat([*found, self.get_submodule("branch_pool")(pooled)], dim=1)

    def _branch(self, x: torch.Tensor, names: list) -> torch.Tensor:
        for name in names:
            if isinstance(name, list):
                x = torch.cat([self.get_submodule(inner)(x) for inner in name], dim=1)
            else:
                x = self.get_submodule(name)(x)
        return x


class Fives(Block):
    """35 x 35: 1 x 1, 5 x 5, two 3 x 3."""

    branches = (
        ["branch1x1"],
        ["branch5x5_1", "branch5x5_2"],
        ["branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"],
    )

    def __init__(self, before: int, pooled: int) -> None:
        super().__init__()
        self.branch1x1 = Conv(before, 64, 1)
        self.branch5x5_1, self.branch5x5_2 = Conv(before, 48, 1), Conv(48, 64, 5, padding=True)
        self.branch3x3dbl_1 = Conv(before, 64, 1)
        self.branch3x3dbl_2, self.branch3x3dbl_3 = Conv(64, 96, 3, padding=True), Conv(96, 96, 3, padding=True)
        self.branch_pool = Conv(before, pooled, 1)


class Halving(Block):
    """35 x 35 to 17 x 17."""

    branches = (["branch3x3"], ["branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"])
    pool = "stride"

    def __init__(self, before: int) -> None:
        super().__init__()
        self.branch3x3 = Conv(before, 384, 3, 2)
        self.branch3x3dbl_1 = Conv(before, 64, 1)
        self.branch3x3dbl_2, self.branch3x3dbl_3 = Conv(64, 96, 3, padding=True), Conv(96, 96, 3, 2)


class Sevens(Block):
    """17 x 17: 1 x 1, one and two 7 x 7, each as 1 x 7 and 7 x 1."""

    branches = (
        ["branch1x1"],
        ["branch7x7_1", "branch7x7_2", "branch7x7_3"],
        ["branch7x7dbl_1", "branch7x7dbl_2", "branch7x7dbl_3", "branch7x7dbl_4", "branch7x7dbl_5"],
    )

    def __init__(self, before: int, inner: int) -> None:
        super().__init__()
        wide, high = (1, 7), (7, 1)
        self.branch1x1 = Conv(before, 192, 1)
        self.branch7x7_1, self.branch7x7_2 = Conv(before, inner, 1), Conv(inner, inner, wide, padding=True)
        self.branch7x7_3 = Conv(inner, 192, high, padding=True)
        self.branch7x7dbl_1, self.branch7x7dbl_2 = Conv(before, inner, 1), Conv(inner, inner, high, padding=True)
        self.branch7x7dbl_3 = Conv(inner, inner, wide, padding=True)
        self.branch7x7dbl_4 = Conv(inner, inner, high, padding=True)
        self.branch7x7dbl_5 = Conv(inner, 192, wide, padding=True)
        self.branch_pool = Conv(before, 192, 1)


class HalvingAgain(Block):
    """17 x 17 to 8 x 8."""

    branches = (["branch3x3_1", "branch3x3_2"], ["branch7x7x3_1", "branch7x7x3_2", "branch7x7x3_3", "branch7x7x3_4"])
    pool = "stride"

    def __init__(self, before: int) -> None:
        super().__init__()
        self.branch3x3_1, self.branch3x3_2 = Conv(before, 192, 1), Conv(192, 320, 3, 2)
        self.branch7x7x3_1, self.branch7x7x3_2 = Conv(before, 192, 1), Conv(192, 192, (1, 7), padding=True)
        self.branch7x7x3_3, self.branch7x7x3_4 = Conv(192, 192, (7, 1), padding=True), Conv(192, 192, 3, 2)


class Threes(Block):
    """8 x 8: 1 x 1, one and two 3 x 3, the last as 1 x 3 beside 3 x 1."""

    branches = (
        ["branch1x1"],
        ["branch3x3_1", ["branch3x3_2a", "branch3x3_2b"]],
        ["branch3x3dbl_1", "branch3x3dbl_2", ["branch3x3dbl_3a", "branch3x3dbl_3b"]],
    )

    def __init__(self, before: int, pool: str) -> None:
        super().__init__()
        wide, high = (1, 3), (3, 1)
        self.pool = pool
        self.branch1x1 = Conv(before, 320, 1)
        self.branch3x3_1 = Conv(before, 384, 1)
        self.branch3x3_2a, self.branch3x3_2b = Conv(384, 384, wide, padding=True), Conv(384, 384, high, padding=True)
        self.branch3x3dbl_1, self.branch3x3dbl_2 = Conv(before, 448, 1), Conv(448, 384, 3, padding=True)
        self.branch3x3dbl_3a = Conv(384, 384, wide, padding=True)
        self.branch3x3dbl_3b = Conv(384, 384, high, padding=True)
        self.branch_pool = Conv(before, 192, 1)


class Inception(nn.Module):
    """`body`: images [n, 1 or 3, height, width] in [0, 1] to features [n, 2048]; `head`: to 1008 logits."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3, self.Conv2d_2a_3x3 = Conv(3, 32, 3, 2), Conv(32, 32, 3)
        self.Conv2d_2b_3x3 = Conv(32, 64, 3, padding=True)
        self.Conv2d_3b_1x1, self.Conv2d_4a_3x3 = Conv(64, 80, 1), Conv(80, 192, 3)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = Fives(192, 32), Fives(256, 64), Fives(288, 64)
        self.Mixed_6a = Halving(288)
        self.Mixed_6b, self.Mixed_6c = Sevens(768, 128), Sevens(768, 160)
        self.Mixed_6d, self.Mixed_6e = Sevens(768, 160), Sevens(768, 192)
        self.Mixed_7a = HalvingAgain(768)
        self.Mixed_7b, self.Mixed_7c = Threes(1280, "mean"), Threes(2048, "max")
        self.fc = nn.Linear(DIM, OUTPUTS)
        self.eval()

    @property
    def head(self) -> nn.Linear:
        """From features to logits."""
        return self.fc

    def body(self, images: torch.Tensor) -> torch.Tensor:
        """Features [n, 2048]; grey images as three equal channels."""
        return torch.cat([self._features(part) for part in images.split(AT_ONCE)])

    def _features(self, images: torch.Tensor) -> torch.Tensor:
        x = images.expand(-1, 3, -1, -1)
        x = 2 * interpolate(x, (SIDE, SIDE), mode="bilinear", align_corners=False) - 1
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))  # [n, 64, 147, 147]
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(max_pool2d(x, 3, 2)))  # [n, 192, 71, 71]
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(max_pool2d(x, 3, 2))))  # [n, 288, 35, 35]
        x = self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))  # [n, 768, 17, 17]
        x = self.Mixed_7a(self.Mixed_6e(self.Mixed_6d(x)))  # [n, 1280, 8, 8]
        return self.Mixed_7c(self.Mixed_7b(x)).mean(dim=(2, 3))
