"""Public layouts made at random: their forward pass by a formula in the public names, and what is wrong, named."""

import json

import pytest
import torch
from safetensors.torch import save_file
from torch.nn.functional import gelu, layer_norm

from stages.core.errors import Refusal
from stages.text.bert import checkpoints
from stages.text.bert.model import Config, Encoder, MaskedHead
from stages.text.bert.vocabulary import SPECIAL, UNUSED, Vocabulary

DIM, HEADS, HIDDEN, LAYERS, PLACES = 12, 3, 20, 2, 9
TOKENS = [*SPECIAL, *UNUSED, *"天地玄黄宇宙"]
IDS = torch.tensor([[2, 9, 10, 11, 3], [2, 12, 3, 0, 0]])


def shapes(kind):
    found = {
        "embeddings.word_embeddings.weight": (len(TOKENS), DIM),
        "embeddings.token_type_embeddings.weight": (2, DIM),
    }
    if kind == "bert":
        found["embeddings.position_embeddings.weight"] = (PLACES, DIM)
    else:
        found["encoder.embed_positions.weight"] = (PLACES, DIM // HEADS)
    linear = {
        "attention.self.query": (DIM, DIM),
        "attention.self.key": (DIM, DIM),
        "attention.self.value": (DIM, DIM),
        "attention.output.dense": (DIM, DIM),
        "intermediate.dense": (HIDDEN, DIM),
        "output.dense": (DIM, HIDDEN),
    }
    norms = ["embeddings.LayerNorm"]
    for i in range(LAYERS):
        for name, shape in linear.items():
            found[f"encoder.layer.{i}.{name}.weight"], found[f"encoder.layer.{i}.{name}.bias"] = shape, shape[:1]
        norms += [f"encoder.layer.{i}.attention.output.LayerNorm", f"encoder.layer.{i}.output.LayerNorm"]
    for name in norms:
        found[f"{name}.weight"] = found[f"{name}.bias"] = (DIM,)
    found["pooler.dense.weight"], found["pooler.dense.bias"] = (DIM, DIM), (DIM,)
    return found


HEAD = {
    "cls.predictions.transform.dense.weight": (DIM, DIM),
    "cls.predictions.transform.dense.bias": (DIM,),
    "cls.predictions.transform.LayerNorm.weight": (DIM,),
    "cls.predictions.transform.LayerNorm.bias": (DIM,),
    "cls.predictions.bias": (len(TOKENS),),
}


def tensors(kind):
    chance = torch.Generator().manual_seed(0)
    return {name: torch.randn(shape, generator=chance) for name, shape in sorted((shapes(kind) | HEAD).items())}


def written(folder, held, kind, prefix="", old=False, **more):
    """A folder as Hugging Face lays it out."""
    folder.mkdir()
    renamed = {}
    for name, weight in held.items():
        if old:
            name = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
        renamed[name if name.startswith("cls.") else prefix + name] = weight.contiguous()
    if held.get("cls.predictions.bias") is not None:  # tied copies, and what is not used
        renamed["cls.predictions.decoder.weight"] = held["embeddings.word_embeddings.weight"].clone()
        renamed["cls.predictions.decoder.bias"] = held["cls.predictions.bias"].clone()
        renamed["cls.seq_relationship.weight"] = torch.zeros(2, DIM)
    if kind == "bert":
        renamed[f"{prefix}embeddings.position_ids"] = torch.arange(PLACES)[None]
    save_file(renamed, folder / "model.safetensors")
    told = {
        "model_type": kind,
        "hidden_size": DIM,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "intermediate_size": HIDDEN,
        "max_position_embeddings": PLACES,
        "type_vocab_size": 2,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "layer_norm_eps": 1e-12,
        "vocab_size": len(TOKENS),
    }
    (folder / "config.json").write_text(json.dumps(told | more))
    Vocabulary(TOKENS).write(folder / "vocab.txt")
    return folder


def formula(w, ids, kind):
    """BERT and RoFormer by their equations, in float64 and in the public names."""
    w = {name: weight.double() for name, weight in w.items()}

    def linear(name, x):
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def norm(name, x):
        return layer_norm(x, (DIM,), w[f"{name}.weight"], w[f"{name}.bias"], 1e-12)

    t, size = ids.shape[1], DIM // HEADS
    x = w["embeddings.word_embeddings.weight"][ids] + w["embeddings.token_type_embeddings.weight"][0]
    if kind == "bert":
        x = x + w["embeddings.position_embeddings.weight"][:t]
    x = norm("embeddings.LayerNorm", x)
    angle = torch.arange(t)[:, None] * 10000.0 ** (-2 * torch.arange(size // 2).double() / size)
    for i in range(LAYERS):
        layer, heard = f"encoder.layer.{i}", []
        for h in range(HEADS):
            q, k, v = (
                linear(f"{layer}.attention.self.{m}", x)[..., size * h : size * (h + 1)]
                for m in ("query", "key", "value")
            )
            if kind == "roformer":
                sin, cos = (f(angle).repeat_interleave(2, -1) for f in (torch.sin, torch.cos))
                q, k = (y * cos + torch.stack([-y[..., 1::2], y[..., ::2]], -1).flatten(-2) * sin for y in (q, k))
            scores = q @ k.transpose(1, 2) / size**0.5
            heard.append(scores.masked_fill((ids == 0)[:, None], -torch.inf).softmax(-1) @ v)
        x = norm(
            f"{layer}.attention.output.LayerNorm", x + linear(f"{layer}.attention.output.dense", torch.cat(heard, -1))
        )
        inner = gelu(linear(f"{layer}.intermediate.dense", x))
        x = norm(f"{layer}.output.LayerNorm", x + linear(f"{layer}.output.dense", inner))
    told = norm("cls.predictions.transform.LayerNorm", gelu(linear("cls.predictions.transform.dense", x)))
    return x, told @ w["embeddings.word_embeddings.weight"].T + w["cls.predictions.bias"]


@pytest.mark.parametrize(
    ("kind", "prefix"), [("bert", "bert."), ("bert", ""), ("roformer", "roformer."), ("roformer", "")]
)
@pytest.mark.parametrize("old", [False, True])
def test_a_public_checkpoint_computes_what_its_formula_does(kind, prefix, old, tmp_path):
    held = tensors(kind)
    folder = written(tmp_path / "public", held, kind, prefix, old)
    encoder, vocabulary = checkpoints.load(folder)
    head = checkpoints.load_head(folder)
    x, logits = formula(held, IDS, kind)
    there = IDS != 0
    assert not encoder.training
    assert vocabulary.encode("天").ids == [9]
    found = encoder(IDS)
    assert (found - x)[there].abs().max() < 1e-5
    assert (head(found, encoder.tokens.weight) - logits)[there].abs().max() < 1e-4


def test_half_precision_becomes_whole(tmp_path):
    held = {name: weight.half() for name, weight in tensors("bert").items()}
    encoder, _ = checkpoints.load(written(tmp_path / "public", held, "bert", "bert."))
    assert {weight.dtype for weight in encoder.parameters()} == {torch.float32}


def test_our_own_comes_back(tmp_path):
    config = Config(DIM, LAYERS, HEADS, HIDDEN, PLACES, "rope", 0.1, 0, 1e-6)
    torch.manual_seed(0)
    encoder, head = Encoder(config, len(TOKENS)).eval(), MaskedHead(config, len(TOKENS))
    save_file(encoder.state_dict(), tmp_path / "encoder.safetensors")
    save_file(head.state_dict(), tmp_path / "head.safetensors")
    Vocabulary(TOKENS).write(tmp_path / "vocab.txt")
    (tmp_path / "model.json").write_text(json.dumps({"params": {"encoder": vars(config)}}))
    again, vocabulary = checkpoints.load(tmp_path)
    assert vocabulary.tokens == TOKENS
    assert torch.equal(again(IDS), encoder(IDS))
    assert torch.equal(checkpoints.load_head(tmp_path).dense.weight, head.dense.weight)


@pytest.mark.parametrize(
    ("change", "more", "says"),
    [
        (
            {"encoder.layer.1.output.dense.bias": None},
            {},
            "1 tensors are missing, encoder.layer.1.output.dense.bias first",
        ),
        ({"encoder.layer.2.output.dense.bias": (DIM,)}, {}, "1 are not known, encoder.layer.2.output.dense.bias first"),
        ({"encoder.layer.1.output.dense.bias": (5,)}, {}, r"output.dense.bias of shape \[5\], but .* ask for \[12\]"),
        ({"embeddings.word_embeddings.weight": (40, DIM)}, {}, r"word_embeddings.weight of shape \[40, 12\]"),
        ({}, {"hidden_act": "relu"}, "has hidden_act relu, but only gelu"),
        ({}, {"embedding_size": 6}, "has embedding_size 6"),
        ({}, {"num_hidden_layers": "two"}, "layers"),
        ({}, {"num_attention_heads": 5}, "no multiple"),
    ],
)
def test_what_does_not_fit_is_named_in_one_sentence(change, more, says, tmp_path):
    held = tensors("bert")
    for name, shape in change.items():
        held.pop(name, None)
        if shape:
            held[name] = torch.zeros(shape)
    with pytest.raises(Refusal, match=says) as told:
        checkpoints.load(written(tmp_path / "public", held, "bert", **more))
    assert "\n" not in str(told.value)


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(Refusal, match=r"vocab.txt is missing"):
        checkpoints.load(tmp_path)
    folder = written(tmp_path / "public", tensors("bert"), "bert")
    (folder / "model.safetensors").write_bytes(b"pickled")
    with pytest.raises(Refusal, match="no readable safetensors"):
        checkpoints.load(folder)
    (folder / "config.json").write_text("{}")
    with pytest.raises(Refusal, match="has no 'hidden_size'"):
        checkpoints.load(folder)
    bare = {name: weight for name, weight in tensors("bert").items() if not name.startswith("cls.")}
    bare = written(tmp_path / "bare", bare, "bert")
    checkpoints.load(bare)
    with pytest.raises(Refusal, match="maskedhead: 5 tensors are missing"):
        checkpoints.load_head(bare)
