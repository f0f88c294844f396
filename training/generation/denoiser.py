"""What the denoiser of the embedded model learns from, and its loss.

Noising is a straight line between latents and noise and the model predicts its direction (rectified
flow, Liu et al. 2022, arXiv:2209.03003). At the end classifier-free guidance is baked in: the
student learns to say at once what the teacher says guided (Meng et al. 2023, arXiv:2210.03142), so
that a step costs one pass instead of two.
"""

from __future__ import annotations

import contextlib
import functools
import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor

from training.generation.autoencoder import STOCK, tokens_of

if TYPE_CHECKING:
    from diffusers import AutoencoderKLFlux2

    from training.generation.canvas import Canvas
    from training.generation.prepare import Examples, TextEncoder

#: Steps of training in turn by how many references the examples have, and the share of a batch
#: that fits where references make sequences longer.
CYCLE: Final = (0, 0, 1, 0, 0, 1, 0, 2)
PART: Final = (1.0, 0.6, 0.4)
#: The scheduler's: times lie denser towards the noise.
SHIFT: Final = 2.0
#: Where a run of four steps looks.
_VISITED: Final = (1.0, 6 / 7, 2 / 3, 0.4)
_SHARE_VISITED: Final = 0.4


@dataclass
class Pool:
    """All pictures of the training set, encoded once.

    Attributes:
        examples: what is asked, on the training device.
        latents: (scenes, tokens, channels).
        text: says what a sentence is to the denoiser.
        rows: places in ``examples`` by number of references.
    """

    examples: Examples
    latents: Tensor
    text: TextEncoder
    rows: tuple[Tensor, Tensor, Tensor]

    @property
    def side(self) -> int:
        """Tokens along one side of a picture."""
        return math.isqrt(self.latents.shape[1])


@torch.no_grad()
def encode_pool(
    examples: Examples, canvas: Canvas, vae: AutoencoderKLFlux2, text: TextEncoder, *, scale: int
) -> Pool:
    """Draw and encode every scene.

    Args:
        examples: the training set, on the canvas' device.
        canvas: draws it.
        vae: trained.
        text: text encoder.
        scale: 1 for pictures of 128 pixels, 2 for 256.
    """
    parts = []
    for rows in torch.split(examples.scenes, 512 // scale):
        with _autocast(canvas.device):
            parts.append(tokens_of(vae, canvas.compose(rows, scale=scale)).to(torch.bfloat16))
    count = (examples.references >= 0).sum(dim=1)
    rows_by = tuple((count == number).nonzero()[:, 0] for number in range(3))
    return Pool(examples, torch.cat(parts), text, (rows_by[0], rows_by[1], rows_by[2]))


@dataclass
class Batch:
    """Examples of one number of references.

    Attributes:
        clean: (n, tokens, channels).
        references: as many tensors of that shape as there are references.
        words: (n, PROMPT_LENGTH, width), and what no words are.
        silence: (1, PROMPT_LENGTH, width).
    """

    clean: Tensor
    references: list[Tensor]
    words: Tensor
    silence: Tensor
    side: int

    @classmethod
    def draw(cls, pool: Pool, size: int, references: int, *, dropped: float) -> Batch:
        """Draw at random; a share ``dropped`` of the captions is left out."""
        examples = pool.examples
        device = pool.latents.device
        rows = pool.rows[references]
        rows = rows[torch.randint(len(rows), (size,), device=device)]
        sentence = torch.randint(examples.tokens.shape[1], (size,), device=device)
        tokens = examples.tokens[rows, sentence]
        if dropped:
            gone = torch.rand(size, device=device) < dropped
            tokens = torch.where(gone[:, None], examples.silence, tokens)
        with _autocast(str(device)):
            words = pool.text(torch.cat([tokens, examples.silence[None]])).float()
        return cls(
            clean=pool.latents[examples.target[rows]].float(),
            references=[
                pool.latents[examples.references[rows, place]].float()
                for place in range(references)
            ],
            words=words[:-1],
            silence=words[-1:],
            side=pool.side,
        )


def predict(
    model: Any, batch: Batch, noisy: Tensor, times: Tensor, *, silent: bool = False
) -> Tensor:
    """Call the denoiser as the stock pipeline does.

    Args:
        model: the denoiser.
        batch: words and references.
        noisy: (n, tokens, channels).
        times: (n,), 0 for clean to 1 for noise.
        silent: without words.
    """
    words = batch.silence.expand(len(noisy), -1, -1) if silent else batch.words
    places, text_places = _places(
        batch.side, len(batch.references), words.shape[1], str(noisy.device)
    )
    with _autocast(str(noisy.device)):
        said = model(
            hidden_states=torch.cat([noisy, *batch.references], dim=1),
            timestep=times,
            guidance=None,
            encoder_hidden_states=words,
            txt_ids=text_places,
            img_ids=places,
            return_dict=False,
        )[0]
    predicted: Tensor = said[:, : noisy.shape[1]].float()
    return predicted


@functools.lru_cache
def _places(side: int, references: int, words: int, device: str) -> tuple[Tensor, Tensor]:
    """Return the four coordinates of each token of the pictures, and of the words."""
    grid = torch.empty(1, 1, side, side)
    ids = STOCK._prepare_latent_ids(grid)
    if references:
        ids = torch.cat([ids, STOCK._prepare_image_ids([grid] * references)], dim=1)
    return ids.to(device), STOCK._prepare_text_ids(torch.empty(1, words, 1)).to(device)


@torch.no_grad()
def sample(model: Any, batch: Batch, *, steps: int = 4, guidance: float = 1.0) -> Tensor:
    """Draw pictures as the stock scheduler does, from fixed noise.

    Args:
        model: the denoiser.
        batch: words and references; of ``clean`` only the shape is used.
        steps: of Euler's method.
        guidance: scale; 1 takes one pass a step.

    Returns:
        latents, shaped like ``clean``.
    """
    generator = torch.Generator(batch.clean.device).manual_seed(1)
    noisy = torch.randn(batch.clean.shape, generator=generator, device=batch.clean.device)
    even = torch.linspace(1.0, 1 / steps, steps)
    visited = [*(SHIFT * even / (1 + (SHIFT - 1) * even)).tolist(), 0.0]
    for now, after in pairwise(visited):
        times = torch.full((len(noisy),), now, device=noisy.device)
        said = predict(model, batch, noisy, times)
        if guidance != 1.0:
            unsaid = predict(model, batch, noisy, times, silent=True)
            said = unsaid + guidance * (said - unsaid)
        noisy = noisy + (after - now) * said
    return noisy


def flow_loss(model: Any, batch: Batch, *, teacher: Any = None, guidance: float = 1.0) -> Tensor:
    """Return the loss of a batch.

    Args:
        model: the denoiser.
        batch: examples.
        teacher: whose guided words to learn, instead of the truth.
        guidance: scale.
    """
    noise = torch.randn_like(batch.clean)
    times = flow_times(len(noise), noise.device)
    spread = times[:, None, None]
    noisy = (1 - spread) * batch.clean + spread * noise
    wanted = noise - batch.clean
    if teacher is not None:
        with torch.no_grad():
            said = predict(teacher, batch, noisy, times)
            unsaid = predict(teacher, batch, noisy, times, silent=True)
            wanted = unsaid + guidance * (said - unsaid)
    return (predict(model, batch, noisy, times) - wanted).square().mean()


def flow_times(size: int, device: torch.device) -> Tensor:
    """Draw times in 0 (clean) to 1 (noise), a part of them where a run of four steps looks."""
    times = torch.sigmoid(torch.randn(size, device=device) + 0.4)
    visited = torch.tensor(_VISITED, device=device)
    exact = visited[torch.randint(len(_VISITED), (size,), device=device)]
    return torch.where(torch.rand(size, device=device) < _SHARE_VISITED, exact, times)


def _autocast(device: str) -> contextlib.AbstractContextManager[Any]:
    """Compute in bfloat16 on a GPU; on a CPU as the caller does."""
    if not device.startswith("cuda"):
        return contextlib.nullcontext()
    return torch.autocast("cuda", torch.bfloat16)
