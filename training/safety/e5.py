"""multilingual-e5-small as a torch model, with the layers of the package's file to start from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from chopmark.safety.text.e5_file import WIDTH, E5File

if TYPE_CHECKING:
    from transformers import BertModel

__all__ = ["LAYERS", "batch_of", "layers_of", "open_model"]

LAYERS: Final[int] = 12
_HEADS: Final[int] = 12
_WIDE: Final[int] = 1536
_PLACES: Final[int] = 512
#: Matrices of a layer: their name in the file, in BERT, and their rows.
_MATRICES: Final = (
    ("q", "attention.self.query", WIDTH),
    ("k", "attention.self.key", WIDTH),
    ("v", "attention.self.value", WIDTH),
    ("ao", "attention.output.dense", WIDTH),
    ("fi", "intermediate.dense", _WIDE),
    ("fo", "output.dense", WIDTH),
)
_NORMS: Final = (("aln", "attention.output.LayerNorm"), ("oln", "output.LayerNorm"))


def layers_of(file: E5File) -> dict[str, np.ndarray[Any, Any]]:
    """Return everything but the word vectors, by the names that BERT gives it."""
    places = file.plain("emb.pos").reshape(_PLACES, WIDTH)
    made = {
        "embeddings.position_embeddings.weight": places,
        "embeddings.token_type_embeddings.weight": file.plain("emb.type").reshape(-1, WIDTH),
        "embeddings.LayerNorm.weight": file.plain("emb.ln.w"),
        "embeddings.LayerNorm.bias": file.plain("emb.ln.b"),
    }
    for at in range(LAYERS):
        for short, name, rows in _MATRICES:
            made[f"encoder.layer.{at}.{name}.weight"] = file.matrix(f"l{at}.{short}.w", rows)
            made[f"encoder.layer.{at}.{name}.bias"] = file.plain(f"l{at}.{short}.b")
        for short, name in _NORMS:
            made[f"encoder.layer.{at}.{name}.weight"] = file.plain(f"l{at}.{short}.w")
            made[f"encoder.layer.{at}.{name}.bias"] = file.plain(f"l{at}.{short}.b")
    return made


def open_model(file: E5File) -> BertModel:
    """Return the model without its word vectors: it is given them as ``inputs_embeds``."""
    import torch
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=1,
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=_HEADS,
        intermediate_size=_WIDE,
        max_position_embeddings=_PLACES,
        type_vocab_size=len(file.tensors["emb.type"]) // (4 * WIDTH),
        layer_norm_eps=1e-12,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    model = BertModel(config, add_pooling_layer=False)
    state = {name: torch.from_numpy(value) for name, value in layers_of(file).items()}
    missing, extra = model.load_state_dict(state, strict=False)
    if extra or set(missing) - {"embeddings.word_embeddings.weight"}:
        raise ValueError(f"layers that do not fit: {missing} {extra}")
    return model


def batch_of(file: E5File, ids: list[tuple[int, ...]]) -> tuple[Any, Any]:
    """Return the word vectors (n, longest, 384) of framed texts, and which of them are there."""
    import torch

    longest = max(map(len, ids))
    tokens = np.full((len(ids), longest), 1, np.int64)
    there = np.zeros((len(ids), longest), np.float32)
    for row, one in enumerate(ids):
        tokens[row, : len(one)] = one
        there[row, : len(one)] = 1
    return torch.from_numpy(file.vectors(tokens)), torch.from_numpy(there)
