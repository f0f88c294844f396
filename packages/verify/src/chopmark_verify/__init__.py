"""Checks what Chopmark hands out, without Chopmark: pictures, receipts, signed reports, logs.

``chopmark-verify FILE`` tells from the file which of them it is; ``main`` is the command.

The rooms of Chopmark that do the work lie beside this module, in a folder of their own that is put
first on the path: they are the code that ``chopmark verify`` runs, not a second version of it.
"""

from __future__ import annotations

import sys
from pathlib import Path

__all__ = ["main"]


def main() -> None:
    """Run the command line."""
    rooms = Path(__file__).parent / "rooms"
    if rooms.is_dir():  # in a checkout the rooms are where they always are
        sys.path.insert(0, str(rooms))
    from chopmark_verify.command import run

    sys.exit(run(sys.argv[1:]))
