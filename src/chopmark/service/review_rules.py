"""Routing rules and deadlines of an installation, as its settings say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.audit import Rule, load_rules

if TYPE_CHECKING:
    from pathlib import Path

    from chopmark.audit.desk.takedowns import Demand
    from chopmark.settings import Settings

__all__ = ["hours_for", "rules_of"]


def rules_of(settings: Settings, *, path: Path | None = None) -> tuple[Rule, ...]:
    """Return them.

    Args:
        settings: Of the installation.
        path: Another file than the settings name.

    Raises:
        ConfigurationError: The file cannot be read, or is not a list of rules.
    """
    return load_rules(path or settings.review_rules, second_opinions=settings.second_opinions)


def hours_for(settings: Settings, demand: Demand) -> float | None:
    """Return how many hours there are for a demand to take pictures down; None: no deadline."""
    if demand == "intimate" and settings.takedown_intimate_hours is not None:
        return settings.takedown_intimate_hours
    return settings.takedown_hours
