"""What a generator takes and gives: the seam between the pipeline and whatever makes the pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from chopmark.errors import InvalidRequest
from chopmark.kit import limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import Image

    from chopmark.generation.taught import Taught

Operation = Literal["generate", "edit", "inpaint"]
Option = Literal["negative_prompt", "guidance", "strength"]
Quantization = Literal["auto", "none", "int8", "fp8", "int4", "nf4", "gguf", "svdquant"]

_BATCH = "chopmark.batch"


@dataclass(frozen=True, kw_only=True)
class GenerationJob:
    """One order for pictures.

    Attributes:
        prompt: what to draw; for an edit, what the result shall show.
        negative_prompt: what to steer away from; models without guidance ignore it.
        n: how many pictures, 1 to 15. Picture ``i``, counted from 1, has the seed
            ``seed + i - 1``, so each can be made again alone.
        seed: 0 to 2**32 + 13: what picture 15 of the highest seed of a request has.
        width: pixels, 1 to 8192.
        height: pixels, 1 to 8192.
        steps: denoising steps, 1 to 150; ``None`` is the model's default.
        guidance: how strictly the prompt is followed, 0 to 50; ``None`` is the model's default.
        images: the picture to edit, and further ones that the result draws on, in any mode; empty
            to generate from text alone.
        mask: for an edit, white where the first picture may change; it is scaled to the picture.
        strength: for an edit, how far from the picture the result may go, 0.01 to 1; ``None`` is
            the model's default.
        drafts: looks at each unfinished picture that the caller wants on the way, 0 to 10; fewer
            come where there are fewer steps.
        looks_only: nobody wants the picture after the last of these looks; where there is one, a
            generator may end there and return no picture.
        tenant: who asks; where several wait, each tenant gets its turn.

    Raises:
        InvalidRequest: a value is out of its range, or a mask comes without a picture.
    """

    prompt: str
    negative_prompt: str = ""
    n: int = 1
    seed: int
    width: int
    height: int
    steps: int | None = None
    guidance: float | None = None
    images: tuple[Image.Image, ...] = ()
    mask: Image.Image | None = None
    strength: float | None = None
    drafts: int = 0
    looks_only: bool = False
    tenant: str = "default"

    def __post_init__(self) -> None:
        limits.N.check(self.n)
        limits.JOB_SEED.check(self.seed, name="seed")
        limits.JOB_SIDE.check(self.width, name="width")
        limits.JOB_SIDE.check(self.height, name="height")
        limits.STEPS.check(self.steps)
        limits.GUIDANCE.check(self.guidance)
        limits.STRENGTH.check(self.strength)
        limits.PREVIEWS.check(self.drafts, name="drafts")
        if not self.prompt.strip() and not self.images:
            raise InvalidRequest("the prompt is empty", hint="say what the picture shall show")
        if self.mask is not None and not self.images:
            raise InvalidRequest("a mask needs a picture to edit", hint="give the picture as well")

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seed of each picture, in order."""
        return tuple(range(self.seed, self.seed + self.n))

    @property
    def operation(self) -> Operation:
        """What the job asks of a model."""
        if self.mask is not None:
            return "inpaint"
        return "edit" if self.images else "generate"


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A look at an unfinished picture. Nobody has judged it: it must not be shown as it is.

    Attributes:
        index: 1 to n, the picture's place in its job.
        step: denoising steps that were done when the look was taken, 1 to ``steps`` - 1.
        steps: denoising steps that this picture takes in all.
        picture: what the model expects the finished picture to be, at most 256 pixels a side.
    """

    index: int
    step: int
    steps: int
    picture: Image.Image


def draft_steps(steps: int, wanted: int) -> frozenset[int]:
    """Return after which of ``steps`` to take ``wanted`` looks, evenly spread; never the last one.

    >>> sorted(draft_steps(8, 3)), sorted(draft_steps(2, 3)), sorted(draft_steps(1, 3))
    ([2, 4, 6], [1], [])
    """
    spread = {max(1, look * steps // (wanted + 1)) for look in range(1, wanted + 1)}
    return frozenset(step for step in spread if step < steps)


def batch_size(picture: Image.Image) -> int:
    """Return how many pictures the model made in the call that made this one; 1 if unsaid.

    The same job in a batch of another size gives the same picture but for single levels of 255.
    """
    return int(picture.info.get(_BATCH, 1))


def set_batch_size(picture: Image.Image, size: int) -> None:
    """Note on a picture what :func:`batch_size` shall say."""
    picture.info[_BATCH] = size


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """What is known about a loaded model.

    Attributes:
        id: ``embedded``, the path of a folder, or ``hf:org/name``.
        version: the model's own version; empty when it names none.
        digest: SHA-256 over the weight files, lower-case hex.
        licence: SPDX identifier or what the model card says; ``unknown`` when it says nothing.
        native_size: side in pixels of the square at which the denoiser works. A request is rendered
            with about that many pixels and scaled to the asked size with a Lanczos filter.
        default_size: width and height of a picture when the caller names none.
        max_size: largest side, in pixels, that is given out.
        default_steps: denoising steps when the caller names none.
        max_ratio: proportions up to which a picture is rendered as asked; a longer one is rendered
            with these and stretched.
        extends: beyond that the ground is drawn out on two sides, and nothing is stretched.
        quantization: as loaded, see :mod:`chopmark.generation.quantize`.
        supports: the operations that :meth:`Generator.generate` takes.
        max_images: most pictures in one edit, the one that is changed included.
        ignores: options that make no difference with this model. ``strength`` there speaks of
            edits without a mask.
        taught: the words that it learned, where its folder lists them; ``None`` claims nothing.
    """

    id: str
    version: str
    digest: str
    licence: str
    native_size: int
    default_size: tuple[int, int]
    max_size: int
    default_steps: int
    quantization: str
    supports: frozenset[Operation]
    max_ratio: float = float(limits.RATIO.most)
    extends: bool = False
    max_images: int = 1
    ignores: frozenset[Option] = frozenset()
    taught: Taught | None = None


@runtime_checkable
class Generator(Protocol):
    """Makes pictures; implementations may be used from several threads at once."""

    @property
    def info(self) -> ModelInfo:
        """What is known about the model."""

    def generate(
        self,
        job: GenerationJob,
        *,
        progress: Callable[[int, int], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
        draft: Callable[[Draft], None] | None = None,
    ) -> list[Image.Image]:
        """Make the pictures of ``job``, in the order of its seeds.

        Args:
            job: the order.
            progress: called with the denoising steps done and the steps in all, for the whole job.
            cancelled: asked before each step; True ends the job within one step.
            draft: called with each of the ``job.drafts`` looks, in the thread that called; what it
                raises ends the job.

        Returns:
            exactly ``job.n`` RGB pictures of ``job.width`` by ``job.height`` pixels, or none where
            the job wants looks only. The same job gives the same bytes again on the same machine.

        Raises:
            Cancelled: ``cancelled`` returned True.
            GenerationFailed: the model broke, or gave something that is no picture.
            InvalidRequest: the model does not support what the job asks.
        """
