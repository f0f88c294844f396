"""Chopmark's own parts, behind the same hooks as everybody's (:mod:`chopmark.plugins`).

The rooms' doors are imported where they are used: who verifies a picture loads no generator. Each
function returns what its hook promises, so that mypy checks our own classes against the Protocols.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import TYPE_CHECKING

from chopmark.plugins import Plugins, hookimpl, load_plugins, signing_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.generation import Generator
    from chopmark.kit.types import Progress
    from chopmark.plugins.protocols import RequestLog
    from chopmark.provenance import CredentialProvider, ManifestRepository
    from chopmark.safety import JudgesPictures, JudgesText, PromptGuard
    from chopmark.settings import Settings

__all__ = [
    "all_plugins",
    "chopmark_credential",
    "chopmark_generator",
    "chopmark_image_guard",
    "chopmark_log",
    "chopmark_manifest_store",
    "chopmark_prompt_guard",
    "own_prompt_guard",
    "unpacking",
]


@cache
def all_plugins(*, others: bool = True) -> Plugins:
    """Load the plugins of this process, once, with their watermark methods registered.

    Args:
        others: Whether installed packages take part, or Chopmark's own parts alone.

    Raises:
        ConfigurationError: A plugin is broken, or takes a name that is taken.
    """
    plugins = load_plugins(sys.modules[__name__], others=others)
    methods = plugins.watermarkers()
    if methods:
        from chopmark.provenance.watermark import register_method

        for name, make in methods:
            register_method(name, make)
    return plugins


@hookimpl
def chopmark_generator(settings: Settings, progress: Progress | None) -> Generator:
    """The embedded model, a folder of diffusers, a hub id, or another server's."""
    from chopmark.generation import LoadOptions, RemoteOptions, load_generator

    width, _, height = settings.remote_size.partition("x")
    return load_generator(
        settings.model,
        home=settings.open_home(),
        progress=unpacking(progress),
        options=LoadOptions(
            device=settings.device,
            dtype=settings.dtype,
            quantization=settings.quantization,
            runtime=settings.runtime,
            offload=settings.offload,
            tiling=settings.tiling,
            attention=settings.attention,
            step_cache=settings.step_cache,
            loras=tuple(filter(None, (one.strip() for one in settings.loras.split(",")))),
            max_batch=settings.max_batch,
            max_waiting=settings.max_waiting,
            prompt_cache_mb=settings.prompt_cache_mb,
            memory_limit_mb=settings.memory_limit_mb,
        ),
        remote=RemoteOptions(
            key=settings.remote_key.get_secret_value(),
            timeout_s=settings.remote_timeout_s,
            retries=settings.remote_retries,
            extras=settings.remote_extras,
            allow_plain_http=settings.remote_allow_plain_http,
            max_bytes=2 * settings.max_image_bytes,
            max_pixels=settings.max_image_pixels,
            size=(int(width), int(height)),
        ),
    )


@hookimpl
def chopmark_prompt_guard(settings: Settings) -> JudgesText:
    """Rules and the trained models; a larger one for the uncertain, if the settings name one."""
    return _prompt_guard(settings.guard_model, settings.guard_model_timeout_s)


def own_prompt_guard() -> PromptGuard:
    """Return Chopmark's own prompt guard alone: rules and the trained models, loaded once."""
    return _prompt_guard(None, 0.0)


@cache
def _prompt_guard(guard_model: str | None, timeout_s: float) -> PromptGuard:
    """Load it once: it also judges the text that is read in pictures."""
    from chopmark.safety import PromptGuard
    from chopmark.safety.text.cascade import Cascade
    from chopmark.safety.text.hub import load_text_model

    return PromptGuard.load(
        cascade=(
            Cascade(load_text_model(guard_model), timeout_s=timeout_s) if guard_model else None
        ),
    )


@hookimpl
def chopmark_image_guard(settings: Settings) -> JudgesPictures:
    """Hash lists, picture models, and the reader of text where it is installed."""
    from chopmark.safety import ImageGuard
    from chopmark.safety.hashes.remote import HmaBank
    from chopmark.safety.image.hub import load_picture_models
    from chopmark.safety.image.text import TextReader, ocr_installed

    wanted = settings.picture_text
    reader = None
    if wanted == "always" or (wanted == "auto" and ocr_installed()):
        reader = TextReader(_prompt_guard(settings.guard_model, settings.guard_model_timeout_s))
    remote = [HmaBank(url=settings.hma_url, key=settings.hma_key)] if settings.hma_url else []
    return ImageGuard.load(
        hash_lists=settings.hash_lists,
        also_ask=remote,
        more=load_picture_models(settings.image_guards, clip_backbone=settings.clip_backbone),
        reader=reader,
        read_always=wanted == "always",
        heads=settings.picture_heads,
    )


@hookimpl
def chopmark_credential(settings: Settings) -> CredentialProvider:
    """Sign with the key that the settings name, in a file, a token or a service."""
    return signing_settings.credentials(settings)


@hookimpl
def chopmark_manifest_store(settings: Settings) -> ManifestRepository:
    """A folder and a SQLite index in the home folder; in a bucket as well, where one is named."""
    from chopmark.provenance import ManifestStore

    if not settings.objects:
        return ManifestStore.open(settings.open_home())
    from chopmark.kit.objects import open_objects
    from chopmark.provenance.shared_store import SharedManifests

    objects = open_objects(settings.objects)
    return SharedManifests(ManifestStore.open(settings.open_home()), objects)


@hookimpl
def chopmark_log(settings: Settings) -> RequestLog:
    """SQLite in the home folder."""
    from chopmark.audit import AuditLog

    return AuditLog.open(
        settings.open_home(),
        origin=settings.log_origin,
        database=settings.log_address,
        keys_database=settings.log_keys_address,
        mark=settings.log_mark,
    )


def unpacking(progress: Progress | None) -> Callable[[int, int], None] | None:
    """Return ``progress`` in the form that the generation room tells, with the words for it."""
    if progress is None:
        return None
    return lambda done, total: progress(done, total, "unpacking the model")
