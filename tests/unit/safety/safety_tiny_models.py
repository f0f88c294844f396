"""Models of a few thousand random numbers with the interfaces of real guards, for their loaders.

They know nothing; what is tested is that the whole path from folder to verdict runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from tokenizers import Tokenizer, models, pre_tokenizers

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import PreTrainedTokenizerFast

CHAT = (
    "{% for message in messages %}<user> {{ message['content'] }}{% endfor %}"
    "{% if guardian_config %} {{ guardian_config['risk_name'] }}{% endif %} <assistant>"
)
GEMMA_CHAT = (
    "{{ bos_token }}{% for message in messages %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<boi>{% else %} {{ part['text'] }}{% endif %}"
    "{% endfor %}{% endfor %} <assistant>"
)
WORDS = (
    "<pad> <unk> <s> </s> <user> <assistant> <boi> <eoi> <image> Yes No safe unsafe a red apple"
).split()


def tokenizer(chat: str | None = CHAT, **extra: str) -> PreTrainedTokenizerFast:
    from transformers import PreTrainedTokenizerFast

    plain = Tokenizer(models.WordLevel({word: at for at, word in enumerate(WORDS)}, "<unk>"))
    plain.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made = PreTrainedTokenizerFast(
        tokenizer_object=plain,
        pad_token="<pad>",
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        **extra,
    )
    if chat is not None:
        made.chat_template = chat
    return made


def text_guard(folder: Path, *, chat: str | None = CHAT) -> Path:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        eos_token_id=3,
        bos_token_id=2,
        pad_token_id=0,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer(chat).save_pretrained(folder)
    return folder


def classifier(folder: Path, labels: tuple[str, ...] = ("normal", "nsfw")) -> Path:
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    torch.manual_seed(2)
    config = ViTConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=32,
        patch_size=8,
        id2label=dict(enumerate(labels)),
        label2id={label: at for at, label in enumerate(labels)},
    )
    ViTForImageClassification(config).save_pretrained(folder)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def clip(folder: Path) -> Path:
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor

    torch.manual_seed(3)
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    config = CLIPConfig(
        text_config={
            **small,
            "num_attention_heads": 2,
            "vocab_size": len(WORDS),
            "max_position_embeddings": 77,
            "eos_token_id": 3,
            "bos_token_id": 2,
            "pad_token_id": 0,
        },
        vision_config={**small, "num_attention_heads": 2, "image_size": 32, "patch_size": 8},
        projection_dim=8,
    )
    CLIPModel(config).save_pretrained(folder)
    pictures = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    CLIPProcessor(image_processor=pictures, tokenizer=tokenizer(None)).save_pretrained(folder)
    return folder


def shieldgemma2(folder: Path) -> Path:
    from transformers import (
        Gemma3ImageProcessor,
        ShieldGemma2Config,
        ShieldGemma2ForImageClassification,
        ShieldGemma2Processor,
    )

    torch.manual_seed(4)
    config = ShieldGemma2Config(
        text_config={
            "model_type": "gemma3_text",
            "vocab_size": len(WORDS),
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "head_dim": 8,
            "pad_token_id": 0,
            "eos_token_id": 3,
            "bos_token_id": 2,
        },
        vision_config={
            "model_type": "siglip_vision_model",
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "image_size": 32,
            "patch_size": 8,
        },
        mm_tokens_per_image=4,
        boi_token_index=WORDS.index("<boi>"),
        eoi_token_index=WORDS.index("<eoi>"),
        image_token_index=WORDS.index("<image>"),
    )
    config.yes_token_index, config.no_token_index = WORDS.index("Yes"), WORDS.index("No")
    ShieldGemma2ForImageClassification(config).save_pretrained(folder)
    words = tokenizer(
        GEMMA_CHAT,
        extra_special_tokens={  # type: ignore[arg-type]
            "boi_token": "<boi>",
            "eoi_token": "<eoi>",
            "image_token": "<image>",
        },
    )
    ShieldGemma2Processor(
        image_processor=Gemma3ImageProcessor(size={"height": 32, "width": 32}),
        tokenizer=words,
        chat_template=GEMMA_CHAT,
        image_seq_length=4,
    ).save_pretrained(folder)
    return folder
