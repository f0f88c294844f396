"""Which models lie on this disk: the embedded one, folders, and what is in the hub's cache.

Nothing is loaded and nothing is asked over a network.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, kw_only=True)
class ListedModel:
    """One model that can be named.

    Attributes:
        id: what ``--model`` takes.
        kind: class of the diffusers pipeline.
        size_mb: MiB of its files.
        path: where it lies.
    """

    id: str
    kind: str
    size_mb: int
    path: Path


def list_models(home: Path) -> list[ListedModel]:
    """Return the models on this disk, the embedded one first.

    Args:
        home: Chopmark's state folder; folders under ``home/models`` are listed.
    """
    from chopmark.generation.embedded import WEIGHTS

    found = [_entry("embedded", WEIGHTS)]
    folder = home / "models"
    # What the embedded model was unpacked to is the embedded model.
    found += [
        _entry(str(path), path)
        for path in (sorted(folder.iterdir()) if folder.is_dir() else ())
        if not path.name.startswith(("embedded-", "."))
    ]
    found += [_entry(name, path) for name, path in _cached()]
    return [entry for entry in found if entry is not None]


def _entry(name: str, path: Path) -> ListedModel | None:
    try:
        index = json.loads((path / "model_index.json").read_text("utf-8"))
        kind = str(index["_class_name"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return ListedModel(id=name, kind=kind, size_mb=round(size / 2**20), path=path)


def _cached() -> Iterator[tuple[str, Path]]:
    """Yield hub ids and snapshots from the Hugging Face cache, without its client library."""
    root = Path(os.environ.get("HF_HOME") or "~/.cache/huggingface").expanduser()
    hub = Path(os.environ.get("HF_HUB_CACHE") or root / "hub").expanduser()
    for repository in sorted(hub.glob("models--*--*")) if hub.is_dir() else ():
        snapshots = sorted((repository / "snapshots").glob("*"), key=lambda p: p.stat().st_mtime)
        if snapshots:
            _, owner, name = repository.name.split("--", 2)
            yield f"hf:{owner}/{name}", snapshots[-1]
