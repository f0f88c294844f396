"""Settings: one table, read from ``CHOPMARK_*`` variables and from ``chopmark.toml``.

>>> Settings(home="/tmp/chopmark-example", mark_method="lattice").model
'embedded'

Each room's fields stand in a module of its own; their names are flat, as the variables are. Every
setting is documented in ``docs/settings.md``; a test fails when one is missing there.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from chopmark.errors import ConfigurationError
from chopmark.kit.files import make_private_folder
from chopmark.settings.audit import AuditSettings
from chopmark.settings.cluster import ClusterSettings
from chopmark.settings.file import SettingsFile, find_file, is_secret, read_file, without_password
from chopmark.settings.generation import GenerationSettings
from chopmark.settings.limits import LimitSettings
from chopmark.settings.profiles import ProfileSettings
from chopmark.settings.provenance import ProvenanceSettings
from chopmark.settings.safety import SafetySettings
from chopmark.settings.service import ServiceSettings

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

__all__ = ["RECALL_S", "Origin", "Settings", "load_settings", "settings_file", "settings_origins"]

#: Longest that looking for an earlier answer may take: it must not cost what it saves.
RECALL_S: Final = 5.0


class Settings(
    ProfileSettings,
    ServiceSettings,
    ClusterSettings,
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

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  the base's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments win over the environment, which wins over the settings file.

        Raises:
            ConfigurationError: The settings file cannot be used.
        """
        given = init_settings.init_kwargs if isinstance(init_settings, InitSettingsSource) else {}
        file = settings_file(home=given.get("home"))
        values = {} if file is None else dict(file.values)
        return init_settings, env_settings, InitSettingsSource(settings_cls, init_kwargs=values)

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where the value of a setting comes from.

    Attributes:
        name: Of the setting.
        value: As text; of a secret only whether it is set.
        source: ``default``, ``environment`` or ``file``.
        place: The variable, or the file; empty for a default.
    """

    name: str
    value: str
    source: Literal["default", "environment", "file"]
    place: str = ""


def settings_file(*, home: str | Path | None = None) -> SettingsFile | None:
    """Return the settings file that counts, or ``None`` where there is none.

    Args:
        home: Where the home is, if not by the environment: a file in it is the last to be found.

    Raises:
        ConfigurationError: It cannot be used.
    """
    fields = Settings.model_fields
    place = home or os.environ.get("CHOPMARK_HOME") or fields["home"].default
    path = find_file(Path(place))
    return None if path is None else read_file(path, fields)


def settings_origins(settings: Settings) -> list[Origin]:
    """Return every setting with its value and where that comes from, in the order of their names.

    Args:
        settings: As :func:`load_settings` gives them, without overrides.

    Raises:
        ConfigurationError: The settings file cannot be used any more.
    """
    file = settings_file()
    return [
        _origin(name, field, getattr(settings, name), file)
        for name, field in sorted(Settings.model_fields.items())
    ]


def _origin(name: str, field: FieldInfo, value: object, file: SettingsFile | None) -> Origin:
    plain = value.get_secret_value() if isinstance(value, SecretStr) else value
    if is_secret(field):
        shown = "set, not shown" if plain else "unset"
    else:
        shown = "unset" if plain in (None, "") else without_password(plain)
    variable = f"CHOPMARK_{name.upper()}"
    if variable in {given.upper() for given in os.environ}:
        return Origin(name=name, value=shown, source="environment", place=variable)
    if file is not None and name in file.values:
        return Origin(name=name, value=shown, source="file", place=str(file.path))
    return Origin(name=name, value=shown, source="default")


def load_settings(**overrides: object) -> Settings:
    """Return settings from environment and file with ``overrides`` (``None`` means: not given).

    Raises:
        ConfigurationError: A variable, a line of the file or an override cannot be used.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        raise _unusable(error.errors()[0], given) from error


def _unusable(first: Any, given: dict[str, object]) -> ConfigurationError:
    name = ".".join(str(part) for part in first["loc"])
    reason = first["msg"].removeprefix("Value error, ")
    field = Settings.model_fields.get(name)
    hidden = field is not None and is_secret(field)
    value = "a secret" if hidden else without_password(repr(first.get("input")))
    hint = f"see docs/settings.md; the variable is CHOPMARK_{name.upper()}"
    if name not in given and f"CHOPMARK_{name.upper()}" not in os.environ:
        file = settings_file()
        if file is not None and name in file.values:
            hint = f"see docs/settings.md; it stands in {file.path}"
    return ConfigurationError(f"setting {name}: {reason} (got {value})", hint=hint)
