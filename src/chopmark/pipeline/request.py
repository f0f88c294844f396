"""What a caller asks for. Frozen values, checked before anything else happens.

>>> GenerationRequest(prompt="a red apple", n=4, seed=7).n
4
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final, Literal

from chopmark.errors import InvalidRequest, TextTooLong, TooManyImages
from chopmark.kit import limits

if TYPE_CHECKING:
    from chopmark.generation import ModelInfo
    from chopmark.kit.types import ImageFormat
    from chopmark.safety import Policy
    from chopmark.settings import Settings

__all__ = ["EditRequest", "GenerationRequest", "SealRequest", "check_request", "check_seal"]

_LONGEST_MODEL_NAME: Final = 100  # characters; it stands in the signed manifest


#: Longest reference of a record of consent.
_CONSENT: Final[int] = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationRequest:
    """A picture (or ``n`` variations of it) from a prompt.

    Attributes:
        prompt: What the picture shows; 1 to ``Settings.max_prompt_chars`` characters.
        negative_prompt: What it must not show. Judged together with the prompt.
        n: How many pictures, 1 to ``Settings.max_outputs``; picture i,
            counted from 1, has the seed ``seed + i - 1``.
        seed: 0 to 2**32 - 1; ``None`` draws one, which the record keeps.
        size: (width, height) in pixels, 64 to 4096 each, no longer than 8 to 1; ``None`` is the
            model's default, of an edit in the proportions of its picture.
        steps: Denoising steps, 1 to 150; ``None`` is the model's default.
        guidance: Classifier-free guidance scale, 0 to 50; ``None`` is the model's default.
        format: File format of the outputs; ``None`` is ``Settings.output_format``.
        quality: 1 to 100 for lossy formats; ``None`` is the encoder's default of ours.
        background: ``transparent`` leaves out the plain ground that a thing is drawn on; not in
            JPEG, which has no transparency.
        fresh: Make new pictures, also where the same wish was granted before
            (``Settings.cached_answers``).
        previews: Looks at each unfinished picture on the way, 0 to 10, evenly spread over the
            steps; fewer come where there are fewer steps, none from a generator that cannot.
        tenant: Whose log namespace applies.
        policy: The tenant's own policy, or a tightened one; ``None`` is ``Settings.policy``.
        subject: Opaque reference to the person; what they wrote can be erased by it.
        client: Address or other connection detail; kept encrypted and erasable.
    """

    prompt: str
    negative_prompt: str = ""
    n: int = 1
    seed: int | None = None
    size: tuple[int, int] | None = None
    steps: int | None = None
    guidance: float | None = None
    format: ImageFormat | None = None
    quality: int | None = None
    background: Literal["opaque", "transparent"] = "opaque"
    fresh: bool = False
    previews: int = 0
    tenant: str = "default"
    policy: Policy | None = None
    subject: str | None = None
    client: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EditRequest(GenerationRequest):
    """A change to a picture; with an empty prompt, a variation of it.

    Attributes:
        image: The picture to change: the bytes of a PNG, JPEG, WebP or AVIF file.
        references: Further pictures that the edit draws on, likewise; at most
            ``Settings.max_references``, and ``ModelInfo.max_images`` with the first one.
        mask: Bytes of a picture of the proportions of ``image``. White (or, in one with an alpha
            channel, transparent) is repainted; the rest stays. ``None`` changes everything.
        strength: 0.01 (hardly anything changes) to 1 (only the prompt counts); ``None`` is the
            default.
        consent: Where it is recorded that whoever is in the picture agrees; 1 to 200 characters.
            Booked with the request and asked of nobody; it changes no verdict.
        pixels: About how many the result has, in the proportions of ``image``, where ``size`` is
            ``None``; ``None`` is as many as the model's own size has.
    """

    image: bytes
    references: tuple[bytes, ...] = ()
    mask: bytes | None = None
    strength: float | None = None
    consent: str | None = None
    pixels: int | None = None

    @property
    def pictures(self) -> tuple[bytes, ...]:
        """What the model is shown, the picture to change first."""
        return (self.image, *self.references)

    @property
    def inputs(self) -> dict[str, bytes]:
        """All files that come in, by what they are: the pictures in their order, the mask last."""
        named = {"image": self.image}
        named |= {f"reference {n}": one for n, one in enumerate(self.references, start=1)}
        return named if self.mask is None else {**named, "mask": self.mask}


@dataclass(frozen=True, slots=True, kw_only=True)
class SealRequest:
    """A picture that another generator made, to be judged, marked, signed and booked.

    Attributes:
        image: The bytes of its file. It leaves with the same pixels but for mark and label; its
            metadata stay behind. A C2PA manifest of its own becomes that of an ingredient.
        prompt: What it was made from, as far as the caller says; judged and kept as any prompt.
        model: What made it, as the caller claims: a name of 1 to 100 printable characters.
        format: File format of the output; ``None`` is that of ``image`` where it is one of ours,
            else ``Settings.output_format``.
        quality: 1 to 100 for lossy formats; ``None`` is the encoder's default of ours.
        tenant: Whose log namespace applies.
        policy: The tenant's own policy, or a tightened one; ``None`` is ``Settings.policy``.
        subject: Opaque reference to the person; what they wrote can be erased by it.
        client: Address or other connection detail; kept encrypted and erasable.
    """

    image: bytes
    prompt: str = ""
    model: str
    format: ImageFormat | None = None
    quality: int | None = None
    tenant: str = "default"
    policy: Policy | None = None
    subject: str | None = None
    client: str | None = None

    n: ClassVar[int] = 1
    negative_prompt: ClassVar[str] = ""

    @property
    def inputs(self) -> dict[str, bytes]:
        """All files that come in, by what they are."""
        return {"image": self.image}

    @property
    def size(self) -> None:
        """Nobody asks for a size: the picture has one."""
        return


def check_seal(request: SealRequest, settings: Settings) -> None:
    """Refuse what no stage could use.

    Raises:
        InvalidRequest: The first value that cannot be used, named, with its bounds.
    """
    _check_text("prompt", request.prompt, settings.max_prompt_chars)
    limits.QUALITY.check(request.quality)
    if not request.image:
        raise InvalidRequest("there is no picture", hint="give its file", param="image")
    name = request.model.strip()
    if not 0 < len(name) <= _LONGEST_MODEL_NAME or not name.isprintable():
        raise InvalidRequest(
            "model is no name of a generator",
            hint=f"say what made the picture in 1 to {_LONGEST_MODEL_NAME} printable characters",
            param="model",
        )


def check_request(
    request: GenerationRequest, settings: Settings, model: ModelInfo | None = None
) -> None:
    """Refuse what no stage could use.

    Args:
        request: What is asked for.
        settings: With the deployer's own bounds.
        model: What will make the pictures; ``None`` checks what holds for any model, so that a bad
            value is refused before one is loaded.

    Raises:
        InvalidRequest: The first value that cannot be used, named, with its bounds.
        TextTooLong: Prompt and negative prompt together are more than is judged of one text.
        TooManyImages: More pictures than the model takes, or than the settings allow.
    """
    _check_text("prompt", request.prompt, settings.max_prompt_chars)
    _check_text("negative_prompt", request.negative_prompt, settings.max_prompt_chars)
    # They are judged as one text, of which nothing is cut: a line end stands between them.
    together = len(request.prompt) + 1 + len(request.negative_prompt)
    if request.negative_prompt and together > limits.TEXT.most:
        raise TextTooLong(
            f"prompt and negative_prompt have {together} characters together, more than"
            f" {limits.TEXT.most}",
            hint="shorten one of them; both are judged to the last character",
            param="negative_prompt",
        )
    # A picture changed without words is a variation of it.
    if not request.prompt.strip() and not isinstance(request, EditRequest):
        raise InvalidRequest(
            "the prompt is empty", hint="say what the picture should show", param="prompt"
        )
    limits.N.up_to(settings.max_outputs).check(request.n)
    limits.SEED.check(request.seed)
    limits.STEPS.check(request.steps)
    limits.GUIDANCE.check(request.guidance)
    limits.QUALITY.check(request.quality)
    limits.PREVIEWS.check(request.previews)
    if request.background == "transparent" and (
        (request.format or settings.output_format) == "jpeg"
    ):
        raise InvalidRequest(
            "JPEG has no transparency",
            hint="ask for png, webp or avif, or for an opaque background",
            param="background",
        )
    if request.size is not None:
        side = limits.SIDE if model is None else limits.SIDE.up_to(model.max_size)
        side.check(request.size[0], name="width", param="size")
        side.check(request.size[1], name="height", param="size")
        if max(request.size) > limits.RATIO.most * min(request.size):
            raise InvalidRequest(
                f"{request.size[0]}x{request.size[1]} is longer than {limits.RATIO.most} to 1",
                param="size",
            )
    if isinstance(request, EditRequest):
        limits.STRENGTH.check(request.strength)
        if request.consent is not None and not 0 < len(request.consent.strip()) <= _CONSENT:
            raise InvalidRequest(
                f"a reference of consent has 1 to {_CONSENT} characters", param="consent"
            )
        if model is None:
            return
        if "edit" not in model.supports:
            raise InvalidRequest(
                f"model {model.id} makes pictures and cannot edit them",
                hint="choose another model",
            )
        if request.mask is not None and "inpaint" not in model.supports:
            raise InvalidRequest(f"model {model.id} edits whole pictures only, without a mask")
        _check_pictures(len(request.pictures), settings, model)


def _check_pictures(count: int, settings: Settings, model: ModelInfo) -> None:
    if count > model.max_images:
        most = "one picture" if model.max_images == 1 else f"{model.max_images} pictures"
        raise TooManyImages(
            f"{count} pictures were given, and model {model.id} takes {most}",
            hint="leave the others out, or choose a model that joins several",
            param="image",
        )
    if count > settings.max_references + 1:
        raise TooManyImages(
            f"{count} pictures were given, more than 1 and {settings.max_references} further ones",
            hint="leave some out, or raise CHOPMARK_MAX_REFERENCES",
            param="image",
        )


def _check_text(name: str, text: str, most: int) -> None:
    if len(text) > most:
        raise InvalidRequest(
            f"the {name} has {len(text)} characters, more than {most}",
            hint="shorten it, or raise CHOPMARK_MAX_PROMPT_CHARS",
            param=name,
        )
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidRequest(
            f"the {name} holds a lone surrogate, which is no character",
            hint="send valid Unicode",
            param=name,
        ) from None
