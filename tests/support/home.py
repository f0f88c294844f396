"""Pipelines over a home of a test's own, with the parts that are slow to open lent by another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark import Pipeline

if TYPE_CHECKING:
    from collections.abc import Collection

    from chopmark import Settings

__all__ = ["GUARDS", "LENT", "open_with"]

#: What a lender lends, and the settings (by the beginnings of their names) that make it what it is.
_READ = {
    "prompt_guard": ("guard_model", "plugins"),
    "image_guard": (
        "guard_model", "plugins", "hash_lists", "hma_", "image_guards", "clip_", "picture_text",
    ),
    "credentials": ("signing_", "signer", "development_key", "pkcs11_", "remote_signer_"),
    "anchors": ("signing_cert", "trust_anchors"),
    "generator": ("model", "quantization", "runtime", "loras", "device", "dtype", "remote_"),
}  # fmt: skip
LENT = frozenset(_READ)
GUARDS = frozenset({"prompt_guard", "image_guard"})


def open_with(
    lender: Pipeline, settings: Settings, *, lend: Collection[str] = LENT, **parts: object
) -> Pipeline:
    """Open a pipeline that borrows what it can.

    A part that the settings describe otherwise than the lender's is opened anew, so a test that
    sets ``hash_lists`` gets a guard with these lists.

    Args:
        lender: A pipeline that stays open longer than this one.
        settings: Of the new pipeline; its home has its own log and store.
        lend: Names of the parts that may be borrowed.
        parts: Parts that are given, whatever the settings say.
    """
    pipeline = Pipeline.from_settings(settings)
    for name in sorted(set(lend) - set(parts)):
        if _same(name, settings, lender.settings):
            pipeline.parts.use(**{name: getattr(lender.parts, name)})
    pipeline.parts.use(**parts)
    return pipeline


def _same(part: str, one: Settings, other: Settings) -> bool:
    names = [name for name in type(one).model_fields if name.startswith(_READ[part])]
    return all(getattr(one, name) == getattr(other, name) for name in names)
