"""Encoders from folders: our own, and public BERT and RoFormer checkpoints by a table of names. Nothing is downloaded.

    ours      model.json, encoder.safetensors, head.safetensors, vocab.txt      what `masked_language_model` trains
    public    config.json, model.safetensors, vocab.txt                         as Hugging Face lays them out

Another layout is another table here. Old checkpoints say gamma and beta for weight and bias of norms; names may begin
with `bert.` or `roformer.`. The number: the forward pass of a checkpoint made at random is that of a formula written
with the public names, to 1e-5 (tests/text/test_bert_checkpoints.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from stages.core import files
from stages.core.errors import Refusal, one_line
from stages.core.params import typed
from stages.text.bert.model import Config, Encoder, MaskedHead
from stages.text.bert.vocabulary import Vocabulary

Net = TypeVar("Net", bound=nn.Module)

ENCODER = {
    "tokens": "embeddings.word_embeddings",
    "places": "embeddings.position_embeddings",
    "segments": "embeddings.token_type_embeddings",
    "norm": "embeddings.LayerNorm",
    "attention.query": "attention.self.query",
    "attention.key": "attention.self.key",
    "attention.value": "attention.self.value",
    "attention.out": "attention.output.dense",
    "norms.0": "attention.output.LayerNorm",
    "ffn.first": "intermediate.dense",
    "ffn.second": "output.dense",
    "norms.1": "output.LayerNorm",
}
"""Our names of modules to the public ones; `blocks.N.` of ours is `encoder.layer.N.` there."""

HEAD = {
    "dense": "cls.predictions.transform.dense",
    "norm": "cls.predictions.transform.LayerNorm",
    "bias": "cls.predictions.bias",  # itself a tensor
}

PREFIXES = ("bert.", "roformer.")
UNUSED = ("pooler.", "cls.", "embeddings.position_ids", "encoder.embed_positions.")
"""Beginnings of public names that an encoder does without; RoFormer's embed_positions are a formula."""

CONFIG = {
    "dim": "hidden_size",
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "hidden": "intermediate_size",
    "places": "max_position_embeddings",
    "dropout": "hidden_dropout_prob",
    "segments": "type_vocab_size",
    "eps": "layer_norm_eps",
}
"""Our names of settings to those of a config.json."""

DEFAULTS = {"hidden_dropout_prob": 0.1, "type_vocab_size": 2, "layer_norm_eps": 1e-12}


def load(folder: Path, device: torch.device | str = "cpu") -> tuple[Encoder, Vocabulary]:
    """The encoder in `folder`, in evaluation mode, and its vocabulary.

    Raises `Refusal` for a folder, a setting or a tensor that is missing, not known or of another shape.
    """
    vocabulary = _vocabulary(folder)
    encoder = Encoder(_config(folder), len(vocabulary))
    held = _tensors(folder, "encoder")
    if _public(folder):
        held = {name: weight for name, weight in held.items() if not name.startswith(UNUSED)}
    return _filled(encoder, held, {name: public(name) for name in encoder.state_dict()}, folder, device), vocabulary


def load_head(folder: Path, device: torch.device | str = "cpu") -> MaskedHead:
    """The head that guesses masked tokens of the encoder in `folder`; errors as in `load`."""
    head = MaskedHead(_config(folder), len(_vocabulary(folder)))
    held = _tensors(folder, "head")
    if _public(folder):
        tied = ("cls.predictions.decoder.", "cls.seq_relationship.")
        held = {name: w for name, w in held.items() if name.startswith("cls.") and not name.startswith(tied)}
    return _filled(head, held, {name: _renamed(name, HEAD) for name in head.state_dict()}, folder, device)


def public(name: str) -> str:
    """The public name of a tensor of `Encoder`: blocks.3.ffn.first.bias is encoder.layer.3.intermediate.dense.bias."""
    if not name.startswith("blocks."):
        return _renamed(name, ENCODER)
    _, layer, rest = name.split(".", 2)
    return f"encoder.layer.{layer}.{_renamed(rest, ENCODER)}"


def _renamed(name: str, table: dict[str, str]) -> str:
    if name in table:
        return table[name]
    module, kind = name.rsplit(".", 1)
    return f"{table[module]}.{kind}"


def _public(folder: Path) -> bool:
    return not (folder / "model.json").exists()


def _config(folder: Path) -> Config:
    if not _public(folder):
        return typed(Config, files.read_json(folder / "model.json")["params"]["encoder"], str(folder / "model.json"))
    path = folder / "config.json"
    told: dict[str, Any] = DEFAULTS | files.read_json(path)
    missing = [name for name in CONFIG.values() if name not in told]
    if missing:
        raise Refusal(f"{path} has no '{missing[0]}': is it the configuration of a BERT?")
    rope = told.get("model_type", "bert") == "roformer"
    wanted = {"hidden_act": "gelu", "rotary_value": False, "position_embedding_type": "absolute",
              "embedding_size": told["hidden_size"]}  # fmt: skip
    for name, value in wanted.items():
        if told.get(name, value) != value:
            raise Refusal(f"{path} has {name} {told[name]}, but only {value} is known here: take another checkpoint")
    found = {name: told[theirs] for name, theirs in CONFIG.items()}
    return typed(Config, found | {"positions": "rope" if rope else "absolute"}, str(path))


def _vocabulary(folder: Path) -> Vocabulary:
    told = folder / "tokenizer_config.json"
    lower = files.read_json(told).get("do_lower_case", True) if told.exists() else True
    return Vocabulary.read(folder / "vocab.txt", lower)


def _tensors(folder: Path, ours: str) -> dict[str, torch.Tensor]:
    """The tensors of `folder`, public ones under modern names without a prefix."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = folder / ("model.safetensors" if _public(folder) else f"{ours}.safetensors")
    try:
        held = load_file(path)
    except (OSError, SafetensorError) as error:
        raise Refusal(f"{path} is no readable safetensors file: {one_line(error)}") from error
    if not _public(folder):
        return held
    modern = {}
    for name, weight in held.items():
        for prefix in PREFIXES:
            name = name.removeprefix(prefix)
        modern[name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")] = weight
    return modern


def _filled(
    net: Net, held: dict[str, torch.Tensor], names: dict[str, str], folder: Path, device: torch.device | str
) -> Net:
    """`net` with the tensors `held`, whose names are `names` of ours where the folder is public."""
    names = names if _public(folder) else {name: name for name in names}
    missing, extra = sorted(set(names.values()) - set(held)), sorted(set(held) - set(names.values()))
    if missing or extra:
        told = [f"{len(missing)} tensors are missing, {missing[0]} first"] if missing else []
        told += [f"{len(extra)} are not known, {extra[0]} first"] if extra else []
        raise Refusal(f"{folder} holds no such {type(net).__name__.lower()}: {' and '.join(told)}")
    weights = {name: held[theirs] for name, theirs in names.items()}
    for name, weight in net.state_dict().items():
        if weight.shape != weights[name].shape:
            has, needs = list(weights[name].shape), list(weight.shape)
            raise Refusal(f"{folder} has {names[name]} of shape {has}, but its settings and vocab.txt ask for {needs}")
    net.load_state_dict(weights)
    return net.to(device).eval()
