"""Who sees whom in a row that holds a sentence twice: to be read (segment 0) and to be written (segment 1).

Article: https://kexue.fm/archives/8475; the idea of masks is UniLM's (Dong et al. 2019,
https://arxiv.org/abs/1905.03197).

    independent    i sees j  iff  s_i = s_j and c_j <= c_i,  c = s_1 + ... + s_i
    unified        the same, and everyone sees place 0, the reader's [CLS]

c is 0 throughout the first segment, whose places hence see one another, and counts the places of the second, each of
which sees what is before it. With the unified mask a latent that is put into place 0 is all that the writer knows.
"""

from __future__ import annotations

import torch


def independent(segments: torch.Tensor) -> torch.Tensor:
    """Segments [t] of 0s, then 1s -> bool [t, t], whether the place of the row sees that of the column."""
    index = segments.cumsum(0)
    return (segments[:, None] == segments) & (index <= index[:, None])


def unified(segments: torch.Tensor) -> torch.Tensor:
    """The same, and column 0."""
    seen = independent(segments)
    seen[:, 0] = True
    return seen
