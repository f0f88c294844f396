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

    def check(self, value: float | None, *, name: str | None = None) -> None:
        """Let a value pass; ``None`` is one that was not given.

        Args:
            value: The value.
            name: The field that holds it, where that has another name.

        Raises:
            InvalidRequest: It is under or over the bounds, or NaN.
        """
        # `not (a <= x <= b)` also refuses NaN, which compares false with everything.
        if value is not None and not self.least <= value <= self.most:
            field = name or self.name
            raise InvalidRequest(
                f"{field} is {value}, not in {self.least}..{self.most}", param=field
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
PREVIEW_SIDE: Final = Limit(
    name="side of a preview",
    least=96,
    most=256,
    unit="pixels",
    what="Small enough not to be taken for an output; what is smaller stands on black.",
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
    most=SIDE.most,
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
MODERATED: Final = Limit(
    name="input", least=1, most=256, unit="texts or parts", what="Judged in one request."
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
    most=8192,
    unit="tokens",
    what="That the prompt model reads of one text, in all windows together. English of 32,000 "
    "characters has about 7,500; a character of Chinese or Japanese is about one. A token of the "
    "model for other languages counts as three, for its time.",
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
    PREVIEW_SIDE, SIDE, JOB_SIDE, MARKED_SIDE, RATIO, REFERENCES, BATCH,
    FILES, FIELDS, MODERATED, TEXT, SCORED, STATEMENT, RATIONALE, PURPOSE, QUEUE, PASSWORD,
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
