"""``chopmark.toml``: the settings file beside the environment.

The keys are the settings' names in lower case, without prefix and without tables::

    home = "/var/lib/chopmark"
    policy = "strict"
    port = 8443

One file is read: the one that ``CHOPMARK_CONFIG`` names, else ``chopmark.toml`` in the working
folder, else the one in the home. What stands in the environment or on the command line wins.
"""

from __future__ import annotations

import difflib
import os
import re
import stat
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import SecretStr

from chopmark.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic.fields import FieldInfo

__all__ = ["FILE_NAME", "SettingsFile", "find_file", "is_secret", "read_file"]

FILE_NAME: Final = "chopmark.toml"
#: The variable that names another place for it.
VARIABLE: Final = "CHOPMARK_CONFIG"
_PASSWORD: Final = re.compile(r"(?<=://)([^/@:]*):[^/@]*(?=@)")


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsFile:
    """A settings file that was read.

    Attributes:
        path: Where it is.
        values: What it sets, by the settings' names.
    """

    path: Path
    values: Mapping[str, Any]


def find_file(home: Path) -> Path | None:
    """Return the settings file that counts for this home, or ``None`` where there is none.

    Raises:
        ConfigurationError: ``CHOPMARK_CONFIG`` names a file that is not there, or the one in the
            working folder is somebody else's.
    """
    named = os.environ.get(VARIABLE, "")
    if named:
        path = Path(named).expanduser()
        if not path.is_file():
            raise ConfigurationError(
                f"there is no settings file {path}, which {VARIABLE} names",
                hint=f"write it with `chopmark init --config {path}`, or unset {VARIABLE}",
            )
        return path
    here = Path(FILE_NAME).absolute()
    if here.is_file():
        # A folder that somebody else filled must not decide whom `chopmark verify` trusts here.
        if here.stat().st_uid not in {os.getuid(), 0}:
            raise ConfigurationError(
                f"{here} belongs to another user, so it is not read by itself",
                hint=f"`export {VARIABLE}={here}` if it is meant, or change to another folder",
            )
        return here
    at_home = home.expanduser() / FILE_NAME
    return at_home if at_home.is_file() else None


def read_file(path: Path, fields: Mapping[str, FieldInfo]) -> SettingsFile:
    """Return what a settings file sets.

    Args:
        path: The file, in TOML 1.0.
        fields: The settings that there are.

    Raises:
        ConfigurationError: It cannot be read or is no TOML, has a key that is no setting, holds a
            secret and others may read it, or anybody may change it.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode  # of what is read, whatever has the name now
            values = tomllib.loads(file.read().decode())
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:  # no TOML, or no UTF-8
        raise ConfigurationError(
            f"{path} is not TOML: {error}", hint='a line is `name = "value"`, see docs/settings.md'
        ) from error
    if mode & stat.S_IWOTH:
        raise ConfigurationError(f"anybody may change {path}", hint=f"chmod o-w {path}")
    for name, value in values.items():
        if name not in fields:
            raise _unknown(path, name, value, fields)
        if mode & 0o077 and _holds_secret(fields[name], value):
            raise ConfigurationError(
                f"{path} holds a secret ({name}) and others may read it",
                hint=f"chmod 600 {path}",
            )
    return SettingsFile(path=path, values=values)


def is_secret(field: FieldInfo) -> bool:
    """Whether the value of a setting is shown to nobody."""
    return field.annotation is SecretStr or not field.repr


def without_password(value: object) -> str:
    """Return a value as text, and an address without its password.

    >>> without_password("postgresql://me:secret@host/log")
    'postgresql://me:...@host/log'
    """
    return _PASSWORD.sub(r"\1:...", str(value))


def _holds_secret(field: FieldInfo, value: object) -> bool:
    return bool(value) and (is_secret(field) or bool(_PASSWORD.search(str(value))))


def _unknown(
    path: Path, name: str, value: object, fields: Mapping[str, FieldInfo]
) -> ConfigurationError:
    if isinstance(value, dict):
        return ConfigurationError(
            f"{path}: [{name}] is no setting", hint="settings stand without tables, one a line"
        )
    plain = name.lower().removeprefix("chopmark_")
    close = [plain] if plain in fields else difflib.get_close_matches(plain, fields, n=1)
    meant = f"did you mean {close[0]}? " if close else ""
    return ConfigurationError(
        f"{path}: {name} is no setting",
        hint=f"{meant}`chopmark settings show` lists them, docs/settings.md explains them",
    )
