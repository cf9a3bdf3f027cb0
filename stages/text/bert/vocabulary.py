"""Text as numbers the way BERT reads it, each token knowing which slice of the original text it is.

Paper: Devlin et al. 2018, https://arxiv.org/abs/1810.04805 (and the code beside it); WordPiece: Wu et al. 2016,
https://arxiv.org/abs/1609.08144.

    control characters go, white space parts words, CJK characters and punctuation are words of their own
    words in lower case, decomposed (NFD), without their accents
    a word is the longest piece of the vocabulary that begins it, then the longest ##piece that goes on, ...; [UNK]
    where nothing fits

A character is looked up once and what became of it remembered with its place, so that offsets are right whatever the
normalisation did. The number: on 20,000 lines of real text, ids and offsets are those of Hugging Face's `tokenizers`.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from stages.core.errors import Refusal

PAD, UNKNOWN, CLS, SEP, MASK = SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
UNUSED = tuple(f"[unused{i}]" for i in range(1, 5))
LONGEST = 100  # characters of a word; a longer one is [UNK]
REMEMBERED = 2**16  # words whose pieces are kept
CJK = (
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2CEAF),
    (0x2F800, 0x2FA1F),
)

Normal = Callable[[str], tuple[tuple[str, bool], ...]]
"""See `normal`."""


class Tokens(NamedTuple):
    """A text without [CLS] and [SEP]: token i is text[starts[i]:ends[i]]."""

    ids: list[int]
    starts: list[int]
    ends: list[int]


class Vocabulary:
    """The tokens of a vocab.txt, in order. Raises `Refusal` where a special one is missing, or [PAD] is not the first.

    `lower` is false for the few models that know capitals and accents.
    """

    def __init__(self, tokens: Sequence[str], lower: bool = True) -> None:
        self.tokens, self.lower = list(tokens), lower
        self.number = {token: i for i, token in enumerate(self.tokens)}
        missing = [token for token in SPECIAL if token not in self.number]
        if missing:
            raise Refusal(f"a vocabulary of {len(self.tokens)} tokens has no {missing[0]}: is it a vocab.txt of BERT?")
        self.pad, self.unknown, self.cls, self.sep, self.mask = (self.number[token] for token in SPECIAL)
        if self.pad != 0:
            raise Refusal(f"a vocabulary has [PAD] as number {self.pad}, but it must come first")
        self._normal = lru_cache(REMEMBERED)(lambda character: normal(character, lower))
        self._pieces = lru_cache(REMEMBERED)(self._cut)

    def __len__(self) -> int:
        return len(self.tokens)

    @classmethod
    def of(cls, texts: Iterable[str], most: int) -> Vocabulary:
        """The special tokens, and the `most` most frequent characters of `texts`, equals by code.

        Of a Latin word all characters but the first are ##characters.
        """
        counts: Counter[str] = Counter()
        for text in texts:
            for word, _ in words(text, lru_cache(REMEMBERED)(normal)):
                counts.update([word[0], *(f"##{character}" for character in word[1:])])
        found = sorted(counts, key=lambda token: (-counts[token], token))[:most]
        return cls([*SPECIAL, *UNUSED, *found])

    @classmethod
    def read(cls, path: Path, lower: bool = True) -> Vocabulary:
        """The vocabulary in a vocab.txt, a token a line; raises `Refusal` where it is missing or not UTF-8."""
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError as error:
            raise Refusal(f"{path} is missing: put the vocabulary of the model there, a token a line") from error
        except UnicodeDecodeError as error:
            raise Refusal(f"{path} is not UTF-8: save it so") from error
        return cls(text.removesuffix("\n").replace("\r\n", "\n").split("\n"), lower)

    def write(self, path: Path) -> None:
        """Write it as a vocab.txt."""
        path.write_text("\n".join(self.tokens) + "\n", encoding="utf-8")

    def unused(self, i: int) -> int:
        """The number of [unused`i`]; raises `Refusal` where there is none."""
        if f"[unused{i}]" not in self.number:
            raise Refusal(f"the vocabulary has no [unused{i}]: take one that does")
        return self.number[f"[unused{i}]"]

    def encode(self, text: str) -> Tokens:
        """The tokens of `text`, and where in it they are."""
        ids, starts, ends = [], [], []
        for word, places in words(text, self._normal):
            for number, start, end in self._pieces(word):
                ids.append(number)
                starts.append(places[start])
                ends.append(places[end - 1] + 1)
        return Tokens(ids, starts, ends)

    def rows(self, texts: Iterable[str], length: int) -> np.ndarray:
        """[CLS] text [SEP] of each, int64 [n, length], cut to fit with [SEP] kept, then [PAD]."""
        return padded([[self.cls, *self.encode(text).ids[: length - 2], self.sep] for text in texts], length)

    def decode(self, ids: Iterable[int]) -> str:
        """A text of these tokens but for special ones; [UNK] and [MASK] are shown, Latin words parted by spaces."""
        hidden, text = {self.pad, self.cls, self.sep}, ""
        for token in (self.tokens[i] for i in map(int, ids) if i not in hidden):
            if token.startswith("##") and len(token) > 2:
                text += token[2:]
            else:
                apart = text and not _alone(text[-1]) and not _alone(token[0])
                text += f" {token}" if apart else token
        return text

    def _cut(self, word: str) -> tuple[tuple[int, int, int], ...]:
        """(number, start, end) of the pieces of a word."""
        found, start = [], 0
        while start < len(word) <= LONGEST:
            mark = "##" if start else ""
            end = next((e for e in range(len(word), start, -1) if mark + word[start:e] in self.number), 0)
            if not end:
                break
            found.append((self.number[mark + word[start:end]], start, end))
            start = end
        return tuple(found) if start == len(word) else ((self.unknown, 0, len(word)),)


def padded(rows: Sequence[Sequence[int]], length: int) -> np.ndarray:
    """Rows of numbers as int64 [n, length]: what is longer is cut, what is shorter ends in 0."""
    whole = np.zeros((len(rows), length), dtype=np.int64)
    for held, row in zip(whole, rows, strict=True):
        held[: len(row)] = row[:length]
    return whole


def words(text: str, normal: Normal) -> Iterator[tuple[str, Sequence[int]]]:
    """The words of `text`, normalised, and the place in it that each of their characters comes from."""
    word, places = "", []
    for place, character in enumerate(text):
        for part, apart in normal(character):
            if apart and word:
                yield word, places
                word, places = "", []
            if not apart:
                word += part
                places.append(place)
            elif part:
                yield part, [place] * len(part)
    if word:
        yield word, places


def normal(character: str, lower: bool = True) -> tuple[tuple[str, bool], ...]:
    """What becomes of a character: parts, each perhaps a word apart; ("", True) is white space, () nothing."""
    category = unicodedata.category(character)
    if character in " \t\n\r" or category[0] == "Z":
        return (("", True),)
    if character == "\ufffd" or category in ("Cc", "Cf", "Co", "Cs"):
        return ()
    plain = character
    if lower:
        decomposed = unicodedata.normalize("NFD", character.lower())
        plain = "".join(part for part in decomposed if unicodedata.category(part) != "Mn")
    if _cjk(character):
        return ((plain, True),)
    return tuple((part, _punctuation(part)) for part in plain)


def _cjk(character: str) -> bool:
    return any(first <= ord(character) <= last for first, last in CJK)


def _punctuation(character: str) -> bool:
    """Of Unicode's categories P, and every sign of ASCII that is no letter or digit."""
    ascii_sign = "!" <= character <= "~" and not character.isalnum()
    return ascii_sign or unicodedata.category(character)[0] == "P"


def _alone(character: str) -> bool:
    return _cjk(character) or _punctuation(character)
