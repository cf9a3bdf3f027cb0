"""A trained network that answers: first lines in, second ones out, with what each character is worth.

One pass gives log p(second_i | first), of which the best answers that keep the rules are found exactly (tied.py). A
network that reads the second line refines each of them, as https://arxiv.org/abs/1904.09324 does: the classes that it
is least sure of are masked and chosen anew, fewer and fewer. Then whole lines are weighed by

    log p(second | first) = sum_i log p(second_i | first, second_1 .. second_{i-1})

and the heaviest come first. The author's network weighs them by the same sum, without the second line in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from stages.core import devices, files
from stages.core.errors import Refusal, one_line
from stages.core.params import typed
from stages.text.couplet.batches import chunks
from stages.text.couplet.likelihoods import chained, one_pass
from stages.text.couplet.networks import masked, network, refines
from stages.text.couplet.refine import refined
from stages.text.couplet.tied import Choice, choices, scores, untied, written
from stages.text.couplet.train import Couplets
from stages.text.couplet.vocabulary import Vocabulary, han

AT_ONCE = 1024  # characters that a network reads at a time
SPARE = 50  # answers beyond those asked for that are looked at where words are not wanted


@dataclass(frozen=True)
class Decoding:
    """How answers are looked for."""

    width: int = 2  # answers of the first pass that are refined, at least as many as are asked for
    rounds: int = 3  # of refining; with 0 one pass is all there is, and weighs lines too
    unwanted: tuple[str, ...] = ()  # words that no answer holds


@dataclass(frozen=True)
class Answer:
    """A second line."""

    second: str
    score: float  # log-probability, nats: the sum of `characters`
    characters: tuple[float, ...]  # of each; 0 where the first line's stands


class Robot:
    """A trained network with its characters."""

    def __init__(self, net: torch.nn.Module, known: Vocabulary, how: Couplets, device: torch.device) -> None:
        self.net, self.known, self.how, self.device = net.eval(), known, how, device
        self.classes = len(known)

    @staticmethod
    def load(folder: Path, device: str = "cpu", seed: int | None = None) -> Robot:
        """The network of `seed` of a model, None for its first; raises `Refusal` where there is none."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        told = files.read_json(Path(folder) / "model.json")
        try:
            how, known = typed(Couplets, told["params"], str(folder)), Vocabulary(told["characters"])
            net, place = network(how.network, len(known)), devices.pick(device)
            net.load_state_dict(load_file(Path(folder) / f"seed_{how.seeds[0] if seed is None else seed}.safetensors"))
        except (KeyError, OSError, RuntimeError, SafetensorError) as error:
            raise Refusal(f"{folder} is no model of couplets: {one_line(error)}; train it again") from error
        return Robot(net.to(place), known, how, place)

    def answer(self, lines: Sequence[str], best: int = 1, decoding: Decoding | None = None) -> list[list[Answer]]:
        """The `best` second lines of each first line, the heaviest first; blanks in lines are left out.

        There are fewer only where so many do not exist. Raises `Refusal` for a line without a character, and where
        every answer that was looked at holds an unwanted word.
        """
        decoding = decoding or Decoding()
        firsts = ["".join(line.split()) for line in lines]
        for number, line in enumerate(firsts, 1):
            if not line:
                raise Refusal(f"line {number} of the couplets is empty: give the first line of a couplet")
        found: list[list[str]] = [[] for _ in firsts]
        for rows in chunks(firsts, AT_ONCE):
            some = [firsts[row] for row in rows]
            for row, seconds in zip(rows, self._candidates(some, best, decoding), strict=True):
                found[row] = seconds
        pairs = [(first, second) for first, seconds in zip(firsts, found, strict=True) for second in seconds]
        chain = self._refining(decoding)
        worth = iter(self.weigh([first for first, _ in pairs], [second for _, second in pairs], chain))
        answers = [
            [Answer(second, float(sum(logs)), logs) for second, logs in zip(seconds, worth, strict=False)]
            for seconds in (list(seconds) for seconds in found)
        ]
        return [sorted(some, key=lambda answer: -answer.score)[:best] for some in answers]

    def untied(self, lines: Sequence[str]) -> list[str]:
        """What the author's decoding answers, for comparison."""
        found = [""] * len(lines)
        for rows in chunks(lines, AT_ONCE):
            for row, logs in zip(rows, self._logs([lines[row] for row in rows]), strict=True):
                found[row] = untied(lines[row], logs, self.known, self.known.barred)
        return found

    def weigh(self, firsts: Sequence[str], seconds: Sequence[str], chain: bool) -> list[tuple[float, ...]]:
        """log p of each character of second lines, by the chain rule or by one pass; 0 of what stands as it is."""
        found: list[tuple[float, ...]] = [()] * len(firsts)
        for rows in chunks(firsts, AT_ONCE):
            first, second = (self.numbers([side[row] for row in rows]) for side in (firsts, seconds))
            law = chained if chain else one_pass
            for row, logs in zip(rows, law(self.net, first, second, self.classes).tolist(), strict=True):
                there = zip(firsts[row], logs, strict=True)
                found[row] = tuple(value if han(character) else 0.0 for character, value in there)
        return found

    def numbers(self, lines: Sequence[str]) -> torch.Tensor:
        """Lines of one length as numbers [n, t]."""
        return torch.tensor([self.known.encode(line) for line in lines], device=self.device)

    @torch.inference_mode()
    def _logs(self, lines: Sequence[str], shown: np.ndarray | None = None) -> np.ndarray:
        """log p [n, t, classes] of lines of one length, given what is known of the second ones [n, t]."""
        first = self.numbers(lines)
        second = masked(first, self.classes) if shown is None else torch.from_numpy(shown).to(self.device)
        return self.net(first, second).float().log_softmax(-1).cpu().numpy()

    def _candidates(self, lines: Sequence[str], best: int, decoding: Decoding) -> list[list[str]]:
        """Different second lines of each of several first ones of one length, `best` of them at least."""
        barred = self.known.barred.copy()
        barred[[self.known.number[word] for word in decoding.unwanted if word in self.known.number]] = True
        refining = self._refining(decoding)
        wanted = max(best, decoding.width) if refining else best
        first = self._logs(lines)
        chosen: list[dict[Choice, None]] = []
        for line, logs in zip(lines, first, strict=True):
            every = choices(scores(line, logs, self.known, barred), wanted + SPARE * bool(decoding.unwanted))
            chosen.append(dict.fromkeys(islice((c for _, c in every if self._fine(line, c, decoding)), wanted)))
            if not chosen[-1]:
                raise Refusal(f"no answer to '{line}' keeps the rules without an unwanted word: shorten their list")
        if refining:
            for row, choice in refined(self._logs, lines, first, chosen, self.known, barred, decoding.rounds):
                if self._fine(lines[row], choice, decoding):
                    chosen[row][choice] = None
        return [[written(line, c, self.known) for c in some] for line, some in zip(lines, chosen, strict=True)]

    def _refining(self, decoding: Decoding) -> bool:
        return refines(self.how.network) and decoding.rounds > 0

    def _fine(self, line: str, choice: Choice, decoding: Decoding) -> bool:
        if not decoding.unwanted:
            return True
        second = written(line, choice, self.known)
        return not any(word in second for word in decoding.unwanted)
