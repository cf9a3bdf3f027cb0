"""Made pages to learn from and to test with: text of our own in the fonts of this machine, cut like the contest's.

Contest: CUMCM 2013, problem B: pages of 1980 x 1368 pixels, cut into 19 strips, or into 11 rows of 19 pieces.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from stages.classic.shreds.pieces import Pieces
from stages.core.errors import Refusal

if TYPE_CHECKING:
    from PIL import ImageDraw, ImageFont

WORDS = (
    "the of and a to in is it that was for on are with as they be at one have this from or had by hot but some what "
    "there we can out other were all your when up use word how said an each she which do their time if will way about "
    "many then them would write like so these her long make thing see him two has look more day could go come did my "
    "sound no most number who over know water than call first people may down side been now find any new work part "
    "take get place made live where after back little only round man year came show every good me give our under name "
    "very through just form much great think say help low line before turn cause same mean differ move right boy old "
    "too does tell sentence set three want air well also play small end put home read hand port large spell add even "
    "land here must big high such follow act why ask men change went light kind off need house picture try us again "
    "animal point mother world near build self earth father quickly judge exactly zone value vowel extra major"
)
GRID = "БДЖЗИЛПФЦЧШЩЫЭЮЯГΔΛΞΠΣΦΨΩ"  # where no font has Chinese: wide letters, one in each square as well
CHARACTERS = b"".join(bytes([a, b]) for a in range(0xB0, 0xD8) for b in range(0xA1, 0xFF)).decode("gb2312", "ignore")
"""The 3,755 everyday characters: the first level of GB/T 2312-1980."""
AFTER_WORDS = ("",) * 14 + (",", ",", ",", ".", ".", ".", ";", ":", "?", "!", "-")
AFTER_CHARACTERS = "，，，。。、；：？！"
SCRIPTS = ("latin", "chinese")
UNLIKE = ("italic", "oblique", "slant", "light", "thin", "hairline", "caps", "math", "symbol", "display", "stixnon")
UNLIKE += ("stixsiz", "cm", "narrow", "lastresort")  # in the names of fonts that no page is set in


@dataclass(frozen=True)
class Cut:
    """How a page becomes pieces: `loss` pixels are lost at each cut, `noise` is the deviation of the scanner's."""

    rows: int
    columns: int
    height: int  # of a piece, pixels
    width: int
    loss: int = 0
    noise: float = 0.0


STRIPS, CROSS = Cut(1, 19, 1980, 72), Cut(11, 19, 180, 72)


@cache
def fonts() -> dict[str, tuple[str, ...]]:
    """Paths of upright fonts of this machine by script, sorted; Latin ones are always there, with matplotlib."""
    from matplotlib import font_manager, ft2font, get_data_path

    paths = {*font_manager.findSystemFonts(), *font_manager.findSystemFonts([f"{get_data_path()}/fonts/ttf"])}
    found: dict[str, dict[str, str]] = {script: {} for script in SCRIPTS}
    letters = set(map(ord, CHARACTERS))
    for path in sorted(paths):
        name = path.rsplit("/", 1)[-1]
        if any(word in name.lower() for word in UNLIKE):
            continue
        held = ft2font.FT2Font(path).get_charmap()
        if all(ord(letter) in held for letter in "Qgj"):
            # a Japanese or Taiwanese font has boxes for the characters that it lacks
            found["chinese" if letters <= held.keys() else "latin"].setdefault(name, path)
    return {script: tuple(sorted(of.values())) for script, of in found.items()}


@dataclass(frozen=True)
class Style:
    """How a page is set: script, path of the font and its size, pixels from line to line, and the margins."""

    script: str
    font: str
    size: int
    pitch: float
    left: int
    right: int
    top: int


def style(script: str, chance: np.random.Generator) -> Style:
    """A style by `chance`; raises `Refusal` for an unknown script."""
    if script not in SCRIPTS:
        raise Refusal(f"there are no pages of script '{script}'; choices: {', '.join(SCRIPTS)}")
    held = fonts()
    path = str(chance.choice(held[script] or held["latin"]))
    size = int(chance.integers(38, 47))
    pitch = size * chance.uniform(1.42, 1.62)
    left, right, top = (int(chance.integers(*span)) for span in ((14, 30), (14, 30), (25, 45)))
    return Style(script, path, size, pitch, left, right, top)


def page(script: str, chance: np.random.Generator, height: int = 1980, width: int = 1368) -> np.ndarray:
    """A page of random text in a random style as ink in 0..1, [height, width]."""
    return written(style(script, chance), chance, height, width)


def written(style: Style, chance: np.random.Generator, height: int = 1980, width: int = 1368) -> np.ndarray:
    """A page of random words and paragraphs in a style as ink in 0..1, [height, width]."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.truetype(style.font, style.size)
    picture = Image.new("L", (width, height), 0)
    draw = ImageDraw.Draw(picture)
    lines = int((height - style.top - chance.integers(20, 60)) / style.pitch)
    fill = _latin if style.script == "latin" else _chinese
    letters = CHARACTERS if fonts()["chinese"] else GRID
    remaining, begins = 0, True
    for k in range(lines):
        if remaining == 0:
            remaining, begins = int(chance.integers(3, 12)), True
        remaining -= 1
        end = (width - style.right) if remaining else int(width * chance.uniform(0.2, 0.95))
        y = style.top + k * style.pitch
        fill(draw, font, letters, style.left + 2 * style.size * begins, end, y, remaining > 0, chance)
        begins = False
    return np.asarray(picture, dtype=np.float32) / 255


def _latin(
    draw: ImageDraw.ImageDraw,
    font: ImageFont.FreeTypeFont,
    letters: str,
    x: int,
    end: int,
    y: float,
    justified: bool,
    chance: np.random.Generator,
) -> None:
    del letters
    space, words, wide = font.getlength(" "), [], []
    while True:
        word = _word(chance)
        length = font.getlength(word)
        if x + sum(wide) + space * len(wide) + length > end:
            break
        words.append(word)
        wide.append(length)
    if justified and len(words) > 1:
        space = (end - x - sum(wide)) / (len(words) - 1)
    at = float(x)
    for word, length in zip(words, wide, strict=True):
        draw.text((at, y), word, fill=255, font=font)
        at += length + space


def _chinese(
    draw: ImageDraw.ImageDraw,
    font: ImageFont.FreeTypeFont,
    letters: str,
    x: int,
    end: int,
    y: float,
    justified: bool,
    chance: np.random.Generator,
) -> None:
    del justified
    size = int(font.size)
    for at in range(x, end - size + 1, size):
        held = AFTER_CHARACTERS if chance.random() < 0.1 else letters
        draw.text((at, y), held[chance.integers(len(held))], fill=255, font=font)


def _word(chance: np.random.Generator) -> str:
    """One of ours, or the head of one and the tail of another, sometimes with a capital, a sign or as a number."""
    words = _words()
    word, other = words[chance.integers(len(words))], words[chance.integers(len(words))]
    if chance.random() < 0.4:
        word = word[: 1 + len(word) // 2] + other[len(other) // 2 :]
    if chance.random() < 0.03:
        word = str(chance.integers(2000))
    word = word.capitalize() if chance.random() < 0.1 else word
    word += AFTER_WORDS[chance.integers(len(AFTER_WORDS))]
    return f'"{word}"' if chance.random() < 0.02 else word


@cache
def _words() -> tuple[str, ...]:
    return tuple(WORDS.split())


def shreds(pages: list[np.ndarray], cut: Cut, chance: np.random.Generator) -> tuple[Pieces, np.ndarray]:
    """The pieces of one page, or of the two sides of a sheet, in random order, and the true table of their places.

    Returns the pieces and [rows, columns] places in them, of the first page.
    """
    rows, columns = cut.rows, cut.columns
    height, width = cut.height, cut.width
    count = rows * columns
    sides = []
    for page in pages:
        cells = page[: rows * height, : columns * width].reshape(rows, height, columns, width)
        sides.append(cells.transpose(0, 2, 1, 3).reshape(count, height, width))
    if len(sides) == 2:  # turned over, the last column is the first
        sides[1] = sides[1].reshape(rows, columns, height, width)[:, ::-1].reshape(count, height, width)
    order = chance.permutation(count)
    number = np.empty(count, dtype=int)
    number[order] = np.arange(count)  # of the piece at each place of the page
    digits = [f"{i:03d}" for i in range(count)]
    if len(sides) == 1:
        ink, names, table = sides[0][order], digits, number.reshape(rows, columns)
        back = np.full(count, -1)
    else:
        turned = chance.integers(2, size=count)  # 1: the first page's side is called b
        ink = np.empty((2 * count, height, width), dtype=np.float32)
        ink[2 * np.arange(count) + turned] = sides[0][order]
        ink[2 * np.arange(count) + 1 - turned] = sides[1][order]
        names = [name + side for name in digits for side in "ab"]
        table = (2 * number + turned[number]).reshape(rows, columns)
        back = np.arange(2 * count) ^ 1
    if cut.loss:
        ink = ink[:, :, cut.loss :]
    if cut.noise:
        ink = np.clip(ink + chance.normal(0, cut.noise, ink.shape).astype(np.float32), 0, 1)
    return Pieces(tuple(names), ink, back), table
