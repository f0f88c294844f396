"""The bounds of what can be asked for: one table, read by requests, API bodies, pages and docs.

>>> SEED.most
4294967295
>>> STEPS.check(151)
Traceback (most recent call last):
    ...
chopmark.errors.InvalidRequest: steps is 151, not in 1..150

What a deployer may change is a setting (:mod:`chopmark.settings`) whose own bounds stand here.
``docs/bounds.md`` shows the table; ``python -m chopmark.kit.limits`` prints it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Generic, TypeVar

from chopmark.errors import InvalidRequest
from chopmark.kit.ids import MAX_OUTPUTS

__all__ = ["TABLE", "Limit", "table_in_markdown"]

Number = TypeVar("Number", int, float)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit(Generic[Number]):
    """What one value may be.

    Attributes:
        name: The field of a request that it bounds, as errors name it.
        least: Smallest value that is taken.
        most: Largest value that is taken.
        unit: What is counted; empty for a plain number.
        what: What the value is for, in a sentence of the manual.
    """

    name: str
    least: Number
    most: Number
    unit: str = ""
    what: str

    def up_to(self, most: Number) -> Limit[Number]:
        """Return the same bound where a setting or a model allows no more than ``most``."""
        return replace(self, most=min(self.most, most))

    def check(
        self, value: float | None, *, name: str | None = None, param: str | None = None
    ) -> None:
        """Let a value pass; ``None`` is one that was not given.

        Args:
            value: The value.
            name: What it is called, where that is another name.
            param: The field of the request that holds it, where that has yet another one.

        Raises:
            InvalidRequest: It is under or over the bounds, or NaN.
        """
        # `not (a <= x <= b)` also refuses NaN, which compares false with everything.
        if value is not None and not self.least <= value <= self.most:
            field = name or self.name
            raise InvalidRequest(
                f"{field} is {value}, not in {self.least}..{self.most}", param=param or field
            )


# What makes a picture.
N: Final = Limit(
    name="n",
    least=1,
    most=MAX_OUTPUTS,
    unit="pictures",
    what="Variations in one request; `CHOPMARK_MAX_OUTPUTS` may allow fewer. Picture i, counted "
    "from 1, has the seed `seed + i - 1`.",
)
SEED: Final = Limit(
    name="seed",
    least=0,
    most=2**32 - 1,
    what="Of the first picture. 32 bits: what every generator takes, here or at another service.",
)
# Not a bound of requests: a job may be for the last of the n pictures of the highest seed.
JOB_SEED: Final = Limit(
    name="seed of a job",
    least=SEED.least,
    most=SEED.most + N.most - 1,
    what="Of a `GenerationJob`, which may ask for the last picture of any request alone.",
)
STEPS: Final = Limit(name="steps", least=1, most=150, unit="steps", what="Denoising steps.")
GUIDANCE: Final = Limit(
    name="guidance", least=0.0, most=50.0, what="How strictly the prompt is followed."
)
STRENGTH: Final = Limit(
    name="strength",
    least=0.01,
    most=1.0,
    what="How far an edit may go from its picture: at 1 only the prompt counts.",
)
QUALITY: Final = Limit(
    name="quality", least=1, most=100, what="Of lossy formats, as the encoder counts it."
)
PREVIEWS: Final = Limit(
    name="previews", least=0, most=10, unit="previews", what="Looks at each unfinished picture."
)
STREAMED_PREVIEWS: Final = Limit(
    name="partial_images",
    least=0,
    most=3,
    unit="previews",
    what="The same in an answer over HTTP that is streamed, as OpenAI has it.",
)
DRAFT_SIDE: Final = Limit(
    name="side of a draft",
    least=16,
    most=256,
    unit="pixels",
    what="What the guards see of an unfinished picture; it never leaves.",
)
PREVIEW_SIDE: Final = Limit(
    name="side of a preview",
    least=64,
    most=96,
    unit="pixels",
    what="Too small to be of use as an output; what is narrower stands on black.",
)

# Sizes.
MARKED_SIDE: Final = Limit(
    name="side of a marked picture",
    least=64,
    most=8192,
    unit="pixels",
    what="What can carry our watermark.",
)
SIDE: Final = Limit(
    name="size",
    least=MARKED_SIDE.least,
    most=4096,
    unit="pixels a side",
    what="Width and height of an output; a model may give out less (`max_size`).",
)
JOB_SIDE: Final = Limit(
    name="side of a job",
    least=1,
    most=MARKED_SIDE.most,
    unit="pixels",
    what="Of a `GenerationJob`: not everything that is made is to be marked.",
)
RATIO: Final = Limit(
    name="ratio", least=1, most=8, unit="to 1", what="How much longer one side may be than another."
)
REFERENCES: Final = Limit(
    name="references",
    least=0,
    most=15,
    unit="pictures",
    what="Further pictures of one edit; `CHOPMARK_MAX_REFERENCES` may allow fewer, and so may the "
    "model (`max_images`).",
)
BATCH: Final = Limit(
    name="batch", least=1, most=64, unit="pictures", what="Share one call of the model."
)

# Requests over HTTP.
FILES: Final = Limit(
    name="files",
    least=0,
    most=1 + REFERENCES.most + 1,
    unit="files",
    what="In one form: the picture to change, its references and a mask.",
)
FIELDS: Final = Limit(name="fields", least=0, most=64, unit="fields", what="In one form.")
# Requests over HTTP, before anything of them is understood. Which error each of them is stands in
# its sentence; all of them come before the work that they bound.
HEADERS: Final = Limit(
    name="headers",
    least=0,
    most=32 * 1024,
    unit="bytes",
    what="Request line and headers: all that is read of anybody before it is known who asks. More "
    "is 431 `headers_too_large`.",
)
HEADERS_S: Final = Limit(
    name="time of the headers",
    least=0,
    most=10,
    unit="seconds",
    what="Until the headers are there; then 408 `request_timeout`, and the connection is closed.",
)
BODY_S: Final = Limit(
    name="time of a body",
    least=0.01,
    most=3600.0,
    unit="seconds",
    what="Until the body is there: `CHOPMARK_BODY_TIMEOUT_S`, 120 unless set. Later is 408 "
    "`request_timeout`.",
)
BODY_IDLE_S: Final = Limit(
    name="silence within a body",
    least=0.01,
    most=600.0,
    unit="seconds",
    what="Between two pieces of a body: `CHOPMARK_BODY_IDLE_S`, 15 unless set. Longer is 408 "
    "`request_timeout`.",
)
TEXT_BODY: Final = Limit(
    name="body without a picture",
    least=0,
    most=64 * 1024,
    unit="bytes",
    what="Of a route that takes neither pictures nor prompts; where prompts are taken, 24 bytes "
    "for each of `CHOPMARK_MAX_PROMPT_CHARS` more (two texts, twelve bytes a character where JSON "
    "writes it as a pair of `\\uXXXX`). More is 413 `request_too_large`.",
)
UPLOADS: Final = Limit(
    name="form with pictures",
    least=1,
    most=FILES.most,
    unit="pictures",
    what="A form may have `CHOPMARK_MAX_IMAGE_BYTES` for each picture that its route takes, and a "
    "body without a picture beside them; a JSON body, which is a third longer, 1.4 times one "
    "picture for all of its pictures together. More is 413 `image_too_large`.",
)
UNFINISHED: Final = Limit(
    name="unfinished bodies",
    least=0,
    most=64,
    unit="bodies",
    what="Of one tenant, or of one address that is nobody's, at once. More is 503 `busy`.",
)
TEXT_PART: Final = Limit(
    name="text in a form",
    least=0,
    most=256 * 1024,
    unit="bytes",
    what="One field; more is 400, as are more fields or files.",
)
JSON_DEPTH: Final = Limit(
    name="depth of JSON",
    least=0,
    most=32,
    unit="brackets",
    what="Arrays and objects within each other; more is 400.",
)
JSON_VALUES: Final = Limit(
    name="values in JSON",
    least=0,
    most=20_000,
    unit="values",
    what="Counted as commas, colons and brackets outside of texts, before it is parsed; more is "
    "400, as are half a surrogate pair and the character NUL.",
)
MODERATED: Final = Limit(
    name="input", least=1, most=256, unit="texts or parts", what="Judged in one request."
)

TEXTS: Final = Limit(
    name="texts of one moderation",
    least=1,
    most=8,
    unit="prompts",
    what="All texts of one request together, in lengths of `CHOPMARK_MAX_PROMPT_CHARS`, which is "
    "also the longest of them.",
)

# Files of pictures that nobody has vouched for. Counted in one walk, before any decoder or parser
# sees them: what is over is 413 `image_too_complex`.
PNG_CHUNKS: Final = Limit(
    name="chunks of a PNG",
    least=1,
    most=10_000,
    unit="chunks",
    what="Enough for 32 MiB in pieces of 4 kB.",
)
PNG_PROFILES: Final = Limit(
    name="colour profiles of a PNG",
    least=0,
    most=4,
    unit="profiles",
    what="A PNG has one; each unpacks to a megabyte.",
)
JPEG_SEGMENTS: Final = Limit(
    name="segments of a JPEG",
    least=1,
    most=2_000,
    unit="segments",
    what="Before its first scan; a manifest of 32 MiB takes 525.",
)
JPEG_SCANS: Final = Limit(
    name="scans of a JPEG",
    least=1,
    most=64,
    unit="scans",
    what="Each goes over the whole picture again; encoders write about ten.",
)
WEBP_CHUNKS: Final = Limit(
    name="chunks of a WebP", least=1, most=2_000, unit="chunks", what="Frames among them."
)
GIF_BLOCKS: Final = Limit(
    name="blocks of a GIF",
    least=1,
    most=20_000,
    unit="blocks",
    what="And one more for each 128 bytes of the file; encoders fill their 255.",
)
FRAMES: Final = Limit(
    name="frames",
    least=1,
    most=1_000,
    unit="frames",
    what="Of a GIF or a TIFF file that is verified or judged; the first 16 are looked at, and what "
    "is changed has one.",
)
TIFF_FIELDS: Final = Limit(
    name="fields of a TIFF folder",
    least=1,
    most=1_000,
    unit="fields",
    what="Also of EXIF, which is one; their values together are no longer than the file.",
)
EXIF: Final = Limit(
    name="EXIF", least=0, most=1 << 20, unit="bytes", what="In a PNG or WebP; a JPEG has 64 kB."
)
BMFF_BOXES: Final = Limit(
    name="boxes of an AVIF or HEIC",
    least=1,
    most=5_000,
    unit="boxes",
    what="At every depth that is walked.",
)
BMFF_PLACES: Final = Limit(
    name="places of items",
    least=0,
    most=65_536,
    unit="places",
    what="That the `iloc` box of an AVIF names.",
)
JUMBF_BOXES: Final = Limit(
    name="boxes of a manifest store",
    least=1,
    most=10_000,
    unit="boxes",
    what="Of JUMBF, at every depth.",
)
JUMBF_DEPTH: Final = Limit(
    name="depth of a manifest store",
    least=1,
    most=32,
    unit="boxes",
    what="Within each other; those of C2PA are about six deep.",
)
XMP: Final = Limit(
    name="XMP",
    least=0,
    most=1 << 20,
    unit="bytes",
    what="A longer packet is not looked at, as if there were none.",
)

# What is judged of one text; safety raises `TextTooLong` for more, and cuts nothing.
TEXT: Final = Limit(
    name="text",
    least=0,
    most=32_768,
    unit="characters",
    what="Of one text that is judged: a prompt with its negative prompt, one moderation input, the "
    "words in a picture. Also after compatibility characters are written out. "
    "`CHOPMARK_MAX_PROMPT_CHARS` may allow less of a prompt.",
)
SCORED: Final = Limit(
    name="scored tokens",
    least=0,
    most=40_000,
    unit="tokens",
    what="That the prompt guard looks at of one text. English of 32,000 "
    "characters has about 8,000; a character of Chinese or Japanese is nearly one.",
)

# What people write at the desk and in appeals.
STATEMENT: Final = Limit(
    name="statement", least=1, most=10_000, unit="characters", what="Why a refusal was wrong."
)
RATIONALE: Final = Limit(
    name="rationale", least=1, most=10_000, unit="characters", what="Why somebody decided so."
)
PURPOSE: Final = Limit(
    name="purpose", least=1, most=500, unit="characters", what="Why somebody looks, or seals."
)
QUEUE: Final = Limit(
    name="queue", least=1, most=100, unit="characters", what="Name of a review queue."
)
PASSWORD: Final = Limit(
    name="password",
    least=15,
    most=1024,
    unit="characters",
    # NIST SP 800-63B-4 section 3.1.1.2: 15 characters where the password is the only factor.
    what="NIST SP 800-63B-4 asks for the least, where a password is the only factor.",
)

TABLE: Final[tuple[Limit[int] | Limit[float], ...]] = (
    N, SEED, JOB_SEED, STEPS, GUIDANCE, STRENGTH, QUALITY, PREVIEWS, STREAMED_PREVIEWS,
    DRAFT_SIDE, PREVIEW_SIDE, SIDE, JOB_SIDE, MARKED_SIDE, RATIO, REFERENCES, BATCH,
    FILES, FIELDS, HEADERS, HEADERS_S, BODY_S, BODY_IDLE_S, TEXT_BODY, UPLOADS, UNFINISHED,
    TEXT_PART, JSON_DEPTH, JSON_VALUES, MODERATED, TEXTS, TEXT, SCORED,
    PNG_CHUNKS, PNG_PROFILES, JPEG_SEGMENTS, JPEG_SCANS, WEBP_CHUNKS, GIF_BLOCKS, FRAMES,
    TIFF_FIELDS, EXIF,
    BMFF_BOXES, BMFF_PLACES, JUMBF_BOXES, JUMBF_DEPTH, XMP,
    STATEMENT, RATIONALE, PURPOSE, QUEUE, PASSWORD,
)  # fmt: skip


def table_in_markdown() -> str:
    """Return the table as ``docs/bounds.md`` shows it."""
    rows = ["| value | least | most | of | what |", "|---|---|---|---|---|"]
    rows += [
        f"| `{one.name}` | {one.least} | {one.most} | {one.unit} | {one.what} |" for one in TABLE
    ]
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    print(table_in_markdown(), end="")  # noqa: T201  what it is for
