"""Settings: one table, read from ``CHOPMARK_*`` environment variables.

>>> Settings(home="/tmp/chopmark-example", mark_method="lattice").model
'embedded'

Each room's fields stand in a module of its own; their names are flat, as the variables are. Every
setting is documented in ``docs/settings.md``; a test fails when one is missing there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from chopmark.errors import ConfigurationError
from chopmark.kit.files import make_private_folder
from chopmark.settings.audit import AuditSettings
from chopmark.settings.generation import GenerationSettings
from chopmark.settings.limits import LimitSettings
from chopmark.settings.profiles import ProfileSettings
from chopmark.settings.provenance import ProvenanceSettings
from chopmark.settings.safety import SafetySettings
from chopmark.settings.service import ServiceSettings

__all__ = ["RECALL_S", "Settings", "load_settings"]

#: Longest that looking for an earlier answer may take: it must not cost what it saves.
RECALL_S: Final = 5.0


class Settings(
    ProfileSettings,
    ServiceSettings,
    LimitSettings,
    AuditSettings,
    ProvenanceSettings,
    SafetySettings,
    GenerationSettings,
    BaseSettings,
):
    """How one installation of Chopmark behaves. Immutable; unknown names are refused."""

    model_config = SettingsConfigDict(env_prefix="CHOPMARK_", frozen=True, extra="forbid")

    home: Path = Field(
        default=Path("~/.local/share/chopmark"),
        description="Folder of all state: log, keys, manifests, unpacked model. Mode 0700.",
    )
    plugins: bool = Field(
        default=True,
        description="Whether installed packages with an entry point in the group `chopmark` take "
        "part.",
    )

    @property
    def longest_s(self) -> float:
        """Seconds after which no request can still be on its way: every stage at its limit."""
        # Pictures of an earlier answer are judged, and may still give way to new ones.
        per_picture = 2 * self.guard_timeout_s + 2 * self.seal_timeout_s
        once = 3 * self.guard_timeout_s + self.generate_timeout_s + 4 * self.log_timeout_s
        once += 2 * RECALL_S
        return once + self.max_outputs * per_picture

    def open_home(self) -> Path:
        """Return the home folder, made with mode 0700 where it was missing.

        Raises:
            ConfigurationError: The folder cannot be made or written.
        """
        home = self.home.expanduser()
        make_private_folder(home)
        return home


def load_settings(**overrides: object) -> Settings:
    """Return settings from the environment with ``overrides`` (``None`` means: not given).

    Raises:
        ConfigurationError: A variable or override has a value that cannot be used.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        reason = first["msg"].removeprefix("Value error, ")
        raise ConfigurationError(
            f"setting {name}: {reason} (got {first.get('input')!r})",
            hint=f"see docs/settings.md; the variable is CHOPMARK_{name.upper()}",
        ) from error
