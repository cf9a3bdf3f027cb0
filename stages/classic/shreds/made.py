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
CHARACTERS = (
    "的一是不了人我在有他这为之大来以个中上们到说国和地也子时道出而要于就下得可你年生自会那后能对着事其里所去行过家十用发天如然"
    "作方成者多日都三小军二无同么经法当起与好看学进种将还分此心前面又定见只主没公从知使战最者明理性样美月明山水风花雪夜春秋江"
    "楼高望远思乡酒醒梦回长安古道西湖柳岸晓残灯笔墨纸书画琴棋诗词歌赋情意深浅真善"
)
GRID = "БДЖЗИЛПФЦЧШЩЫЭЮЯГΔΛΞΠΣΦΨΩ"  # where no font has Chinese: wide letters, one in each square as well
SCRIPTS = ("latin", "chinese")
UNLIKE = ("Italic", "Oblique", "Light", "Math", "Display", "STIXNon", "STIXSiz", "cm", "Narrow", "LastResort")  # names


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
    for path in sorted(paths):
        name = path.rsplit("/", 1)[-1]
        if any(word in name for word in UNLIKE):
            continue
        held = ft2font.FT2Font(path).get_charmap()
        if all(ord(letter) in held for letter in "Qgj"):
            found["chinese" if ord("的") in held else "latin"].setdefault(name, path)
    return {script: tuple(sorted(of.values())) for script, of in found.items()}


def page(script: str, chance: np.random.Generator, height: int = 1980, width: int = 1368) -> np.ndarray:
    """A page of random text as ink in 0..1, [height, width]: font, size, pitch, margins and paragraphs by `chance`."""
    from PIL import Image, ImageDraw, ImageFont

    if script not in SCRIPTS:
        raise Refusal(f"there are no pages of script '{script}'; choices: {', '.join(SCRIPTS)}")
    held = fonts()
    path = str(chance.choice(held[script] or held["latin"]))
    size = int(chance.integers(38, 47))
    pitch = size * chance.uniform(1.42, 1.62)  # pixels from one line to the next
    left, right, top = int(chance.integers(14, 30)), int(chance.integers(14, 30)), int(chance.integers(25, 45))
    font = ImageFont.truetype(path, size)
    picture = Image.new("L", (width, height), 0)
    draw = ImageDraw.Draw(picture)
    lines = int((height - top - chance.integers(20, 60)) / pitch)
    fill = _latin if script == "latin" else _chinese
    letters = CHARACTERS if held["chinese"] else GRID
    remaining, begins = 0, True
    for k in range(lines):
        if remaining == 0:
            remaining, begins = int(chance.integers(3, 12)), True
        remaining -= 1
        end = (width - right) if remaining else int(width * chance.uniform(0.2, 0.95))
        y = top + k * pitch
        fill(draw, font, letters, left + 2 * size * begins, end, y, remaining > 0, chance)
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
        word = str(chance.choice(_words())) + str(chance.choice(["", "", "", "", "", "", "", ",", ".", ";"]))
        word = word.capitalize() if chance.random() < 0.1 else word
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
        letter = "，" if chance.random() < 0.08 else letters[chance.integers(len(letters))]
        draw.text((at, y), letter, fill=255, font=font)


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
