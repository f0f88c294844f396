"""The routing rules of an installation, with the share of second opinions that its settings say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.audit import Rule, load_rules

if TYPE_CHECKING:
    from pathlib import Path

    from chopmark.settings import Settings

__all__ = ["rules_of"]


def rules_of(settings: Settings, *, path: Path | None = None) -> tuple[Rule, ...]:
    """Return them.

    Args:
        settings: Of the installation.
        path: Another file than the settings name.

    Raises:
        ConfigurationError: The file cannot be read, or is not a list of rules.
    """
    return load_rules(path or settings.review_rules, second_opinions=settings.second_opinions)
