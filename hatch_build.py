"""Links the rooms into the package, where an editable install finds them missing.

In a checkout ``src/chopmark/audit`` and the three others are links to the rooms at the root.
hatchling walks each folder once and writes no links into an sdist, so an unpacked one lacks them. A
wheel needs none: ``force-include`` in ``pyproject.toml`` puts the rooms in their place.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOMS = ("audit", "generation", "provenance", "safety")


class LinkRooms(BuildHookInterface[BuilderConfig]):
    """The build hook of ``[tool.hatch.build.targets.wheel.hooks.custom]``."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Make the links that an editable install (and nothing else) imports the rooms through."""
        if version != "editable":
            return
        for room in ROOMS:
            link = Path(self.root, "src", "chopmark", room)
            if not link.exists():
                link.symlink_to(Path("..", "..", room), target_is_directory=True)
