"""The vendors' clients for Node, unmodified, against a live server.

Installed with ``npm install --ignore-scripts --no-package-lock --prefix tests/contract/node``;
where they are not, this says so and skips.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.wait import HANG_S

if TYPE_CHECKING:
    from collections.abc import Callable

NODE = Path(__file__).parent / "node"
CALL = "image_generation_call"
STREAM = ["image_generation.partial_image", "image_generation.completed"]
SAID: dict[str, Any] = {
    "openai: generate": [2, "512x512", 512],
    "openai: edit": 1,
    "openai: several pictures": 1,
    "openai: stream": STREAM,
    "openai: moderation": 1,
    "openai: responses": [[CALL, "edit"]],
    "openai: upload in parts, named by its file": ["completed", True, "edit"],
    "openai: chat": 1,
    "openai: refused": "moderation_blocked",
    "genai: generate": ["image/png"],
    "genai: conversation": ["STOP", "STOP", "STOP"],
    "genai: stream": 1,
    "genai: interactions": [
        "completed",
        "interaction.created",
        "step.start",
        "step.delta",
        "step.stop",
        "interaction.completed",
    ],
    "genai: refused": "SAFETY",
    "ai, openai: image": 2,
    "ai, openai: edit": 1,
    "ai, google: image": 1,
    "ai, google: files of a text": ["image/png"],
}


@pytest.mark.skipif(
    shutil.which("node") is None or not (NODE / "node_modules" / "ai").is_dir(),
    reason="the clients for Node are not installed (see the docstring)",
)
def test_the_clients_for_node(
    live: Any, tmp_path: Path, make_picture: Any, to_bytes: Callable[..., bytes]
) -> None:
    picture = tmp_path / "a.png"
    picture.write_bytes(to_bytes(make_picture(320, 180)))
    done = subprocess.run(
        ["node", NODE / "clients.mjs", picture],
        env={**os.environ, "BASE": live.url},
        capture_output=True,
        text=True,
        timeout=HANG_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert {row["name"]: row.get("said", row.get("code")) for row in rows} == SAID
