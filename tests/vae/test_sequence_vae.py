"""VAEs of sequences: laws that add up to one, ends, resuming, and the KL that vanishes and is cured."""

from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest
import torch
from repository import ROOT

from stages.core import params
from stages.core.errors import Refusal
from stages.core.systems import Inputs
from stages.corpora.sequences.topics import Topics, topics
from stages.nets import training
from stages.nets.sequences import load
from stages.vae import sequence_evaluate, sequences
from stages.vae.recurrent import DECODERS, ENCODERS, Reader
from stages.vae.sequence_evaluate import EvaluateSequences
from stages.vae.sequences import Sequencer, SequenceVae

SYSTEMS = params.load(ROOT / "params.yaml")["systems"]
ROWS = {
    key: params.typed(SequenceVae, row["train"], key) for key, row in SYSTEMS.items() if row["kind"] == "sequence_vae"
}
SMALL = {kind: Reader(kind, 8, 2, 2) for kind in ENCODERS}


def model(kind, symbols=2, length=3, key="sequence_plain"):
    how = replace(ROWS[key], encoder=SMALL[kind], decoder=SMALL[kind])
    return Sequencer(how, symbols, length, 0).eval()


@pytest.mark.parametrize("kind", DECODERS)
def test_the_law_of_all_sequences_adds_up_to_one(kind):
    """Symbols 1 and 2, three places, ended by 0: what comes after an end is not counted."""
    ended = [row for row in product(range(3), repeat=3) if all(b == 0 for a, b in pairwise(row) if a == 0)]
    whole = torch.tensor(ended, dtype=torch.int16)
    one = model(kind)
    z = one.head.prior(2, torch.Generator().manual_seed(0))[:, None].expand(2, len(whole), -1)
    with torch.no_grad():
        mass = one.log_prob(whole, z).exp().sum(1)
    assert mass.tolist() == pytest.approx([1, 1], abs=1e-5)


@pytest.mark.parametrize("kind", DECODERS)
def test_a_place_sees_those_before_it_and_the_code_everywhere(kind):
    one = model(kind, symbols=5, length=6)
    x = torch.randint(1, 6, (1, 6), generator=torch.Generator().manual_seed(1))
    for place in range(6):
        z = torch.zeros(1, one.head.latent, requires_grad=True)
        there = one.decoder.embedding.symbols(torch.cat([torch.full((1, 1), 6), x[:, :-1]], 1))
        there = there.detach().requires_grad_()
        one.decoder.embedding.symbols.forward = lambda _, there=there: there
        logits = one.decoder(x, z)[0, place].sum()
        seen, code = torch.autograd.grad(logits, [there, z])
        del one.decoder.embedding.symbols.forward
        assert (seen[0].abs().sum(-1) > 0).tolist() == [i <= place for i in range(6)]
        assert code.abs().sum() > 0


@pytest.mark.parametrize("kind", ENCODERS)
def test_an_encoder_does_not_see_what_stands_after_the_end(kind):
    one = model(kind, symbols=5, length=6)
    short, long = torch.tensor([[1, 2, 3]]), torch.tensor([[1, 2, 3, 0, 0, 0]])
    torch.testing.assert_close(one.encoder(short), one.encoder(long))
    assert not torch.allclose(one.encoder(short), one.encoder(torch.tensor([[1, 2, 4]])))


@pytest.mark.parametrize("kind", DECODERS)
def test_samples_have_the_law_that_the_model_says(kind):
    one, source = model(kind), torch.Generator().manual_seed(0)
    z = one.head.prior(1, source)
    drawn = one.sample(z.expand(40_000, -1), 1.0, source)
    rows, counts = np.unique(drawn.numpy(), axis=0, return_counts=True)
    with torch.no_grad():
        law = one.log_prob(torch.from_numpy(rows), z[:, None].expand(1, len(rows), -1))[0].exp()
    assert counts / counts.sum() == pytest.approx(law.numpy(), abs=0.012)
    best = one.sample(z, 0.0, source)
    assert drawn.tolist().count(best[0].tolist()) > 0


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "topics"
    topics(None, Topics(4, 6, 10, 2.0, 400, 100, 0), folder)
    return folder


@pytest.mark.parametrize("key", ROWS)
def test_a_row_trains_and_goes_on_to_the_same_bytes(made, tmp_path, monkeypatch, key):
    how = replace(ROWS[key], steps=6, batch=16, seeds=(0,), device="cpu", watch=replace(ROWS[key].watch, every=2))
    sequences.train(Inputs(input=made), how, tmp_path / "one")
    monkeypatch.setattr(training, "BETWEEN_CHECKPOINTS", 0.0)
    real, calls = Sequencer.log_prob, []

    def until(self, *given):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real(self, *given)

    monkeypatch.setattr(Sequencer, "log_prob", until)
    with pytest.raises(KeyboardInterrupt):
        sequences.train(Inputs(input=made, spool=tmp_path / "spool"), how, tmp_path / "two")
    monkeypatch.setattr(Sequencer, "log_prob", real)
    sequences.train(Inputs(input=made, spool=tmp_path / "spool"), how, tmp_path / "two")
    for name in ("seed_0.safetensors", "history.parquet", "model.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    asked = params.typed(EvaluateSequences, SYSTEMS[key]["evaluate"], key)
    found = sequence_evaluate.evaluate(tmp_path / "two", Inputs(truth=made), replace(asked, importance=4))
    assert found.metrics["nll"] <= found.metrics["minus_elbo"] + 4 * found.metrics["minus_elbo_error"]
    assert found.metrics["above_entropy"] > -1
    assert len(found.claims) == len(asked.targets)
    assert set(found.figures) == {"kl", "curves"}
    sorts = found.tables["sequences"]["sort"].to_pylist()
    assert {"sample", "reconstruction", "way"} == set(sorts)


def test_bad_params_are_refused_in_a_sentence(made, tmp_path):
    how = ROWS["sequence_plain"]
    for change, told in [
        ({"encoder": Reader("lstm", 8, 1, 1)}, "encoder.kind is 'lstm'"),
        ({"decoder": Reader("transformer", 9, 1, 2)}, "width 9 is no multiple of heads 2"),
        ({"decoder": Reader("gru", 0, 1, 2)}, "width and layers"),
    ]:
        with pytest.raises(Refusal, match=told):
            sequences.train(Inputs(input=made), replace(how, **change), tmp_path / "model")
    with pytest.raises(Refusal, match="needs an `input`"):
        sequences.train(Inputs(), how, tmp_path / "model")
    (tmp_path / "dataset.json").write_text("{}")
    with pytest.raises(Refusal, match="is no data set of sequences"):
        load(tmp_path)
