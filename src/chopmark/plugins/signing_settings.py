"""What the settings say of signing: who holds the key, who stamps the time, what is drawn.

Each function turns its part of the settings into one part of the provenance room; what is missing
or contradicts itself is one ``ConfigurationError`` that names the variable, before any picture.
"""

from __future__ import annotations

import dataclasses
import warnings
from typing import TYPE_CHECKING, TypeVar

from chopmark.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from chopmark.provenance import (
        CredentialSource,
        LabelStyle,
        Signer,
        TimestampAuthority,
    )
    from chopmark.settings import Settings

__all__ = ["authority", "credentials", "label"]

T = TypeVar("T")


def credentials(settings: Settings) -> CredentialSource:
    """Return the source of the signing credential.

    Raises:
        ConfigurationError: A setting of the token or of the service is missing.
    """
    from chopmark.provenance import CredentialSource

    return CredentialSource(
        settings.open_home(),
        cert=settings.signing_cert,
        key=settings.signing_key if settings.signer == "file" else None,
        signer=_signer(settings),
        kind=settings.development_key,
    )


def _signer(settings: Settings) -> Signer | None:
    """Return who holds the key where it is not a file."""
    from chopmark.provenance import Pkcs11Signer, RemoteSigner, key_algorithm

    if settings.signer == "file":
        return None
    cert = _needed(settings.signing_cert, "signing_cert", settings.signer)
    if settings.signer == "pkcs11":
        pin_file = _needed(settings.pkcs11_pin_file, "pkcs11_pin_file", "pkcs11")
        return Pkcs11Signer(
            _needed(settings.pkcs11_module, "pkcs11_module", "pkcs11"),
            token=_needed(settings.pkcs11_token, "pkcs11_token", "pkcs11"),
            key=_needed(settings.pkcs11_key, "pkcs11_key", "pkcs11"),
            pin=_secret(pin_file),
            alg=key_algorithm(cert),
        )
    token_file = settings.remote_signer_token_file
    return RemoteSigner(
        _needed(settings.remote_signer_url, "remote_signer_url", "remote"),
        alg=key_algorithm(cert),
        token=_secret(token_file) if token_file is not None else None,
    )


def _needed(value: T | None, name: str, kind: str) -> T:
    if not value:
        raise ConfigurationError(
            f"the signer {kind} needs the setting {name}", hint=f"set CHOPMARK_{name.upper()}"
        )
    return value


def _secret(path: Path) -> Callable[[], str]:
    """Return a reader of a secret's file, so that it is held no longer than it is used."""
    from chopmark.provenance import read_secret

    return lambda: read_secret(path)


def authority(settings: Settings) -> TimestampAuthority | None:
    """Return the time-stamping authority, or ``None`` where there is none.

    Warns:
        NoTimestampWarning: A certificate of one's own is in use without one.

    Raises:
        ConfigurationError: Its address is none.
    """
    from chopmark.provenance import NoTimestampWarning, TimestampAuthority

    if settings.tsa_url:
        return TimestampAuthority(settings.tsa_url, timeout_s=settings.tsa_wait_s)
    if settings.signing_cert is not None:
        warnings.warn(
            "no time-stamping authority is set: when the signing certificate ends, what it signed"
            " reads as expired. Set CHOPMARK_TSA_URL.",
            NoTimestampWarning,
            stacklevel=2,
        )
    return None


def label(settings: Settings) -> LabelStyle | None:
    """Return the style of the visible label, or ``None`` where none is drawn.

    Raises:
        ConfigurationError: The font cannot be read, or has no glyph for a letter.
    """
    if settings.label == "off":
        return None
    from PIL import Image

    from chopmark.provenance import LABEL_PROFILES, draw_label

    given = {
        "language": settings.label_language,
        "text": settings.label_text or None,
        "position": settings.label_position,
        "size": settings.label_size,
        "font": settings.label_font,
    }
    chosen = {name: value for name, value in given.items() if value is not None}
    style = dataclasses.replace(LABEL_PROFILES[settings.label], **chosen)  # type: ignore[arg-type]
    draw_label(Image.new("RGB", (2048, 2048)), style)  # fails now, not at the first picture
    return style
