"""Couplet decoding against a sequence-to-sequence model of the same size with beam search: one line, and many.

    python -m benchmarks.bench_couplets

Three ways to a second line, none of them trained: weights do not change how long it takes. The Transformer of the row
`couplets` of params/web.yaml, once in one pass and once refined and weighed; and torch's own Transformer of an encoder
and a decoder, as many weights, beam 4, which knows the length and decodes every beam of every line at once, whatever
came before read anew in each step. One thread, lines of 7 characters, the best of five runs; the first number is how
long one line takes, the second how many lines a second are answered in batches of 128.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from pathlib import Path

from stages.core import machine

machine.prepare(1)  # before torch is imported

import torch  # noqa: E402
from torch import nn  # noqa: E402

from stages.core import params  # noqa: E402
from stages.text.couplet.networks import network  # noqa: E402
from stages.text.couplet.robot import Decoding, Robot  # noqa: E402
from stages.text.couplet.train import Couplets  # noqa: E402
from stages.text.couplet.vocabulary import Vocabulary  # noqa: E402

CHARACTERS, LENGTH, LINES, BEAM = 5255, 7, 128, 4
START = 0


class Translator(nn.Module):
    """An encoder of the first line and a decoder of the second, embeddings shared with the logits."""

    def __init__(self, classes: int, dim: int, layers: int, heads: int) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(classes, dim), nn.Embedding(64, dim)
        self.body = nn.Transformer(dim, heads, layers, layers, 4 * dim, 0.0, "gelu", batch_first=True, norm_first=True)
        self.bias = nn.Parameter(torch.zeros(classes))

    def read(self, rows: torch.Tensor) -> torch.Tensor:
        """Embeddings of symbols [n, t]."""
        return self.tokens(rows) + self.places.weight[: rows.shape[1]]

    @torch.inference_mode()
    def beam(self, first: torch.Tensor) -> torch.Tensor:
        """The likeliest second lines [n, t] of first ones that a beam finds."""
        n, t = first.shape
        memory = self.body.encoder(self.read(first)).repeat_interleave(BEAM, 0)
        found = torch.full((n, BEAM, 1), START)
        worth = torch.tensor([0.0] + [-torch.inf] * (BEAM - 1)).repeat(n, 1)  # at first all beams are one
        for step in range(t):
            ahead = nn.Transformer.generate_square_subsequent_mask(step + 1)
            seen = self.body.decoder(self.read(found.flatten(0, 1)), memory, tgt_mask=ahead, tgt_is_causal=True)
            logs = (seen[:, -1] @ self.tokens.weight.T + self.bias).log_softmax(-1).unflatten(0, (n, BEAM))
            best, symbols = logs.topk(BEAM)
            worth, chosen = (worth[..., None] + best).flatten(1).topk(BEAM)
            before = found.gather(1, (chosen // BEAM)[..., None].expand(-1, -1, step + 1))
            found = torch.cat([before, symbols.flatten(1).gather(1, chosen)[..., None]], -1)
        return found[:, 0, 1:]


def seconds(work: Callable[[], object]) -> float:
    """The least of five runs after a first one."""
    found = []
    for _ in range(6):
        begin = time.perf_counter()
        work()
        found.append(time.perf_counter() - begin)
    return min(found[1:])


def main() -> None:
    """Print a line a way: parameters, milliseconds a line, lines a second, and how many times the beam search's."""
    warnings.filterwarnings("ignore", "enable_nested_tensor")  # of no use in pre-norm layers, says torch
    torch.set_num_threads(1)
    torch.manual_seed(0)
    row = params.load(Path(__file__).parents[1] / "params/web.yaml")["systems"]["couplets"]["train"]
    how = params.typed(Couplets, row, "couplets")
    known = Vocabulary([chr(0x4E00 + i) for i in range(CHARACTERS)])
    robot = Robot(network(how.network, len(known)), known, how, torch.device("cpu"))
    chance = torch.Generator().manual_seed(0)
    rows = torch.randint(1, len(known), (LINES, LENGTH), generator=chance)
    lines = [known.decode(row.tolist()) for row in rows]
    size = sum(weight.numel() for weight in robot.net.parameters())
    dim = how.network.dim
    layers = max(1, round((size - len(known) * dim) / 28 / dim**2))  # 12 dim^2 an encoder's layer, 16 a decoder's
    translator = Translator(len(known), dim, layers, how.network.heads).eval()
    one_pass, refined = Decoding(rounds=0), Decoding()
    ways = {
        f"beam {BEAM}, {sum(w.numel() for w in translator.parameters()):,} weights": lambda n: translator.beam(
            rows[:n]
        ),
        f"one pass, {size:,} weights": lambda n: robot.answer(lines[:n], 1, one_pass),
        "refined": lambda n: robot.answer(lines[:n], 1, refined),
    }
    base: tuple[float, float] | None = None
    for name, way in ways.items():
        one, many = seconds(lambda way=way: way(1)), LINES / seconds(lambda way=way: way(LINES))
        base = base or (one, many)
        print(
            f"{name:28} {1000 * one:8.1f} ms a line ({base[0] / one:5.1f} times as fast)"
            f" {many:8.0f} lines a second ({many / base[1]:5.1f} times as many)"
        )


if __name__ == "__main__":
    main()
