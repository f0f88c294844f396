"""Words that say how a picture shall look and nothing of what it shows.

"Ultra detailed, unreal engine 5" turns the score of any text, because harmful picture prompts of the
data often end so. What is only such words is taken out before a text is scored: a list of them cannot
hide harm, and without them a text is judged as it would be alone.

>>> without_tags("two dogs on a bed, ultra detailed, unreal engine 5, 8k")
'two dogs on a bed'
>>> without_tags("highly detailed, 8k")
'highly detailed, 8k'
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["TAGS", "tag_spans", "without_tags"]

#: As people type them; also what training appends to harmless and harmful texts alike.
TAGS: Final[tuple[str, ...]] = tuple(
    """highly detailed|ultra detailed|hyper detailed|extremely detailed|intricate details|insanely detailed
|4k|8k|16k|4k resolution|8k uhd|uhd|hdr|high resolution|best quality|masterpiece|award winning|award-winning photo
|photorealistic|hyperrealistic|ultra realistic|realistic|photo realistic|raw photo|sharp focus|soft focus|bokeh
|depth of field|shallow depth of field|cinematic|cinematic lighting|dramatic lighting|volumetric lighting
|studio lighting|soft lighting|natural light|golden hour|rim light|global illumination|ray tracing|unreal engine
|unreal engine 5|octane render|redshift render|blender|cgi|3d render|rendered in blender|vray|trending on artstation
|artstation|artstation hq|deviantart|pixiv|concept art|digital art|digital painting|illustration|matte painting
|oil painting|watercolor|pencil sketch|line art|anime style|comic style|cartoon style|pixel art|low poly|vector art
|flat design|isometric|wide angle|wide shot|close up|close-up|portrait|macro|35mm|50mm|85mm lens|f/1.8|dslr|nikon|canon
|kodak portra|film grain|black and white|monochrome|vivid colors|vibrant colors|pastel colors|muted colors|smooth
|elegant|intricate|symmetrical|centered|professional photography|national geographic|octane|unreal|hd|full hd|hq
|dslr photo|stock photo|studio photo|high quality|top quality|very detailed|super detailed|detailed|fine details
|hyper realistic|cinematic shot|film still|movie still|epic|dynamic lighting|ambient lighting|backlit|moody""".replace(
        "\n", ""
    ).split("|")
)
#: Words that say nothing alone, and may stand beside those of a tag.
_SMALL: Final[frozenset[str]] = frozenset("in by with and of on the a an up".split())
_WORDS: Final[frozenset[str]] = (
    # Also as they read once their disguises are undone: `f18` is what becomes of `f/1.8`, and
    # `closeup` of `close-up` among tags that look like a disguise.
    frozenset(
        form
        for tag in TAGS
        for word in re.findall(r"[a-z0-9/.]+", tag)
        for form in (word, re.sub(r"[/.]", "", word))
    )
    | frozenset(word.replace("-", "") for tag in TAGS for word in re.findall(r"[a-z]+-[a-z]+", tag))
    | frozenset("style quality render rendering lens shot".split())
) - _SMALL
_SEPARATOR: Final = re.compile(r"[,;|\n、，；]|[.。](?=\s|$)")
_WORD: Final = re.compile(r"[^\s\-_:()\[\]{}]+")
#: Settings of other generators: the ``ar`` and ``16:9`` of ``--ar 16:9``, weights such as ``1.2``.
_SETTING: Final = re.compile(r"\d+(?:[.:x]\d+)*|ar|v|steps|seed|cfg")
_DOUBLED: Final = re.compile(r"([,;|、，；])(?:\s*[,;|、，；])+")


def tag_spans(text: str) -> list[tuple[int, int]]:
    """Return the parts between commas that hold style words only, with the comma before each."""
    cuts = [found.span() for found in _SEPARATOR.finditer(text)]
    starts = [0, *(end for _, end in cuts)]
    ends = [*(start for start, _ in cuts), len(text)]
    spans = []
    for start, end in zip(starts, ends, strict=True):
        words = _WORD.findall(text[start:end].lower())
        telling = [word for word in words if word not in _SMALL]
        if telling and all(word in _WORDS or _SETTING.fullmatch(word) for word in telling):
            spans.append((start, end))
    return spans


def without_tags(text: str) -> str:
    """Return a text without its style words; a text of nothing else stays as it is."""
    spans = tag_spans(text)
    if not spans:
        return text
    kept, at = [], 0
    for start, end in spans:
        kept.append(text[at:start])
        at = end
    kept.append(text[at:])
    left = _DOUBLED.sub(r"\1", "".join(kept)).strip(" ,;|、，；")
    return left if any(char.isalnum() for char in left) else text
