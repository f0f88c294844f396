"""Does this installation work? Each part is opened and really used.

>>> from chopmark.doctor import diagnose
>>> from chopmark import Settings
>>> findings = diagnose(Settings())  # doctest: +SKIP
"""

from __future__ import annotations

import re
import shlex
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from chopmark.errors import ChopmarkError
from chopmark.pipeline.parts import Parts

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import Image

    from chopmark.kit.types import JsonValue, Progress
    from chopmark.settings import Settings

__all__ = ["Diagnosis", "diagnose"]


#: A hint, or what stands between backticks in one, that is a command.
_COMMAND: Final = re.compile(r"`((?:chopmark|chmod|export|mkdir|mv|pip)\b[^`]*)`")
_PLAIN: Final = re.compile(r"^(?:chopmark|chmod|export|mkdir|mv|pip) [^;]+?(?=, or |;|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What was found of one part.

    Attributes:
        part: Its name.
        ok: Whether it does what it is for.
        detail: What it is, or what is wrong with it.
        hint: What to do, in words.
        fix: The command to run next: what mends it, or what shows where it is broken.
    """

    part: str
    ok: bool
    detail: str
    hint: str = ""
    fix: str = ""

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the finding for machines."""
        return asdict(self)


def diagnose(settings: Settings, *, progress: Progress | None = None) -> list[Diagnosis]:
    """Open each part and use it once; a part that fails is a finding, never an exception."""
    findings: list[Diagnosis] = []
    parts = Parts(settings, progress=progress)
    checks: tuple[tuple[str, Callable[[Parts], str]], ...] = (
        ("settings", _settings),
        ("plugins", _plugins),
        ("policy", _policy),
        ("prompt guard", _prompt_guard),
        ("image guard", _image_guard),
        ("log", _log),
        ("shared state", _shared_state),
        ("object store", _objects),
        ("watermark", _watermark),
        ("signing", _signing),
        ("trust lists", _trust),
        ("generator", _generator),
        ("workers", _workers),
    )
    try:
        for done, (part, check) in enumerate(checks):
            if progress is not None:
                progress(done, len(checks), part)
            try:
                findings.append(Diagnosis(part=part, ok=True, detail=check(parts)))
            except ChopmarkError as error:
                findings.append(
                    Diagnosis(
                        part=part,
                        ok=False,
                        detail=f"{error.code}: {error}",
                        hint=error.hint,
                        fix=fix_for(part, settings, error.hint),
                    )
                )
            except Exception as error:  # noqa: BLE001  a doctor reports whatever he finds
                findings.append(
                    Diagnosis(
                        part=part,
                        ok=False,
                        detail=f"{type(error).__name__}: {error}",
                        fix=fix_for(part, settings),
                    )
                )
    finally:
        parts.close()
    return findings


def fix_for(part: str, settings: Settings, hint: str = "") -> str:
    """Return the command for a part that does not work.

    >>> from chopmark import Settings
    >>> fix_for("log", Settings(), "wait, or run `chopmark audit verify --json`")
    'chopmark audit verify --json'
    >>> fix_for("policy", Settings(policy="strict"))
    'chopmark policy check strict'

    Args:
        part: As :func:`diagnose` calls it.
        settings: What the part was opened by.
        hint: Of the error; a command that it names is taken.
    """
    named = _COMMAND.search(hint)
    if named is not None:
        return named[1]
    plain = _PLAIN.match(hint)
    if plain is not None:
        return plain[0]
    again = f"{shlex.quote(sys.executable)} -m pip install --force-reinstall chopmark"
    policy, model = shlex.quote(settings.policy), shlex.quote(settings.model)
    return {
        "settings": "chopmark settings show --changed",
        "plugins": "CHOPMARK_PLUGINS=false chopmark doctor",
        "policy": f"chopmark policy check {policy}",
        "prompt guard": again,
        "image guard": again,
        "log": "chopmark audit verify",
        "shared state": "chopmark settings show shared_state database",
        "object store": "chopmark settings show objects",
        "watermark": "chopmark keys init",
        "signing": "chopmark keys init",
        "trust lists": "chopmark trust list",
        "generator": f"chopmark models {'pull' if model.startswith('hf:') else 'info'} {model}",
        "workers": "chopmark --debug serve --workers 0",
    }[part]


def _settings(parts: Parts) -> str:
    from chopmark.settings import settings_file

    file = settings_file(home=parts.home)
    return "no settings file; environment and defaults" if file is None else str(file.path)


def _plugins(parts: Parts) -> str:
    loaded = parts.plugins.loaded
    return (
        ", ".join(f"{one.name} ({one.distribution}): {' '.join(one.hooks)}" for one in loaded)
        or "none installed"
    )


def _policy(parts: Parts) -> str:
    policy = parts.policies.active()
    return f"{policy.name} {policy.version}, digest {policy.digest()[:12]}"


def _prompt_guard(parts: Parts) -> str:
    verdict = parts.prompt_guard.judge("a red apple on a table", parts.policies.active())
    if verdict.action != "allow":
        raise ChopmarkError(f"a harmless prompt was judged {verdict.action}")
    return f"{', '.join(verdict.models)}; not evaluated: {', '.join(verdict.not_evaluated) or '-'}"


def _image_guard(parts: Parts) -> str:
    from chopmark.safety import draw_test_card
    from chopmark.safety.image.recognition import missing_parts

    verdict = parts.image_guard.judge(draw_test_card(), parts.policies.active())
    if verdict.action != "block":
        raise ChopmarkError(f"the built-in test card was judged {verdict.action}, not block")
    said = f"{', '.join(verdict.models)}; not evaluated: {', '.join(verdict.not_evaluated) or '-'}"
    if parts.settings.picture_heads == "never":
        return f"{said}; people and weapons are not looked for (CHOPMARK_PICTURE_HEADS=never)"
    return "; ".join([said, *missing_parts()])


def _log(parts: Parts) -> str:
    log = parts.request_log
    log.writable()
    return f"{log.size} entries, root {log.root()[:16]}"


def _shared_state(parts: Parts) -> str:
    settings = parts.settings
    if not settings.shared_state:
        where = "CHOPMARK_DATABASE" if settings.database else "the memory of each server"
        return f"requests a minute, waits and wrong passwords are counted in {where}"
    from chopmark.kit.redis import connect

    client = connect(settings.shared_state)
    try:
        told = client.info("server") | client.info("memory")
    finally:
        client.close()
    policy = str(told.get("maxmemory_policy", "noeviction"))
    spare = "CHOPMARK_DATABASE" if settings.database else "the memory of each server"
    lossy = "" if policy == "noeviction" else f"; {policy} may drop counts when memory is short"
    return f"Redis {told.get('redis_version', '')}; if it is lost, {spare} counts{lossy}"


def _objects(parts: Parts) -> str:
    from chopmark.kit.objects import open_objects

    if not parts.settings.objects:
        return "none: the log's public files stand in the home (CHOPMARK_OBJECTS)"
    open_objects(parts.settings.objects)
    return "answers, and takes notice of conditions"


def _watermark(parts: Parts) -> str:
    from chopmark.provenance import detect_mark, embed_mark

    method, key = parts.settings.mark_method, parts.mark_keys.active
    payload = bytes.fromhex("0123456789abcdef")
    marked = embed_mark(_picture(), payload, key=key, method=method)
    found = detect_mark(marked, keys=[key], methods=[method])
    if found.payload != payload:
        raise ChopmarkError("a mark that was just struck is not found")
    return f"{method}, key {key.key_id}, p = {found.p_value:.1e}"


def _signing(parts: Parts) -> str:
    parts.credential.check()
    kind = "development certificate" if parts.credential.is_development else "certificate"
    until = parts.credential.leaf.not_valid_after_utc.date()
    stamps = f"time stamps by {parts.authority.host}" if parts.authority else "no time stamps"
    return f"{kind} {parts.credential.fingerprint[:16]}, valid until {until}; {stamps}"


def _trust(parts: Parts) -> str:
    lists = [one for one in parts.anchors.lists if one.kind != "own"]
    stale = [one for one in lists if one.is_stale()]
    said = ", ".join(
        f"{one.name} of {one.date or 'an unknown day'}"
        + (f" (number {one.sequence})" if one.sequence is not None else "")
        for one in lists
    )
    if stale:
        late = ", ".join(f"{one.name} since {one.next_update[:10]}" for one in stale)
        return f"STALE: {late}; `chopmark trust update FILE` takes a newer one. In use: {said}"
    return said or "none: no signer but our own is known"


def _generator(parts: Parts) -> str:
    info = parts.generator.info
    return f"{info.id}@{info.version}, {info.quantization}, native {info.native_size} px"


def _workers(parts: Parts) -> str:
    from chopmark.pipeline.workplace import held_while_reading

    if parts.settings.workers == 0:
        return "everything is done in one process (CHOPMARK_WORKERS=0)"
    held = held_while_reading(parts.settings, parts.plugins)
    wanting = [name for name in ("landlock", "seccomp") if name not in held]
    without = f"; this machine has no {', no '.join(wanting)}" if wanting else ""
    return f"strangers' files are read under {', '.join(held)}{without}"


def _picture() -> Image.Image:
    """Return a 512 px picture with edges, a gradient and flat parts."""
    import numpy as np
    from PIL import Image

    y, x = np.mgrid[0:512, 0:512]
    disc = ((x - 256) ** 2 + (y - 256) ** 2 < 150**2) * 90
    return Image.fromarray(
        np.stack([x // 4 + 60 + disc // 3, y // 4 + 60, 150 - disc], axis=-1).astype(np.uint8)
    )
