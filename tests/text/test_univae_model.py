"""UniVAE's masks by hand, that the writer knows the latents only, and that cached keys change nothing."""

from dataclasses import replace
from itertools import product

import pytest
import torch

from stages.core.errors import Refusal
from stages.nets.posteriors import Posterior
from stages.text.bert.model import PAD, POSITIONS, Config
from stages.text.univae.masks import independent, unified
from stages.text.univae.model import UniVAE
from stages.text.univae.train import nats
from stages.text.univae.write import Writer

CONFIG = Config(dim=24, layers=4, heads=3, hidden=40, places=9, positions="rope", dropout=0.0, segments=2, eps=1e-12)
LAWS = {
    "vmf": Posterior("vmf", 5, {"kappa": 20.0, "learned": 0}),
    "gauss": Posterior("gauss", 5, {}),
    "bn_full": Posterior("bn_full", 5, {"tau": 0.5}),
}
CLS, SEP, SIZE = 2, 3, 30


def made(law="vmf", scales=2, **more):
    torch.manual_seed(0)
    net = UniVAE(replace(CONFIG, **more), LAWS[law], scales, SIZE)
    for weight in net.parameters():
        if weight.requires_grad:
            weight.data += 0.2 * torch.randn_like(weight)
    return net.double().eval()


def sentences(*lengths, t=9):
    rows = torch.zeros(len(lengths), t, dtype=torch.long)
    chance = torch.Generator().manual_seed(1)
    for row, length in zip(rows, lengths, strict=True):
        row[0], row[length + 1] = CLS, SEP
        row[1 : length + 1] = torch.randint(4, SIZE, (length,), generator=chance)
    return rows


def test_masks_of_5_and_5_tokens():
    segments = torch.tensor([0] * 5 + [1] * 5)
    reader = ["1111100000"] * 5
    writer = ["0000010000", "0000011000", "0000011100", "0000011110", "0000011111"]
    assert independent(segments).tolist() == [[c == "1" for c in row] for row in reader + writer]
    seeing = reader + ["1" + row[1:] for row in writer]
    assert unified(segments).tolist() == [[c == "1" for c in row] for row in seeing]


@pytest.mark.parametrize("positions", POSITIONS)
def test_the_writer_knows_of_the_read_sentence_what_its_latents_say(positions, monkeypatch):
    """With latents held, another sentence to read leaves every logit; with its own latents it does not."""
    net, ids, other = made(positions=positions), sentences(5, 7), sentences(6, 3)
    embedded = net.body.embedded

    def another(rows, segments):
        return embedded(other if not segments.any() else rows, segments)

    free = net(ids).logits
    held = net.read(ids)
    monkeypatch.setattr(net, "drawn", lambda code, chance: held[:, next(scale)])
    scale = iter([0, 1])
    assert (net(ids).logits - free).abs().max() < 1e-6
    monkeypatch.setattr(net.body, "embedded", another)
    scale = iter([0, 1])
    assert (net(ids).logits - free).abs().max() < 1e-12
    monkeypatch.undo()
    monkeypatch.setattr(net.body, "embedded", another)
    assert (net(ids).logits - free).abs().max() > 1e-3


def test_the_writer_does_not_look_ahead():
    net, ids = made(), sentences(7)
    latents = net.read(ids)
    other = ids.clone()
    other[0, 5] = ids[0, 5] % 20 + 4
    net.drawn = lambda code, chance: latents[:, next(scale)]
    found = []
    for rows in (ids, other):
        scale = iter([0, 1])
        found.append(net(rows).logits)
    assert (found[0] - found[1])[:, :5].abs().max() < 1e-12
    assert (found[0] - found[1])[:, 5:].abs().max() > 1e-3


@pytest.mark.parametrize("positions", POSITIONS)
def test_padding_changes_no_code_and_no_probability(positions):
    net, ids = made(positions=positions, places=14), sentences(5, 7)
    longer = torch.cat([ids, torch.full((2, 5), PAD)], 1)
    assert (net.read(longer) - net.read(ids)).abs().max() < 1e-5
    assert (nats(net(longer).logits, longer) - nats(net(ids).logits, ids)).abs().max() < 1e-5


@pytest.mark.parametrize("law", LAWS)
def test_reading_alone_gives_the_latents_of_the_whole(law):
    net, ids = made(law).float(), sentences(5, 7, 0)
    codes = net(ids).codes
    assert (net.read(ids) - torch.stack([code.mode() for code in codes], 1)).abs().max() < 1e-5
    assert len(codes) == 2
    assert net.read(torch.zeros(2, 4, dtype=torch.long)).isfinite().all()  # nothing but [PAD]


@pytest.mark.parametrize("positions", POSITIONS)
@pytest.mark.parametrize("scales", [1, 3])
def test_cached_keys_give_what_masks_give(positions, scales):
    net, ids = made(positions=positions, scales=scales), sentences(6, 7)
    writer = Writer(net, 9, CLS, SEP)
    kept = writer.begin(net.read(ids))
    whole = net(ids).logits.log_softmax(-1)
    for place in range(8):
        off = writer.step(ids[:, place], place, kept) - whole[:, place]
        assert off[ids[:, place] != PAD].abs().max() < 1e-5


def scored(net, latents, row):
    """log p of a written row [t], by the cached step, up to its [SEP]."""
    writer = Writer(net, len(row), CLS, SEP)
    kept, total = writer.begin(latents[None]), 0.0
    for place in range(len(row) - 1):
        log_p = writer.step(row[place : place + 1], place, kept)[0]
        if place < len(row) - 2:  # the end at the last place is forced
            total += log_p[row[place + 1]].item()
        elif row[place + 1] == SEP:
            total += log_p[SEP].item()
        if row[place + 1] == SEP:
            break
    return total


@torch.no_grad()
def test_a_beam_finds_the_likeliest_sentence():
    """Of 3 tokens and the end there are few: all are tried."""
    net = made()
    net.head.bias.data[:] = -30.0
    net.head.bias.data[[SEP, 4, 5, 6]] = 0.0
    latents = net.read(sentences(5, 7))
    rows, scores = Writer(net, 5, CLS, SEP).beam(latents, 40)
    every = [start for size in range(4) for start in product((4, 5, 6), repeat=size)]
    for i in range(2):
        told = {}
        for start in every:
            row = torch.tensor([CLS, *start, SEP] + [PAD] * (3 - len(start)))
            told[tuple(row.tolist())] = scored(net, latents[i], row)
        best = max(told, key=told.get)
        assert tuple(rows[i, 0].tolist()) == best
        for row, score in zip(rows[i].tolist(), scores[i].tolist(), strict=True):
            assert score == pytest.approx(told[tuple(row)], abs=1e-9)
    greedy = Writer(net, 5, CLS, SEP)
    assert torch.equal(greedy.beam(latents, 1)[0][:, 0], greedy.sample(latents, 0.0))


@torch.no_grad()
def test_writing_by_chance_has_the_probabilities_of_the_model():
    net = made()
    latents = net.read(sentences(5)).expand(3000, -1, -1)
    chance = torch.Generator().manual_seed(0)
    writer = Writer(net, 9, CLS, SEP)
    for temperature in (0.7, 1.0, 1.5):
        rows = writer.sample(latents, temperature, chance)
        told = (writer.step(torch.tensor([CLS]), 0, writer.begin(latents[:1]))[0] / temperature).softmax(-1)
        counts = torch.bincount(rows[:, 1], minlength=SIZE) / 3000
        assert (counts - told).abs().max() < 0.04
        assert (rows[:, 0] == CLS).all()
        ends = (rows == SEP).int().argmax(1)
        assert (rows == SEP).any(1).all()  # each ends, and nothing follows
        assert all(not row[end + 1 :].any() for row, end in zip(rows[:50], ends[:50], strict=True))


def test_gradients_flow_to_the_reader_through_draws():
    net, ids = made().train(), sentences(5, 7)
    read = net(ids, torch.Generator().manual_seed(0))
    nats(read.logits, ids).sum().backward()
    assert all(part.weight.grad.abs().max() > 0 for part in net.into)


@pytest.mark.parametrize("scales", [0, 4])
def test_scales_that_do_not_fit_are_named(scales):
    with pytest.raises(Refusal, match="scales"):
        made(scales=scales)


def test_segments_are_needed():
    with pytest.raises(Refusal, match="segments"):
        made(segments=0)
