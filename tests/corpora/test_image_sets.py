"""Images into data sets: idx files made by hand, pictures of every kind that people have, archives with junk."""

import gzip
import io
import os
import struct
import subprocess
import sys
import tarfile
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from safetensors.numpy import load_file
from sklearn.datasets import load_digits

from stages import run
from stages.core import files
from stages.core.errors import Refusal
from stages.corpora.images import dataset, digits, idx, pictures, stacked, without

ROOT = Path(__file__).parents[2]
WEB = yaml.safe_load((ROOT / "params/web.yaml").read_text(encoding="utf-8"))
MIRROR = Path(os.environ.get("QUJING_MIRROR") or ROOT.parent / "shared/data")
PICTURES = pictures.Pictures(size=8, colour=True, labels="none", test_share=0.5, seed=0, workers=2)


def made(folder):
    return load_file(folder / "images.safetensors"), files.read_json(folder / "dataset.json")


def png(pixels, mode=None, **more):
    stream = io.BytesIO()
    Image.fromarray(np.asarray(pixels, np.uint8), mode).save(stream, "PNG", **more)
    return stream.getvalue()


def one_colour(colour, side=16):
    return png(np.full((side, side, 3), colour))


# digits


def test_digits_are_scikit_learns_and_every_class_is_parted_alike(tmp_path):
    found = digits.digits(None, digits.Digits(360, 0), tmp_path / "a")
    held, told = made(tmp_path / "a")
    assert held["train"].shape == (1437, 1, 8, 8)
    assert held["test"].shape == (360, 1, 8, 8)
    assert held["train"].dtype == np.uint8
    assert held["train_labels"].dtype == np.int64
    assert found.metrics["classes"] == told["classes"] == 10
    whole = load_digits()
    truth = {bytes(image.astype(np.uint8)): label for image, label in zip(whole.images, whole.target, strict=True)}
    both = np.concatenate([held["train"], held["test"]])[:, 0]
    labels = np.concatenate([held["train_labels"], held["test_labels"]])
    back = np.rint(both.astype(float) * 16 / 255).astype(np.uint8)
    assert [truth[bytes(image)] for image in back] == labels.tolist()
    assert sorted(map(bytes, back)) == sorted(bytes(image.astype(np.uint8)) for image in whole.images)
    assert both.max() == 255
    counts = [np.bincount(held[f"{part}_labels"]) for part in ("train", "test")]
    assert np.abs(counts[1] / 360 - counts[0] / 1437).max() < 0.003


def test_the_same_seed_is_the_same_bytes_and_another_another_split(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        digits.digits(None, digits.Digits(360, seed), tmp_path / name)
    assert files.digest(tmp_path / "a") == files.digest(tmp_path / "b") != files.digest(tmp_path / "c")


@pytest.mark.parametrize("test", [0, 9, 1797])
def test_a_test_part_out_of_range_is_refused(tmp_path, test):
    with pytest.raises(Refusal, match=f"test is {test}, but 10 to 1787"):
        digits.digits(None, digits.Digits(test, 0), tmp_path / "a")


# made of other data sets


@pytest.fixture(scope="module")
def ten(tmp_path_factory):
    """The digits."""
    folder = tmp_path_factory.mktemp("ten") / "digits"
    digits.digits(None, digits.Digits(360, 0), folder)
    return folder


def test_a_stack_is_three_images_of_its_part_and_its_class_their_classes(ten, tmp_path):
    found = stacked.stacked(ten, stacked.Stacked(3000, 100, 0), tmp_path / "a")
    assert (found.metrics["classes"], found.metrics["channels"]) == (1000, 3)
    old, (held, told) = dataset.load(ten), made(tmp_path / "a")
    for name, part in (("train", old.train), ("test", old.test)):
        known = {bytes(image): str(label) for image, label in zip(part.images, part.labels, strict=True)}
        threes = [" ".join(known[bytes(channel)] for channel in image) for image in held[name]]
        assert [told["names"][label] for label in held[f"{name}_labels"]] == threes
    assert len(np.unique(held["train_labels"])) > 900  # of 1000 (1 - e^-3)
    channels = held["train"].reshape(3000, 3, -1).astype(float)
    assert abs(np.corrcoef(channels[:, 0].mean(1), channels[:, 1].mean(1))[0, 1]) < 0.06
    for name, seed in (("b", 0), ("c", 1)):
        stacked.stacked(ten, stacked.Stacked(3000, 100, seed), tmp_path / name)
    assert files.digest(tmp_path / "a") == files.digest(tmp_path / "b") != files.digest(tmp_path / "c")


def test_classes_are_left_out_of_the_training_images_alone(ten, tmp_path):
    without.without(ten, without.Without(("7", "0")), tmp_path / "a")
    old, new = dataset.load(ten), dataset.load(tmp_path / "a")
    assert sorted(set(new.train.labels)) == [1, 2, 3, 4, 5, 6, 8, 9]
    assert new.names == old.names
    kept = ~np.isin(old.train.labels, (0, 7))
    assert np.array_equal(new.train.images, old.train.images[kept])
    assert np.array_equal(new.train.labels, old.train.labels[kept])
    assert np.array_equal(new.test.images, old.test.images)
    assert np.array_equal(new.test.labels, old.test.labels)


def test_what_cannot_be_made_of_a_data_set_is_refused(ten, tmp_path):
    with pytest.raises(Refusal, match=r"has no class \['coat'\]; it has: 0, 1"):
        without.without(ten, without.Without(("coat",)), tmp_path / "a")
    with pytest.raises(Refusal, match="nothing is left"):
        without.without(ten, without.Without(tuple("0123456789")), tmp_path / "a")
    for make, how in ((without.without, without.Without(())), (stacked.stacked, stacked.Stacked(1, 1, 0))):
        with pytest.raises(Refusal, match="need"):
            make(None, how, tmp_path / "a")
        with pytest.raises(Refusal, match="is missing"):
            make(tmp_path / "nowhere", how, tmp_path / "a")
    with pytest.raises(Refusal, match="at least 1"):
        stacked.stacked(ten, stacked.Stacked(0, 1, 0), tmp_path / "a")
    stacked.stacked(ten, stacked.Stacked(10, 10, 0), tmp_path / "colour")
    with pytest.raises(Refusal, match="with colours or without labels"):
        stacked.stacked(tmp_path / "colour", stacked.Stacked(1, 1, 0), tmp_path / "a")


def test_data_sets_are_made_without_torch(tmp_path):
    code = "import sys; from pathlib import Path; from stages.corpora.images import digits, idx, pictures, stacked; "
    code += "folder = Path(sys.argv[1]); digits.digits(None, digits.Digits(360, 0), folder / 'a'); "
    code += "stacked.stacked(folder / 'a', stacked.Stacked(9, 9, 0), folder / 'b'); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code, tmp_path], cwd=ROOT).returncode == 0


# idx

IDX = idx.Idx(("train-images", "train-labels"), ("test-images", "test-labels"), 0.0, 0, ("coat", "bag"))


def write_idx(path, array):
    array = np.asarray(array, np.uint8)
    content = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.fixture
def four(tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    write_idx(folder / "train-images", np.arange(24).reshape(4, 2, 3))
    write_idx(folder / "train-labels", [0, 1, 1, 0])
    write_idx(folder / "test-images", np.arange(100, 112).reshape(2, 2, 3))
    write_idx(folder / "test-labels", [1, 0])
    return folder


def test_idx_files_are_read_as_they_are(four, tmp_path):
    found = idx.idx(four, IDX, tmp_path / "out")
    held, told = made(tmp_path / "out")
    np.testing.assert_array_equal(held["train"], np.arange(24).reshape(4, 1, 2, 3))
    np.testing.assert_array_equal(held["test"], np.arange(100, 112).reshape(2, 1, 2, 3))
    assert held["train_labels"].tolist() == [0, 1, 1, 0]
    assert held["test_labels"].tolist() == [1, 0]
    assert told["names"] == ["coat", "bag"]
    assert (told["height"], told["width"]) == (2, 3)
    assert found.metrics["train"] == 4


def test_a_set_with_only_one_part_is_split(tmp_path):
    write_idx(tmp_path / "i.gz", np.arange(20)[:, None, None].repeat(4, 1).repeat(4, 2))
    write_idx(tmp_path / "l.gz", np.arange(20) % 2)
    params = idx.Idx(("i.gz", "l.gz"), (), 0.25, 0, ("even", "odd"))
    idx.idx(tmp_path, params, tmp_path / "out")
    held, _ = made(tmp_path / "out")
    assert len(held["test"]) == 5
    for part in ("train", "test"):
        assert (held[part][:, 0, 0, 0] % 2 == held[f"{part}_labels"]).all()
    assert sorted([*held["train"][:, 0, 0, 0], *held["test"][:, 0, 0, 0]]) == list(range(20))
    with pytest.raises(Refusal, match=r"test_share is 0.01, which makes 0 of 20"):
        idx.idx(tmp_path, replace(params, test_share=0.01), tmp_path / "none")


def change(path, content):
    path.write_bytes(content(path.read_bytes()))


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("train-images", lambda b: b[:-5], r"train-images has 19 bytes of data, but its head says 4 x 2 x 3"),
        ("train-images", lambda b: b + b"x", r"train-images has 25 bytes of data"),
        ("test-labels", lambda b: b"<html>", r"test-labels is no idx file of labels: it begins with 3c 68 74 6d"),
        ("test-labels", lambda b: b"", r"it begins with nothing"),
        ("train-labels", lambda b: b[:6], r"train-labels is no idx file of labels"),
        ("train-labels", lambda b: b[:-1] + b"\x02", r"has label 2, but params.yaml names only 2 classes"),
        ("train-images", lambda b: b[:8] + struct.pack(">2I", 3, 2) + b[16:], r"3x2 pixels and test images 2x3"),
        ("train-labels", lambda b: b[:4] + struct.pack(">I", 3) + b[8:-1], r"4 images, but .*train-labels 3 labels"),
    ],
)
def test_what_is_wrong_with_idx_files_is_one_sentence(four, tmp_path, name, content, sentence):
    change(four / name, content)
    with pytest.raises(Refusal, match=sentence):
        idx.idx(four, IDX, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "content", [lambda b: b[: len(b) // 2], lambda b: b[:-8] + b"\0" * 8, lambda b: b"\x1f\x8b no"]
)
def test_damaged_compression_is_refused(four, tmp_path, content):
    path = four / "train-images.gz"
    write_idx(path, np.random.default_rng(0).integers(0, 256, (4, 200, 300)))
    change(path, content)
    with pytest.raises(Refusal, match=r"train-images.gz"):
        idx.idx(four, replace(IDX, train=("train-images.gz", "train-labels")), tmp_path / "out")


def test_a_missing_file_and_a_list_of_the_wrong_length_are_refused(four, tmp_path):
    with pytest.raises(Refusal, match="holds no file named nothing"):
        idx.idx(four, replace(IDX, train=("nothing", "train-labels")), tmp_path / "out")
    with pytest.raises(Refusal, match="must name images and labels"):
        idx.idx(four, replace(IDX, test=("test-images",)), tmp_path / "out")
    with pytest.raises(Refusal, match="needs an `input`"):
        idx.idx(None, IDX, tmp_path / "out")


def test_sixty_thousand_images_take_a_second_or_two(tmp_path):
    write_idx(tmp_path / "i", np.zeros((60_000, 28, 28)))
    write_idx(tmp_path / "l", np.zeros(60_000))
    begin = time.process_time()
    idx.idx(tmp_path, idx.Idx(("i", "l"), (), 0.1, 0, ("all",)), tmp_path / "out")
    assert time.process_time() - begin < 3


# pictures


def shown(content, **params):
    """The pixels [height, width, channels] that a file becomes."""
    found = pictures.small(content, **({"size": 8, "colour": True} | params))
    assert isinstance(found, pictures.Small), found
    return found.pixels.transpose(1, 2, 0)


def saved(image, form, **more):
    stream = io.BytesIO()
    image.save(stream, form, **more)
    return stream.getvalue()


def halves(mode="RGB"):
    """Red on the left, blue on the right."""
    pixels = np.zeros((32, 32, 3), np.uint8)
    pixels[:, :16, 0], pixels[:, 16:, 2] = 255, 255
    return Image.fromarray(pixels).convert(mode)


@pytest.mark.parametrize(
    ("mode", "form"),
    [("RGB", "PNG"), ("P", "PNG"), ("P", "GIF"), ("CMYK", "JPEG"), ("CMYK", "TIFF"), ("RGBA", "WEBP"), ("RGB", "BMP")],
)
def test_colours_stay_whatever_the_form(mode, form):
    pixels = shown(saved(halves(mode), form)).astype(int)
    assert np.abs(pixels[4, 1] - [255, 0, 0]).max() < 40
    assert np.abs(pixels[4, 6] - [0, 0, 255]).max() < 40


def test_what_is_transparent_becomes_white():
    pixels = np.zeros((16, 16, 4), np.uint8)
    pixels[:, 8:, 3] = 255
    for content in (saved(Image.fromarray(pixels), "PNG"), saved(Image.fromarray(pixels[..., 2:]), "PNG")):
        found = shown(content, colour=False)
        assert found[4, 1, 0] > 240
        assert found[4, 6, 0] < 15
    palette = Image.fromarray(np.arange(2, dtype=np.uint8).repeat(128).reshape(16, 16), "P")
    palette.putpalette([0, 0, 0, 0, 0, 255])
    found = shown(saved(palette, "PNG", transparency=0))
    assert found[0, 4].tolist() == [255, 255, 255]
    assert found[7, 4].tolist() == [0, 0, 255]


@pytest.mark.parametrize(("turn", "red"), [(1, (4, 1)), (3, (4, 6)), (6, (1, 4)), (8, (6, 4))])
def test_a_picture_turned_by_its_exif_stands_upright(turn, red):
    exif = Image.Exif()
    exif[0x0112] = turn
    pixels = shown(saved(halves(), "JPEG", exif=exif, quality=95)).astype(int)
    assert np.abs(pixels[red] - [255, 0, 0]).max() < 40


def test_sixteen_bits_are_scaled_and_one_bit_is_black_and_white():
    deep = Image.fromarray(np.full((16, 16), 32_896, np.uint16))
    assert (shown(saved(deep, "PNG"), colour=False) == 128).all()
    assert (shown(saved(Image.new("1", (16, 16), 1), "PNG")) == 255).all()


def test_the_middle_square_is_taken_and_its_mean_stays():
    wide = np.zeros((16, 48), np.uint8)
    wide[:, 16:32] = np.arange(16)[:, None] * 10
    found = shown(png(wide), colour=False)[..., 0].astype(int)
    assert np.ptp(found, axis=1).max() <= 10  # nothing of the black sides but what a filter takes from a neighbour
    assert abs(found[:, 1:-1].mean() - 75) < 1
    large = Image.fromarray(np.random.default_rng(0).integers(0, 256, (400, 400), np.uint8))
    assert abs(shown(saved(large, "JPEG", quality=95), colour=False).mean() - np.asarray(large).mean()) < 2


def test_a_large_jpeg_keeps_the_detail_that_is_asked_for():
    stripes = np.where(np.arange(160) // 4 % 2, 255, 0).astype(np.uint8)[None].repeat(160, 0)
    found = shown(saved(Image.fromarray(stripes), "JPEG", quality=95), size=40, colour=False)[20, :, 0]
    assert found[0::2].max() < 70
    assert found[1::2].min() > 185


def test_pictures_that_had_to_grow_are_told(tmp_path):
    assert pictures.small(one_colour(0, 4), 8, True).enlarged
    assert not pictures.small(one_colour(0, 8), 8, True).enlarged
    assert not pictures.small(saved(Image.new("RGB", (600, 40)), "JPEG"), 40, True).enlarged


JUNK = {
    "README.txt": b"hello",
    ".hidden.png": one_colour(1),
    "__MACOSX/._a.png": one_colour(2),
    "deep/Thumbs.db": b"\0",
    "broken.jpg": saved(halves(), "JPEG")[:-300],
    "deep/text.png": b"not a picture",
    "empty.gif": b"",
    "run.eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n",
    "liar.png": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n",
}
GOOD = {f"{kind}/{i}.png": one_colour((i, 200 if kind == "cat" else 0, 9)) for kind in ("cat", "dog") for i in range(5)}


def folder_of(members, path):
    for name, content in members.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def tar_of(members, path, mode="w"):
    with tarfile.open(path, mode) as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        link = tarfile.TarInfo("link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    return path


def zip_of(members, path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("folder/", "")
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_a_folder_and_archives_of_the_same_pictures_are_the_same_data_set(tmp_path):
    members = dict(reversed((GOOD | JUNK).items()))
    sources = [
        folder_of(members, tmp_path / "folder"),
        tar_of(members, tmp_path / "a.tar"),
        tar_of({f"./{name}": content for name, content in members.items()}, tmp_path / "a.tar.xz", "w:xz"),
        zip_of(members, tmp_path / "a.zip"),
    ]
    digests = set()
    for i, source in enumerate(sources):
        found = pictures.pictures(source, replace(PICTURES, labels="folder"), tmp_path / f"out{i}")
        assert found.metrics["broken"] == 5
        assert found.metrics["others"] == 4
        assert (found.metrics["train"], found.metrics["test"], found.metrics["classes"]) == (5, 5, 2)
        why = dict(zip(*found.tables["broken"].to_pydict().values(), strict=True))
        assert list(why) == ["broken.jpg", "deep/text.png", "empty.gif", "liar.png", "run.eps"]
        assert "truncated" in why["broken.jpg"].lower()
        assert why["deep/text.png"] == why["liar.png"] == "no picture"
        digests.add(files.digest(tmp_path / f"out{i}/images.safetensors"))
    assert len(digests) == 1
    held, told = made(tmp_path / "out0")
    assert told["names"] == ["cat", "dog"]
    for part in ("train", "test"):
        assert ((held[part][:, 1, 0, 0] == 0) == held[f"{part}_labels"]).all()


def test_without_classes_no_label_is_known_and_no_table_is_written(tmp_path):
    found = pictures.pictures(folder_of(GOOD, tmp_path / "folder"), PICTURES, tmp_path / "out")
    held, told = made(tmp_path / "out")
    assert (held["train_labels"] == -1).all()
    assert told["names"] == []
    assert found.tables == {}


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (
            lambda path: folder_of({"a.txt": b"x"}, path / "f"),
            "no picture that can be read: 0 broken ones, 1 other",
        ),
        (
            lambda path: folder_of({"a.png": b"x"}, path / "f"),
            "no picture that can be read: 1 broken ones, 0 other",
        ),
        (lambda path: path / "missing", "neither a folder nor a tar or zip archive"),
        (lambda path: folder_of({"a.png": b"x"}, path / "f") / "a.png", "neither a folder nor a tar or zip archive"),
    ],
)
def test_a_source_without_pictures_is_refused(tmp_path, source, sentence):
    with pytest.raises(Refusal, match=sentence):
        pictures.pictures(source(tmp_path), PICTURES, tmp_path / "out")


@pytest.mark.parametrize("make", [lambda m, p: tar_of(m, p / "a.tar"), lambda m, p: tar_of(m, p / "a.tgz", "w:gz")])
def test_an_archive_that_is_cut_off_is_refused(tmp_path, make):
    noisy = {f"{i}.png": png(np.random.default_rng(i).integers(0, 256, (64, 64, 3))) for i in range(5)}
    path = make(noisy, tmp_path)
    change(path, lambda b: b[: int(len(b) * 0.6)])
    with pytest.raises(Refusal, match="cannot be read to its end"):
        pictures.pictures(path, PICTURES, tmp_path / "out")


def test_a_damaged_zip_is_refused(tmp_path):
    path = zip_of(GOOD, tmp_path / "a.zip")
    change(path, lambda b: b[:110] + bytes([b[110] ^ 255]) + b[111:])
    with pytest.raises(Refusal, match="cannot be read to its end"):
        pictures.pictures(path, PICTURES, tmp_path / "out")


# real data


@pytest.mark.real
@pytest.mark.skipif(not MIRROR.is_dir(), reason="QUJING_MIRROR names no folder of real data")
@pytest.mark.parametrize(
    ("key", "counts"),
    [
        ("fashion_mnist", {"train": 60_000, "test": 10_000, "classes": 10, "height": 28}),
        ("faces", {"train": 4680, "test": 520, "classes": 0, "height": 64, "channels": 3, "broken": 0, "enlarged": 0}),
    ],
)
def test_the_real_data_sets_are_whole(tmp_path, monkeypatch, key, counts):
    monkeypatch.setenv("QUJING_MIRROR", str(MIRROR.resolve()))
    row = run.read(WEB, "crawl", key)
    row.function(None, row.settings, tmp_path / "rounds" / key, tmp_path / "spool")
    row = run.read(WEB, "preprocess", key)
    found = row.function(tmp_path / row.values["input"], row.settings, tmp_path / "out")
    assert {name: found.metrics[name] for name in counts} == counts
    held, _ = made(tmp_path / "out")
    assert 30 < held["train"].mean() < 220
    if counts["classes"]:
        assert np.bincount(held["train_labels"]).tolist() == [6000] * 10
