"""Makes the training set: sprites, scenes, sentences, and as much of the text encoder as they need.

Everything that chance decides is decided here, on a CPU with a network; what the training machine
gets is three files of some 40 MB, and it needs nothing else.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoTokenizer, BertModel

from chopmark.generation.embedded import text_encoder_folder
from training.generation.canvas import row_of
from training.generation.data import render_all
from training.generation.edits import KINDS, Kind, sample_example
from training.generation.klein import PROMPT_LENGTH, TEXT_LAYERS
from training.generation.wide.prepare import add_drawings
from training.generation.wide.scenes import sample_wide

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from torch import Tensor

    from training.generation.wide.scenes import WideScene

#: The prompts of the grid in the model card, which is also drawn on the way.
PROMPTS: Final = (
    "a red apple",
    "a cat",
    "a puppy",
    "a fox on a green background",
    "a banana",
    "a slice of pizza",
    "a rocket",
    "a whale on a light blue background",
    "a car",
    "a castle on a pink background",
    "a guitar",
    "a hamburger",
    "a lion, flat icon",
    "a cartoon of an owl",
    "an octopus on a blue background",
    "a flat icon of a cactus on a yellow background",
    "a blue elephant",
    "a pink dinosaur, cartoon",
    "a cup of coffee on a brown background",
    "a robot on an orange background",
    "two apples",
    "three stars on a blue background",
    "a cat and a dog",
    "a small ghost on the left on a black background",
)
#: How often each kind is drawn.
SHARES: Final[dict[Kind, float]] = {
    "picture": 0.76, "ground": 0.05, "paint": 0.04, "style": 0.03, "swap": 0.04, "add": 0.04,
    "combine": 0.04,
}  # fmt: skip
#: Pictures with further things in a wide training set.
WIDE: Final = 150_000
SPRITES: Final = "sprites.zip"
EXAMPLES: Final = "examples.npz"
TEXT: Final = "text.safetensors"
_LAYERS: Final = max(TEXT_LAYERS)


def prepare(
    folder: Path,
    cache: Path,
    *,
    clipart: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write ``sprites.zip``, ``examples.npz`` and ``text.safetensors`` to ``folder``.

    Args:
        folder: made if need be.
        cache: folder for npm tarballs.
        clipart: folder with openclipart-svg's drawings: further things, grounds, relations and
            words besides the 400 things.
        progress: called while sprites are rendered.

    Raises:
        TrainingDataError: drawings cannot be had.
    """
    folder.mkdir(parents=True, exist_ok=True)
    render_all(cache, folder / SPRITES, progress=progress)
    if clipart is None:
        write_examples(folder)
        return
    add_drawings(cache, clipart, folder / SPRITES, progress=progress)
    rng = random.Random(1)
    write_examples(folder, further=(sample_wide(rng, sentences=3) for _ in range(WIDE)))


def write_examples(
    folder: Path,
    *,
    examples: int = 110_000,
    sentences: int = 3,
    further: Iterable[WideScene] = (),
    seed: int = 0,
) -> None:
    """Write ``examples.npz`` and the ``text.safetensors`` that belongs to it.

    Args:
        folder: must be there.
        examples: how many pictures and edits.
        sentences: how many for each of them.
        further: pictures besides, of what the vocabulary does not have.
        seed: of everything drawn.
    """
    rng = random.Random(seed)
    scenes: list[tuple[int, ...]] = []
    table: list[tuple[int, int, int, int]] = []
    words: list[str] = []
    for kind, share in SHARES.items():
        for _ in range(max(4, round(examples * share))):
            example = sample_example(rng, kind, sentences=sentences)
            drawn = [example.target, *example.references]
            first, second = (len(scenes) + 1 if len(drawn) > 1 else -1), -1
            if len(drawn) > 2:
                second = first + 1
            table.append((KINDS.index(kind), len(scenes), first, second))
            scenes += [row_of(scene) for scene in drawn]
            words += example.words
    for scene in further:
        table.append((KINDS.index("picture"), len(scenes), -1, -1))
        scenes.append(scene.row)
        words += scene.words
    tokens, known = tokenize([*PROMPTS, *words])
    np.savez_compressed(
        folder / EXAMPLES,
        scenes=np.asarray(scenes, np.int16),
        examples=np.asarray(table, np.int32),
        tokens=np.asarray([number for row in tokens for number in row], np.uint16),
        lengths=np.asarray([len(row) for row in tokens], np.uint8),
        sentences=np.asarray(sentences),
    )
    save_file(text_part(known), folder / TEXT)


def tokenize(words: list[str]) -> tuple[list[list[int]], list[int]]:
    """Return each sentence as numbers of the pieces in use, and which pieces those are.

    Piece 0 is the padding; the sentence of no words comes first of all.
    """
    tokenizer = AutoTokenizer.from_pretrained(text_encoder_folder(), model_max_length=PROMPT_LENGTH)
    encoded = tokenizer(["", *words], truncation=True, max_length=PROMPT_LENGTH)["input_ids"]
    known = [tokenizer.pad_token_id]
    place = {known[0]: 0}
    for row in encoded:
        for piece in row:
            if piece not in place:
                place[piece] = len(known)
                known.append(piece)
    return [[place[piece] for piece in row] for row in encoded], known


def text_part(known: list[int]) -> dict[str, Tensor]:
    """Return the text encoder's weights as far as training needs them, in half precision."""
    weights = load_file(text_encoder_folder() / "model.safetensors")
    kept = {}
    for full_name, tensor in weights.items():
        name = full_name.removeprefix("bert.")
        layer = name.split(".")[2] if name.startswith("encoder.layer.") else "0"
        if name.startswith("pooler") or int(layer) >= _LAYERS or "position_ids" in name:
            continue
        rows = tensor[known] if name == "embeddings.word_embeddings.weight" else tensor
        kept[name] = rows.half().contiguous()
    return kept


@dataclass(frozen=True)
class Examples:
    """The training set in memory.

    Attributes:
        scenes: (scenes, 5), rows for :class:`.canvas.Canvas`.
        kinds: (n,), places in :data:`.edits.KINDS`.
        target: (n,), rows of ``scenes``.
        references: (n, 2), rows of ``scenes``, -1 where there is none.
        tokens: (n, sentences, PROMPT_LENGTH), padded with 0.
        prompts: (len(PROMPTS), PROMPT_LENGTH), to look at on the way.
        silence: (PROMPT_LENGTH,), the sentence of no words.
    """

    scenes: Tensor
    kinds: Tensor
    target: Tensor
    references: Tensor
    tokens: Tensor
    prompts: Tensor
    silence: Tensor

    def first(self, count: int | None) -> Examples:
        """Return ``count`` examples drawn evenly from all kinds, with the scenes they need."""
        if count is None or count >= len(self.kinds):
            return self
        rows = torch.linspace(0, len(self.kinds) - 1, count).long()
        used = torch.cat([self.target[rows, None], self.references[rows]], dim=1)
        numbers, places = torch.unique(used, return_inverse=True)
        # Row -1, for no reference, comes first where there is any.
        gone = int(numbers[0] < 0)
        return Examples(
            scenes=self.scenes[numbers[gone:]],
            kinds=self.kinds[rows],
            target=places[:, 0] - gone,
            references=places[:, 1:] - gone,
            tokens=self.tokens[rows],
            prompts=self.prompts,
            silence=self.silence,
        )

    def to(self, device: str) -> Examples:
        """Return the same on a device."""
        return Examples(**{name: value.to(device) for name, value in vars(self).items()})


def load_examples(folder: Path) -> Examples:
    """Read what :func:`prepare` wrote."""
    with np.load(folder / EXAMPLES) as file:
        lengths = torch.from_numpy(file["lengths"].astype(np.int64))
        flat = torch.from_numpy(file["tokens"].astype(np.int64))
        table = torch.from_numpy(file["examples"].astype(np.int64))
        scenes = torch.from_numpy(file["scenes"].astype(np.int64))
        sentences = int(file["sentences"])
    tokens = torch.zeros(len(lengths), PROMPT_LENGTH, dtype=torch.long)
    tokens[torch.arange(PROMPT_LENGTH)[None] < lengths[:, None]] = flat
    return Examples(
        scenes=scenes,
        kinds=table[:, 0],
        target=table[:, 1],
        references=table[:, 2:],
        tokens=tokens[1 + len(PROMPTS) :].view(len(table), sentences, PROMPT_LENGTH),
        prompts=tokens[1 : 1 + len(PROMPTS)],
        silence=tokens[0],
    )


class TextEncoder:
    """The text encoder as far as training needs it; says what the stock pipeline would say.

    Args:
        folder: holds ``text.safetensors``.
        device: torch device.
    """

    def __init__(self, folder: Path, *, device: str = "cpu") -> None:
        weights = load_file(folder / TEXT)
        config = AutoConfig.for_model(
            "bert",
            vocab_size=len(weights["embeddings.word_embeddings.weight"]),
            hidden_size=384,
            num_hidden_layers=_LAYERS,
            num_attention_heads=12,
            intermediate_size=1536,
        )
        model = BertModel(config, add_pooling_layer=False)
        model.load_state_dict({name: value.float() for name, value in weights.items()})
        self._model = model.to(device).eval().requires_grad_(requires_grad=False)

    @torch.no_grad()
    def __call__(self, tokens: Tensor) -> Tensor:
        """Return (n, PROMPT_LENGTH, width) for token numbers (n, PROMPT_LENGTH)."""
        said = self._model(
            input_ids=tokens, attention_mask=(tokens > 0).long(), output_hidden_states=True
        )
        return torch.cat([said.hidden_states[layer] for layer in TEXT_LAYERS], dim=-1)
