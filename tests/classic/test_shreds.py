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
import scipy.optimize  # noqa: F401  (its start is not what is timed)
import torch
from PIL import Image

from stages.classic.shreds import (
    command,
    edges,
    learned,
    lines,
    made,
    network,
    order,
    page,
    pieces,
    rows,
    settings,
    sheet,
    system,
)
from stages.classic.shreds.page import Asked
from stages.core.errors import Refusal
from stages.core.systems import Inputs

SIZE = settings.Size(columns=8, channels=8, codes=8)
TRAINING = settings.Training(steps=6, rate=0.01, warm_up=2, device="cpu", bf16=False, compile=False)
LEARNING = settings.Learning(pages=2, sheets=1, seed=1, network=SIZE, training=TRAINING)
SMALL = made.Cut(4, 8, 180, 72)
ALONE = np.full(6, -1)


@pytest.fixture(scope="module")
def scorer():
    return learned.load(learned.SHIPPED)


def shredded(seed, script="chinese", cut=SMALL, sides=1):
    chance = np.random.default_rng(seed)
    style = made.style(script, chance)
    pages = [made.written(style, chance, cut.rows * cut.height, cut.columns * cut.width) for _ in range(sides)]
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


def test_the_fit_of_a_pair_does_not_depend_on_the_others():
    torch.manual_seed(0)
    net = network.Network(SIZE)
    ink = torch.rand(5, 180, 72)
    with torch.no_grad():
        fits = net(ink)
        for i, j in itertools.permutations(range(5), 2):
            assert fits[i, j] == pytest.approx(float(net(ink[[i, j]])[0, 1]), abs=1e-5)


def test_only_the_pixels_at_the_cut_and_the_ink_of_rows_count():
    torch.manual_seed(0)
    net, ink = network.Network(SIZE), torch.rand(3, 180, 72)
    moved = ink.clone()
    moved[:, :, 20:50] = ink[:, :, 20:50].flip(2)
    changed = ink.clone()
    changed[0, 90, 71] = 1 - ink[0, 90, 71]  # the right edge of the first
    with torch.no_grad():
        assert torch.allclose(net(ink), net(moved), atol=1e-5)
        off = (net(ink) - net(changed)).abs() > 1e-7
    assert off[0].all()
    assert not off[1:, 1:].any()


@pytest.mark.parametrize("loss", [0, 1])
def test_a_page_cut_anew_keeps_its_neighbours(loss):
    y, x = np.mgrid[:400, :300]
    found, table = network.cut((1000 * y + x).astype(np.float32), np.random.default_rng(0), loss)
    assert found.shape == (table.size, 180, 72)
    assert (found[table[:, 1:], :, 0] - found[table[:, :-1], :, -1] == 1 + loss).all()
    assert (found[table[1:], 0] - found[table[:-1], -1] == 1000).all()


def test_the_loss_is_both_cross_entropies_of_the_joints():
    fits = np.random.default_rng(0).normal(size=(4, 4))
    table = np.array([[2, 0], [3, 1]])
    wanted = 0.0
    for i, j in table:
        others = np.arange(4) != i
        wanted -= fits[i, j] - np.log(np.exp(fits[i, others]).sum())
        others = np.arange(4) != j
        wanted -= fits[i, j] - np.log(np.exp(fits[others, j]).sum())
    found = network.loss(torch.from_numpy(fits), torch.from_numpy(table))
    assert float(found) == pytest.approx(wanted / 2, abs=1e-5)


def test_a_killed_training_goes_on_to_the_same_weights(tmp_path, monkeypatch):
    monkeypatch.setattr("stages.nets.training.BETWEEN_CHECKPOINTS", 0.0)
    monkeypatch.setattr(network, "WATCH", network.Watch(every=2, limit=1e3, least={}, rollbacks=0))
    whole, _ = learned.learn(LEARNING)
    steps = network.example

    def killed(pages, chance):
        killed.left -= 1
        if killed.left < 0:
            raise KeyboardInterrupt
        return steps(pages, chance)

    killed.left = 5
    monkeypatch.setattr(network, "example", killed)
    with pytest.raises(KeyboardInterrupt):
        learned.learn(LEARNING, tmp_path)
    killed.left = 2  # those after the last checkpoint, at step 4
    again, history = learned.learn(LEARNING, tmp_path)
    assert len(history["loss"]) == LEARNING.training.steps
    assert all(torch.equal(a, b) for a, b in zip(whole.network.parameters(), again.network.parameters(), strict=True))
    assert (whole.weights == again.weights).all()


def test_training_lowers_the_loss():
    params = settings.Learning(4, 1, 0, SIZE, settings.Training(60, 0.015, 10, "cpu", False, False))
    history = learned.learn(params)[1]
    assert np.mean(history["loss"][-10:]) < 0.5 * np.mean(history["loss"][:10])


def test_the_gradient_of_the_fit_is_that_by_differences():
    chance = np.random.default_rng(2)
    sets = [(chance.normal(size=(2, 7, 9)), chance.integers(9, size=7)) for _ in range(2)]
    w = chance.random(2)
    step = 1e-5 * np.eye(2)
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


def test_pieces_of_one_picture_stand_for_each_other_and_others_do_not():
    ink = np.random.default_rng(0).random((6, 9, 9)).astype(np.float32)
    ink[[1, 3]] = 0
    found, table = pieces.Pieces(tuple("abcdef"), ink, ALONE), np.array([[0, 1, 2], [3, 4, 5]])
    place = np.full((2, 2), 0.5)

    def scored(rows):
        return system.score(found, page.Restored((np.array(rows),), (place,), ()), table)

    assert scored([[0, 3, 2], [1, 4, 5]])["whole"] == 1
    assert scored([[0, 3, 2], [1, 4, 5]])["neighbours"] == 1
    swapped = scored([[0, 2, 1], [3, 4, 5]])
    assert (swapped["whole"], swapped["neighbours"]) == (0, 0.5)
    two_sided = pieces.Pieces(tuple("abcdef"), ink, np.array([3, 4, 5, 0, 1, 2]))
    assert len(set(system.alike(two_sided).tolist())) == 6  # both are blank, but their other sides are not


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
        command.restore(folder, tmp_path / "out", Asked())


def test_the_system_keeps_its_model(tmp_path):
    for name in ("model", "again"):
        system.train(Inputs(), LEARNING, tmp_path / name)
    first, second = ((tmp_path / name / learned.NAME).read_bytes() for name in ("model", "again"))
    assert first == second
    kept, made_now = learned.load(tmp_path / "model"), learned.learn(LEARNING)[0]
    found, _ = shredded(1)
    assert np.array_equal(kept.cost(found), made_now.cost(found))
    with pytest.raises(Refusal, match=r"scorer\.safetensors is missing"):
        learned.load(tmp_path)
    (tmp_path / learned.NAME).write_bytes(first[:100])
    with pytest.raises(Refusal, match="no scorer of this version"):
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
    begun = time.perf_counter()
    told = command.restore(folder / str(number), tmp_path / "out", Asked())
    assert list(csv.reader((tmp_path / "out/order.csv").open())) == truth[number]
    assert told["seconds"] < seconds
    assert told["interventions"] == 0
    assert time.perf_counter() - begun < seconds + 5  # with the contact sheet


@pytest.mark.real
@pytest.mark.parametrize("number", [1, 2])
def test_attachments_in_strips_are_restored_when_cut_across_too(attachments, number):
    folder, truth = attachments
    strips = pieces.load(folder / str(number))
    whole = np.concatenate([strips.ink[strips.names.index(name)] for name in truth[number][0]], axis=1)
    found, table = made.shreds([whole], made.CROSS, np.random.default_rng(0))
    assert (page.restore(found, learned.load(learned.SHIPPED)).sides[0] == table).all()


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


def mixed(seed, pages, columns, loss=0):
    """Strips of several pages in random order, and their true table, a page a row; `loss` pixels are gone at cuts."""
    chance = np.random.default_rng(seed)
    strips = []
    for k in range(pages):
        whole = made.page(made.SCRIPTS[k % 2], chance, 1980, columns * 54)
        strips += list(whole.reshape(1980, columns, 54).transpose(1, 0, 2)[:, :, loss:])
    order = chance.permutation(len(strips))
    table = np.argsort(order).reshape(pages, columns)
    names = tuple(f"{i:03d}" for i in range(len(strips)))
    return pieces.Pieces(names, np.stack(strips)[order], np.full(len(strips), -1)), table


def test_strips_of_mixed_pages_are_parted_into_pages(tmp_path):
    found, table = mixed(3, 3, 12)
    told = command.restore(saved(tmp_path / "strips", found), tmp_path / "out", Asked(pages=3))
    written = list(csv.reader((tmp_path / "out/order.csv").open()))
    assert sorted(written) == sorted([found.names[i] for i in row] for row in table)
    assert told["rows"] == 3
    for k in (1, 2, 3):
        page_k = np.asarray(Image.open(tmp_path / f"out/page-{k}.png"))
        whole = np.concatenate([found.ink[found.names.index(name)] for name in written[k - 1]], axis=1)
        assert np.abs(page_k - 255 * (1 - whole)).max() <= 1
        assert (tmp_path / f"out/contact-{k}.png").exists()
    with pytest.raises(Refusal, match="3 mixed pages of 2 rows"):
        page.restore(found, None, Asked(rows=2, pages=3))


@pytest.mark.slow
@pytest.mark.parametrize(("loss", "least"), [(0, 0.90), (1, 0.85)])
def test_five_hundred_strips_of_twenty_pages_are_parted(loss, least):
    found, table = mixed([77, loss], 20, 25, loss)
    begun = time.perf_counter()
    score = system.score(found, page.restore(found, learned.load(learned.SHIPPED), Asked(pages=20)), table)
    print(loss, "pixels lost:", score["neighbours"], "in", time.perf_counter() - begun, "s")
    assert score["neighbours"] >= least
    assert time.perf_counter() - begun < 300


@pytest.fixture(scope="session")
def twins():
    """Scores of twenty pages whose seeds served for nothing else."""
    model = learned.load(learned.SHIPPED)
    scores = []
    for script, k in itertools.product(made.SCRIPTS, range(10)):
        found, table = shredded([4242, made.SCRIPTS.index(script), k], script, made.CROSS)
        scores.append(system.score(found, page.restore(found, model), table))
    return scores


@pytest.mark.slow
def test_twins_that_no_constant_was_chosen_on_are_restored(twins):
    print(sum(score["whole"] for score in twins), "of", len(twins), "pages are whole")
    assert np.mean([score["neighbours"] for score in twins]) >= 0.97
    assert sum(score["whole"] for score in twins) >= 15
    assert all(score["merge_precision"] == 1 for score in twins)
