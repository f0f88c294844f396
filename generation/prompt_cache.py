"""Embeddings of prompts that were asked for before.

A text encoder costs as much as a denoising step or more, and prompts come again: variations with
other seeds, the empty negative prompt of everybody. What is kept is found by a keyed digest: the
words themselves are not held. It lives in memory alone and ends with the process.
"""

from __future__ import annotations

import hashlib
import inspect
import secrets
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class PromptCache:
    """Remembers what ``encode_prompt`` of the attached pipelines returned.

    Not safe for several threads: whoever runs the pipelines holds a lock anyway.

    Args:
        limit_mb: memory for embeddings in MiB; the least recently used go first.
    """

    def __init__(self, limit_mb: int) -> None:
        self._limit = limit_mb * 2**20
        self._key = secrets.token_bytes(32)
        self._kept: OrderedDict[bytes, tuple[Any, int]] = OrderedDict()
        self._size = 0
        self.hits = 0
        self.misses = 0

    def attach(self, pipeline: Any) -> None:
        """Let ``pipeline`` look here before it encodes; one without ``encode_prompt`` stays."""
        encode = getattr(pipeline, "encode_prompt", None)
        if encode is None or self._limit <= 0:
            return
        signature = inspect.signature(encode)

        def cached(*args: Any, **kwargs: Any) -> Any:
            given = dict(signature.bind(*args, **kwargs).arguments)
            given.update(given.pop("kwargs", {}))
            return self._encode(encode, given)

        pipeline.encode_prompt = cached

    def _encode(self, encode: Callable[..., Any], given: dict[str, Any]) -> Any:
        rows = _rows(given)
        if rows is None:
            return encode(**given)
        # Each prompt is encoded alone: that is how it is found again beside other neighbours, and
        # why a picture of a batch has the very embedding that it has alone.
        merged = _merge([self._one(encode, row) for row in rows])
        return encode(**given) if merged is None else merged

    def _one(self, encode: Callable[..., Any], row: dict[str, Any]) -> Any:
        text = repr((encode.__self__.__class__.__name__, sorted(row.items())))  # type: ignore[attr-defined]
        key = hashlib.blake2b(text.encode(), key=self._key, digest_size=20).digest()
        if key in self._kept:
            self.hits += 1
            self._kept.move_to_end(key)
            return self._kept[key][0]
        self.misses += 1
        result = encode(**row)
        size = _bytes(result)
        if size <= self._limit:
            self._kept[key] = (result, size)
            self._size += size
            while self._size > self._limit:
                _, (_, freed) = self._kept.popitem(last=False)
                self._size -= freed
        return result


def _rows(given: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Split a call into one for each prompt; ``None`` where it holds more than words."""
    count = 1
    for name, value in given.items():
        if isinstance(value, list):
            if not all(isinstance(item, str) for item in value):
                return None
            # Sana also has a list that is an instruction, the same for every prompt.
            count = max(count, len(value)) if "prompt" in name else count
        elif not isinstance(value, str | int | float | bool | tuple | type(None)) and type(
            value
        ).__name__ not in {"device", "dtype"}:
            return None

    def part(name: str, value: Any, row: int) -> Any:
        if not isinstance(value, list) or "prompt" not in name:
            return value
        return value[row if len(value) == count else 0]

    return [{name: part(name, value, row) for name, value in given.items()} for row in range(count)]


def _merge(results: Sequence[Any]) -> Any:
    """Join the results of single prompts into that of their list; ``None`` where none fits."""
    import torch

    if len(results) == 1:
        return results[0]
    first = results[0]
    if isinstance(first, torch.Tensor):
        if any(one.shape != first.shape for one in results):
            return None
        if first.shape[0] == 1:
            return torch.cat(list(results))
        # Positions and the like, which belong to all rows alike.
        return first if all(torch.equal(one, first) for one in results) else None
    if isinstance(first, list):
        return [item for one in results for item in one]
    if isinstance(first, tuple):
        parts: list[Any] = []
        for column in zip(*results, strict=True):
            if all(item is None for item in column):
                parts.append(None)
                continue
            part = _merge(column)
            if part is None:
                return None
            parts.append(part)
        return tuple(parts)
    return None


def _bytes(result: Any) -> int:
    if isinstance(result, list | tuple):
        return sum(_bytes(item) for item in result)
    return int(result.numel() * result.element_size()) if hasattr(result, "numel") else 0
