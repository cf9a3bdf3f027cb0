"""What the tensors of a model's state are: layers from a space to a space, by patterns of their names.

Another model's names are another table here. Names are those of modules; `weight` and `bias` follow of themselves.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Layer:
    """y = W x + b from the space `into` to the space `out`, None where an axis is not enlarged; see width.py."""

    out: str | None
    into: str | None = None  # none for norms, which have vectors only, and for embeddings
    transposed: bool = False  # weight [into, out]: embeddings, and GPT-2's
    tied: bool = False  # to embeddings, so that copies stay equal whatever the noise


TABLE = Layer("stream", transposed=True)
NORM = Layer("stream")
FIRST, SECOND = Layer("hidden", "stream"), Layer("stream", "gated")

OURS = {
    "tokens": TABLE,
    "places": TABLE,
    "*norms.?": NORM,
    "norm": NORM,
    "*.query": Layer("query", "stream"),
    "*.key": Layer("key", "stream"),
    "*.value": Layer("value", "stream"),
    "*.out": Layer("stream", "heard"),
    "*.first": FIRST,
    "*.gate": Layer("gate", "stream"),
    "*.second": SECOND,
    "head": Layer(None, "stream"),
    "bias": Layer(None),
    "frequencies": Layer("frequencies"),
    "slopes": Layer("slopes"),
}
"""Of `stages/nets/transformer.py`."""

TORCH = {
    "*self_attn": Layer("query+key+value", "stream"),  # in_proj_weight, in_proj_bias
    "*self_attn.out_proj": Layer("stream", "heard"),
    "*linear1": FIRST,
    "*linear2": SECOND,
    "*norm*": NORM,
}
"""Of `torch.nn.TransformerEncoder`; the eps of its norms is to be divided by k."""

GPT2 = {
    "*wte": TABLE,
    "*wpe": TABLE,
    "*ln_?": NORM,
    "*attn.c_attn": Layer("query+key+value", "stream", transposed=True),
    "*attn.c_proj": Layer("stream", "heard", transposed=True),
    "*mlp.c_fc": Layer("hidden", "stream", transposed=True),
    "*mlp.c_proj": Layer("stream", "gated", transposed=True),
    "lm_head": Layer(None, "stream", tied=True),
}
"""Of GPT-2 as Hugging Face names it; its layer_norm_epsilon is to be divided by k."""

BERT = {
    "*_embeddings": TABLE,
    "*.LayerNorm": NORM,
    "*self.query": Layer("query", "stream"),
    "*self.key": Layer("key", "stream"),
    "*self.value": Layer("value", "stream"),
    "*attention.output.dense": Layer("stream", "heard"),
    "*intermediate.dense": FIRST,
    "*.pooler.dense": Layer("pooled", "stream"),
    "cls.predictions.transform.dense": Layer("pooled", "stream"),
    "*output.dense": SECOND,
    "cls.predictions.decoder": Layer(None, "stream", tied=True),
    "cls.predictions": Layer(None),  # its bias
    "cls.seq_relationship": Layer(None, "pooled"),
}
"""Of BERT as Hugging Face names it. The norms of its layers need eps / k, that of the head its own: at BERT's 1e-12 all
the same."""
