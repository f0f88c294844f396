"""What `chopmark-verify` is made of: rooms of Chopmark as they are, and the C2PA library.

Nothing is copied in the repository. The rooms go to ``chopmark_verify/rooms/chopmark``, a folder of
this distribution's own, so that it can be installed beside the whole of Chopmark. An sdist carries
the rooms, since it cannot reach the repository.

The wheel of c2pa-python holds 31 MB that are left over from its build, and asks for packages that
only its own build needs. So this wheel carries the three modules and the library, as they came, and
has that wheel's platform tag.
"""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

#: Where each thing lies below `chopmark`, and where in the repository.
ROOMS = {
    "errors": "src/chopmark/errors",
    "kit": "src/chopmark/kit",
    "audit/__init__.py": "audit/__init__.py",
    "audit/log": "audit/log",
    "audit/proof": "audit/proof",
    "provenance": "provenance",
    "pipeline/__init__.py": "src/chopmark/pipeline/__init__.py",
    "pipeline/signed_report.py": "src/chopmark/pipeline/signed_report.py",
    "__init__.py": "src/chopmark/__init__.py",
}
_KINDS = {".py", ".pem", ".json", ".md"}


class Rooms(BuildHookInterface):
    """Adds the rooms, and to a wheel the C2PA library."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Say what else goes in."""
        here = Path(self.root)
        into = "rooms" if self.target_name == "sdist" else "chopmark_verify/rooms"
        forced = build_data["force_include"]
        for target, source in ROOMS.items():
            whole = here / "rooms" / "chopmark" / target
            found = whole if whole.exists() else here.parents[1] / source
            for file in [found] if found.is_file() else sorted(found.rglob("*")):
                if file.is_file() and file.suffix in _KINDS:
                    within = "" if found.is_file() else f"/{file.relative_to(found).as_posix()}"
                    forced[str(file)] = f"{into}/chopmark/{target}{within}"
        if self.target_name == "wheel" and version != "editable":
            build_data["tag"] = _take_c2pa(forced, into)
            build_data["pure_python"] = False


def _take_c2pa(forced: dict[str, str], into: str) -> str:
    """Add the library to what goes in; return the platform that it is for."""
    c2pa = importlib.metadata.distribution("c2pa-python")
    for file in c2pa.files or ():
        name = file.as_posix()
        library = name.startswith("c2pa/libs/") and file.suffix in {".so", ".dylib", ".dll"}
        about = name.endswith((".dist-info/METADATA", ".dist-info/WHEEL"))
        if library or about or name in {"c2pa/__init__.py", "c2pa/c2pa.py", "c2pa/lib.py"}:
            forced[str(c2pa.locate_file(file))] = f"{into}/{name}"
    tags = [
        line.removeprefix("Tag:").strip()
        for line in (c2pa.read_text("WHEEL") or "").splitlines()
        if line.startswith("Tag:")
    ]
    return tags[0]
