"""What generators write beside a picture, and how it is told from what people write.

Each entry is a form that a program writes by itself, learned from its own code or manual: the
parameters of Automatic1111 and its relatives, ComfyUI's graph, NovelAI, InvokeAI, Midjourney, the
credit lines of Google. A word in a caption is never enough.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from chopmark.provenance.source_types import aigc_kind

if TYPE_CHECKING:
    from chopmark.provenance.source_types import SourceKind

__all__ = [
    "Trace",
    "action_names_generator",
    "aigc_label",
    "credit_trace",
    "software_trace",
    "text_trace",
]

Trace = tuple["SourceKind", str]
"""What it says, and the program."""

_PARAMETERS: Final = re.compile(
    r"\bSteps: \d{1,4}, .{0,200}?\b(?:Sampler|CFG scale|Seed): ", re.DOTALL
)
_MIDJOURNEY: Final = re.compile(r"Job ID: [0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-", re.IGNORECASE)
# Names as the programs write them into Software, CreatorTool or softwareAgent.
_PROGRAMS: Final = (
    "dall·e", "dall-e", "dalle", "midjourney", "stable diffusion", "stablediffusion", "novelai",
    "comfyui", "invokeai", "automatic1111", "fooocus", "adobe firefly", "google imagen",
    "google gemini", "google ai", "gpt-image", "chatgpt", "bing image creator",
    "image creator from designer", "leonardo.ai", "ideogram", "recraft", "flux.1", "flux.2",
    "draw things", "diffusionbee", "swarmui", "easy diffusion", "titan image generator",
)  # fmt: skip
_GRAPHS: Final = frozenset(
    {"prompt", "workflow", "usercomment", "imagedescription", "make", "model"}
)
# In the EXIF of a WebP ComfyUI names what follows.
_LABEL: Final = re.compile(r"\A(?:workflow|prompt):", re.IGNORECASE)
_CREDITS: Final[tuple[tuple[re.Pattern[str], SourceKind, str], ...]] = (
    (
        re.compile(r"\b(?:made|created|generated) with google ai\b", re.IGNORECASE),
        "made",
        "Google AI",
    ),
    (re.compile(r"\bedited with google ai\b", re.IGNORECASE), "edited", "Google AI"),
)
_MOST_JSON: Final = 1 << 20


def text_trace(keyword: str, text: str) -> Trace | None:
    """Return which generator wrote a text of a PNG or a comment, if one did.

    Args:
        keyword: Of the text, or the name of the EXIF field.
        text: The text.
    """
    word = keyword.strip().lower()
    if _PARAMETERS.search(text[:65536]):
        return "made", "Automatic1111 or a relative of it (generation parameters)"
    if word in _GRAPHS and _is_graph(_json(_LABEL.sub("", text, count=1))):
        return "made", "ComfyUI (its graph)"
    if word in {"invokeai_metadata", "invokeai_graph", "sd-metadata", "dream"}:
        return "made", "InvokeAI"
    if word == "fooocus_scheme" or (word == "parameters" and _has(_json(text), "base_model")):
        return "made", "Fooocus"
    if word == "comment" and _has(_json(text), "sampler", "steps"):
        return "made", "NovelAI"
    if word in {"title", "imagedescription"} and text.strip().lower() == "ai generated image":
        return "made", "a program that calls it an AI generated image"
    if word in {"description", "imagedescription"} and _MIDJOURNEY.search(text[:65536]):
        return "made", "Midjourney"
    if word in {"software", "source", "creatortool"}:
        return software_trace(text)
    return credit_trace(text) if word in {"credit", "source"} else None


def software_trace(name: str | None) -> Trace | None:
    """Return that a program is a generator, if its name is one's."""
    low = (name or "").strip().lower()
    if any(re.search(rf"(?<![a-z]){re.escape(one)}", low) for one in _PROGRAMS):
        return "made", (name or "").strip()[:120]
    return None


def action_names_generator(description: str | None, agent: str | None) -> bool:
    """Whether a C2PA action without a source type says all the same that a generator did it.

    Bing and the first DALL-E manifests describe their ``c2pa.created`` as "AI Generated Image".

    Args:
        description: Of the action.
        agent: Its ``softwareAgent``.
    """
    words = " ".join((description or "")[:256].lower().split())
    return words.startswith(("ai generated", "ai-generated")) or software_trace(agent) is not None


def credit_trace(line: str | None) -> Trace | None:
    """Return what a credit line says, if it is one that a generator writes."""
    for pattern, kind, program in _CREDITS:
        if pattern.search((line or "")[:1024].lower()):
            return kind, program
    return None


def aigc_label(keyword: str, text: str) -> str | None:
    """Return the ``Label`` of China's element (GB 45438-2025, annex E) in a text, if it is one.

    In PNG it is a text of its own, in EXIF an object with one member ``AIGC``.
    """
    value = _json(text)
    if isinstance(value, dict):
        inner = next((value[key] for key in ("AIGC", "TC260:AIGC") if key in value), None)
        if inner is None and keyword.strip().lower() in {"aigc", "tc260:aigc"}:
            inner = value
        inner = _json(inner) if isinstance(inner, str) else inner
        label = inner.get("Label") if isinstance(inner, dict) else None
        if isinstance(label, str | int) and aigc_kind(str(label)) != "open":
            return str(label).strip()
    return None


def _json(text: str) -> Any:
    if len(text) > _MOST_JSON or not text.lstrip().startswith(("{", "[")):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        # ComfyUI writes NaN, and some tools a zero byte or words behind the object.
        try:
            return json.JSONDecoder().raw_decode(text.lstrip())[0]
        except (ValueError, RecursionError):
            return None


def _is_graph(value: Any) -> bool:
    """Tell ComfyUI's two forms: nodes by number with a class, and the editor's list of nodes."""
    if not isinstance(value, dict):
        return False
    if isinstance(value.get("nodes"), list):
        return True
    return any(isinstance(node, dict) and "class_type" in node for node in value.values())


def _has(value: Any, *names: str) -> bool:
    return isinstance(value, dict) and all(name in value for name in names)
