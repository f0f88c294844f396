"""What ``CHOPMARK_PROFILE`` means: for each jurisdiction rows of settings, rules and sources.

A profile sets defaults and nothing else: what a deployer sets explicitly wins, and the compliance
report names it as a deviation. The rows tell what a rule asks for as secondary sources report it;
none was compared with the official text. The rows themselves are in
:mod:`chopmark.settings.profile_rows`.

>>> defaults_of("india")["takedown_intimate_hours"]
2.0
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from pydantic import BaseModel, Field, model_validator

from chopmark.settings.profile_rows import ROWS, Row

if TYPE_CHECKING:
    from chopmark.kit.types import JsonValue

__all__ = ["PROFILES", "Deviation", "Profile", "ProfileSettings", "defaults_of", "deviations"]

Profile = Literal["eu", "california", "china", "india", "korea"]
PROFILES: Final[tuple[Profile, ...]] = get_args(Profile)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deviation:
    """A setting that is otherwise than its profile has it.

    Attributes:
        row: What the profile says.
        configured: What is set here.
    """

    row: Row
    configured: JsonValue


def defaults_of(profile: Profile) -> dict[str, JsonValue]:
    """Return what a profile sets, by the name of the setting."""
    return {row.setting: row.value for row in ROWS[profile] if row.kind == "default"}


def deviations(settings: BaseModel, profile: Profile) -> list[Deviation]:
    """Return where settings differ from a profile's defaults; a longer least time is none."""
    found = []
    for row in ROWS[profile]:
        if row.kind == "default":
            configured = getattr(settings, row.setting)
            if not row.met_by(configured):
                found.append(Deviation(row=row, configured=configured))
    return found


class ProfileSettings(BaseModel, frozen=True):
    """Which jurisdiction's defaults apply."""

    profile: Profile | None = Field(
        default=None,
        description="Jurisdiction whose defaults apply to label, disclosure, retention and "
        "detector: `eu`, `california`, `china`, `india` or `korea`. What is set explicitly wins. "
        "Unset: no such defaults. See [law.md](law.md).",
    )

    @model_validator(mode="before")
    @classmethod
    def _with_defaults_of_the_profile(cls, data: Any) -> Any:
        """Fill in what the profile sets and nobody set explicitly, in any source."""
        if not isinstance(data, dict) or data.get("profile") not in PROFILES:
            return data  # an unknown name is refused where the field is read
        return {**defaults_of(data["profile"]), **data}
