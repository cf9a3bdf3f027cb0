"""Shredded paper: exact orders against all orders there are, made pages, and the contest's own attachments."""

import csv
import itertools
import os
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stages.classic.shreds import command, edges, learned, lines, made, order, page, pieces, rows, sheet, system
from stages.classic.shreds.page import Asked
from stages.core.errors import Refusal
from stages.core.systems import Inputs

LEARNING = learned.Learning(pages=4, cuts=150, sheets=2, seed=1)
SMALL = made.Cut(4, 8, 180, 72)
ALONE = np.full(6, -1)


@pytest.fixture(scope="module")
def scorer():
    return learned.learn(LEARNING)


def shredded(seed, script="chinese", cut=SMALL, sides=1):
    chance = np.random.default_rng(seed)
    pages = [made.page(script, chance, cut.rows * cut.height, cut.columns * cut.width) for _ in range(sides)]
    return made.shreds(pages, cut, chance)


def saved(folder, found):
    folder.mkdir()
    for name, ink in zip(found.names, found.ink, strict=True):
        Image.fromarray(np.rint(255 * (1 - ink)).astype(np.uint8)).save(folder / f"{name}.png")
    return folder


def by_definition(name, right, left):
    right, left = right.astype(float), left.astype(float)
    soft = [np.convolve(np.pad(e[:, 0], 1, mode="edge"), [0.25, 0.5, 0.25], "valid") for e in (right, left)]
    ahead = [np.clip(1.5 * e[:, 0] - 0.5 * e[:, 1], 0, 1) for e in (right, left)]
    right, left = right[:, 0], left[:, 0]
    return {
        "distance": ((right - left) ** 2).sum(),
        "smooth": 0.5 * ((right - left) ** 2).sum() + 0.5 * ((soft[0] - soft[1]) ** 2).sum(),
        "columns": ((ahead[0] - ahead[1]) ** 2).sum(),
        "absolute": abs(right - left).sum(),
        "correlation": 1 - np.corrcoef(right, left)[0, 1],
        "cross_correlation": 1 - right @ left / np.linalg.norm(right) / np.linalg.norm(left),
    }[name]


@pytest.mark.parametrize("name", edges.COSTS)
def test_costs_of_edges_are_their_definitions(name):
    ink = np.random.default_rng(0).random((5, 30, 9)).astype(np.float32)
    right, left = edges.sides(ink)
    found = edges.COSTS[name](right, left)
    for i, j in itertools.product(range(5), repeat=2):
        assert found[i, j] == pytest.approx(by_definition(name, ink[i, :, ::-1], ink[j]), abs=1e-5)


def test_white_edges_cost_finite_numbers():
    right, left = edges.sides(np.zeros((3, 20, 9), dtype=np.float32))
    assert all(np.isfinite(cost(right, left)).all() for cost in edges.COSTS.values())


@pytest.mark.parametrize("seed", range(6))
def test_rows_are_the_best_of_all_orders(seed):
    chance = np.random.default_rng(seed)
    cost, places = chance.random((6, 6)), chance.random((6, 3))
    np.fill_diagonal(cost, np.inf)
    found = order.rows(order.Chains(6, 3, ALONE), cost, places)

    def price(row):
        joints = sum(cost[i, j] for i, j in itertools.pairwise(row))
        return joints + sum(places[i, p] for p, i in enumerate(row))

    best = min(price(way[:3]) + price(way[3:]) for way in itertools.permutations(range(6)))
    assert sorted(i for row in found for i in row) == list(range(6))
    assert sum(map(price, found)) == pytest.approx(best)


@pytest.mark.parametrize("seed", range(4))
def test_rows_of_two_sided_paper_are_the_best_that_mirror_each_other(seed):
    chance = np.random.default_rng(seed)
    cost, places = chance.random((6, 6)), chance.random((6, 3))
    back = np.array([1, 0, 3, 2, 5, 4])  # three pieces, one row of them
    np.fill_diagonal(cost, np.inf)
    cost[np.arange(6), back] = np.inf
    found = order.rows(order.Chains(6, 3, back), cost, places)

    def price(row):
        return sum(cost[i, j] for i, j in itertools.pairwise(row)) + sum(places[i, p] for p, i in enumerate(row))

    fronts = [w for w in itertools.permutations(range(6), 3) if len({i // 2 for i in w}) == 3]
    best = min(price(w) + price(order.turned(w, back)) for w in fronts)
    assert len(found) == 2
    assert order.turned(found[0], back) == found[1]
    assert sum(map(price, found)) == pytest.approx(best)


@pytest.mark.parametrize("two_sided", [False, True])
def test_stacks_are_the_best_of_all_orders(two_sided):
    chance = np.random.default_rng(3)
    cost, first = chance.random((6, 6)) - 1, chance.random(6)  # as of strokes that fit: below nothing
    partner = np.array([3, 4, 5, 0, 1, 2]) if two_sided else np.arange(6)
    ways = [w for w in itertools.permutations(range(6), 3 if two_sided else 6) if len({i % 3 for i in w}) == 3]
    prices = {w: first[w[0]] + sum(cost[i, j] for i, j in itertools.pairwise(w)) for w in ways}
    assert tuple(rows.stack(cost, first, partner)) == min(prices, key=prices.get)


def test_a_stack_of_too_many_rows_is_refused():
    with pytest.raises(Refusal, match="17 rows are too many"):
        rows.stack(np.zeros((17, 17)), np.zeros(17), np.arange(17))


def test_planted_phases_and_period_are_found():
    chance = np.random.default_rng(5)
    period, phases = 57.3, chance.uniform(0, 57.3, 30)
    y = np.arange(180)
    s = 0.2 * (((y + phases[:, None]) % period) < 30) + chance.normal(0, 0.01, (30, 180))
    found = lines.fit(s)
    assert abs(found.period - period) < 0.3
    assert found.explained > 0.95
    off = (found.best - phases) % found.period
    off = lines.apart(off, np.full(30, off[0]), found.period)
    assert off.max() < 1.5
    misfit = found.misfit()
    assert np.abs(np.diag(misfit)).max() == 0
    assert (misfit >= -1e-9).all()
    assert np.allclose(misfit, misfit.T)


def test_mutual_information_is_that_of_the_counts():
    """Every left column is the inverse of the right one: codes that go together have what the definition says."""
    chance = np.random.default_rng(0)
    dark = np.repeat(chance.random((1, 400)) < 0.5, 40, axis=0)
    text = dark.astype(np.float32)
    table = learned.count([text], 300, chance)
    ink, paper = (learned.codes(np.full((1, 3, 2), v, dtype=np.float32))[0, 1] for v in (1.0, 0.0))
    # columns are drawn one by one: neighbours tell nothing of one another, and I is about 0
    assert abs(table[ink, ink]) < 0.7
    assert abs(table[paper, ink]) < 0.7
    stripes = np.repeat(np.repeat(chance.random((1, 100)) < 0.5, 4, axis=1), 40, axis=0).astype(np.float32)
    table = learned.count([stripes], 300, chance)
    assert table[ink, ink] > 0.3
    assert table[paper, paper] > 0.3
    assert table[paper, ink] < -0.3
    found = learned.information(*edges.sides(shredded(1)[0].ink), table)
    a, b = (learned.codes(e) for e in edges.sides(shredded(1)[0].ink))
    assert found[3, 5] == pytest.approx(table[a[3], b[5]].sum(), rel=1e-4)


def test_the_gradient_of_the_fit_is_that_by_differences():
    chance = np.random.default_rng(2)
    sets = [(chance.normal(size=(3, 7, 9)), chance.integers(9, size=7)) for _ in range(2)]
    w = chance.random(3)
    step = 1e-5 * np.eye(3)
    by_differences = [(learned._loss(w + d, sets)[0] - learned._loss(w - d, sets)[0]) / 2e-5 for d in step]
    assert learned._loss(w, sets)[1] == pytest.approx(by_differences, abs=1e-7)


@pytest.mark.parametrize("script", made.SCRIPTS)
def test_strips_need_no_model(script):
    found, table = shredded(4, script, made.STRIPS)
    restored = page.restore(found, None)
    assert (restored.sides[0] == table).all()
    assert 0 < restored.confidence <= 1


def test_a_cross_cut_page_is_whole_again(scorer):
    found, table = shredded(11)
    restored = page.restore(found, scorer, Asked(rows=4))
    assert system.score(found, restored, table)["whole"] == 1
    picture = sheet.assemble(found, restored.sides[0])
    assert (picture == sheet.assemble(found, table)).all()


def test_a_page_printed_on_both_sides_is_whole_and_its_sides_mirror_each_other(scorer):
    found, table = shredded(12, "latin", sides=2)
    restored = page.restore(found, scorer, Asked(rows=4))
    front, behind = restored.sides
    assert (found.back[front[:, ::-1]] == behind).all()
    assert sorted([*front.ravel(), *behind.ravel()]) == list(range(64))
    assert system.score(found, restored, table)["whole"] == 1


def test_order_of_the_folder_does_not_matter(scorer, tmp_path):
    found, table = shredded(11)
    names = [[found.names[i] for i in row] for row in table]
    renamed = pieces.Pieces(tuple(reversed(found.names)), found.ink[::-1], found.back)
    restored = page.restore(renamed, scorer, Asked(rows=4))
    assert [[renamed.names[i] for i in row] for row in restored.sides[0]] == names


def test_links_are_honoured_and_contradictions_refused(scorer):
    found, table = shredded(11)
    name = found.names
    a, b, c = (name[i] for i in table[1, 2:5])
    wrong = page.restore(found, scorer, Asked(rows=4, must=((a, c),)))
    joints = {(name[i], name[j]) for row in wrong.sides[0] for i, j in itertools.pairwise(row)}
    assert (a, c) in joints
    parted = page.restore(found, scorer, Asked(rows=4, cannot=((a, b),)))
    assert (a, b) not in {(name[i], name[j]) for row in parted.sides[0] for i, j in itertools.pairwise(row)}
    right = page.restore(found, scorer, Asked(rows=4, must=((a, b),)))
    assert (right.sides[0] == table).all()
    for asked in (Asked(rows=4, must=((a, b),), cannot=((a, b),)), Asked(rows=4, must=((a, b), (a, c)))):
        with pytest.raises(Refusal, match="forbids it"):
            page.restore(found, scorer, asked)
    with pytest.raises(Refusal, match="no piece named 'x'"):
        page.restore(found, scorer, Asked(rows=4, must=((a, "x"),)))


def test_bad_folders_are_refused_in_a_sentence(tmp_path):
    with pytest.raises(Refusal, match="no folder"):
        pieces.load(tmp_path / "none")
    folder = saved(tmp_path / "pieces", shredded(1)[0])
    Image.new("L", (10, 20)).save(folder / "odd.png")
    with pytest.raises(Refusal, match=r"odd\.png is 10x20"):
        pieces.load(folder)
    (folder / "odd.png").write_bytes(b"no picture")
    with pytest.raises(Refusal, match="not a picture"):
        pieces.load(folder)
    (folder / "odd.png").unlink()
    (folder / "000.png").unlink()
    with pytest.raises(Refusal, match="31 pieces are not 4 rows"):
        page.restore(pieces.load(folder), None, Asked(rows=4))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA"])
def test_pictures_of_every_mode_are_read_alike(mode, tmp_path):
    square = Image.new("L", (8, 12), 255)
    square.paste(0, (2, 2, 5, 9))
    for name in ("a1", "a2"):
        square.convert(mode).save(tmp_path / f"{name}.png")
    found = pieces.load(tmp_path)
    assert found.names == ("a1", "a2")
    assert not found.two_sided
    assert (found.ink[0] == 1 - np.asarray(square) / 255).all()
    assert [int(found.margins(side)[0]) for side in ("left", "right", "top", "bottom")] == [2, 3, 2, 3]


def test_what_is_transparent_is_paper(tmp_path):
    for name in ("a1", "a2"):
        Image.new("RGBA", (8, 12), (0, 0, 0, 0)).save(tmp_path / f"{name}.png")
    assert (pieces.load(tmp_path).ink == 0).all()


def test_the_command_writes_order_page_sheet_and_confidence(tmp_path):
    found, table = shredded(4, cut=made.STRIPS)
    folder = saved(tmp_path / "strips", found)
    done = subprocess.run(
        [sys.executable, "-m", "stages.classic.shreds", str(folder), "-o", str(tmp_path / "out")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (names,) = csv.reader((tmp_path / "out/order.csv").open())
    assert names == [found.names[i] for i in table[0]]
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"order.csv", "page.png", "contact.png", "confidence.json"}
    with pytest.raises(Refusal, match="exists already"):
        command.restore(folder, tmp_path / "out", Asked(), None, LEARNING)


def test_the_system_keeps_its_model_and_makes_the_same_bytes(scorer, tmp_path):
    system.train(Inputs(), LEARNING, tmp_path / "model")
    assert (tmp_path / "model/model.json").exists()
    kept = learned.load(tmp_path / "model")
    assert all((getattr(kept, name) == getattr(scorer, name)).all() for name in ("right", "down", "weights"))
    with pytest.raises(Refusal, match=r"scorer\.safetensors is missing"):
        learned.load(tmp_path)


@pytest.fixture(scope="session")
def attachments(tmp_path_factory):
    mirror = Path(os.environ.get("QUJING_MIRROR", "none")) / "shredded_paper"
    if not mirror.is_dir():
        pytest.skip("QUJING_MIRROR has no shredded_paper/")
    folder = tmp_path_factory.mktemp("attachments")
    with tarfile.open(mirror / "attachments_123.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    truth = {k: list(csv.reader((mirror / f"order_{k}.csv").open())) for k in (1, 2, 3)}
    return folder, truth


@pytest.mark.real
@pytest.mark.parametrize(("number", "seconds"), [(1, 1), (2, 1), (3, 60)])
def test_attachments_are_restored_exactly_with_no_help(attachments, number, seconds, tmp_path):
    folder, truth = attachments
    learning = learned.Learning(pages=8, cuts=200, sheets=4, seed=0)
    begun = time.perf_counter()
    told = command.restore(folder / str(number), tmp_path / "out", Asked(), None, learning)
    assert list(csv.reader((tmp_path / "out/order.csv").open())) == truth[number]
    assert told["seconds"] < seconds
    assert told["interventions"] == 0
    assert time.perf_counter() - begun < seconds + 5  # with the contact sheet


@pytest.mark.real
def test_the_greedy_chain_is_the_article_s(attachments):
    folder, truth = attachments
    found = pieces.load(folder / "3")
    cost = edges.distance(*edges.sides(found.ink))
    names = [int(found.names[i]) for i in order.greedy(cost, found.names.index("014"))]
    assert names[:10] == [14, 128, 3, 159, 82, 199, 7, 208, 29, 64]
    joints = {(int(a), int(b)) for row in truth[3] for a, b in itertools.pairwise(row)}
    for start in ("014", "049"):
        chain = [int(found.names[i]) for i in order.greedy(cost, found.names.index(start))]
        assert sum(joint in joints for joint in itertools.pairwise(chain)) == 164


@pytest.fixture(scope="session")
def twins():
    """Scores of twenty pages whose seeds served for nothing else."""
    model = learned.learn(learned.Learning(pages=8, cuts=200, sheets=4, seed=0))
    scores = []
    for script, k in itertools.product(made.SCRIPTS, range(10)):
        found, table = shredded([4242, made.SCRIPTS.index(script), k], script, made.CROSS)
        scores.append(system.score(found, page.restore(found, model), table))
    return scores


@pytest.mark.slow
def test_twins_that_no_constant_was_chosen_on_have_the_right_neighbours(twins):
    print(sum(score["whole"] for score in twins), "of", len(twins), "pages are whole")
    assert np.mean([score["neighbours"] for score in twins]) >= 0.97
    assert all(score["merge_precision"] == 1 for score in twins)
