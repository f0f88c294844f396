"""The safety room: judge prompts and pictures by a policy that people can read.

>>> from chopmark.safety import load_policy, normalize
>>> policy = load_policy("default")
>>> policy.name
'default'
>>> normalize("n\u200bu\u200bd\u200be p1cture").text
'nude picture'

A guard joins the two. Loading one takes the sentence encoder and the head, not torch::

    guard = PromptGuard.load()
    verdict = guard.judge("a red apple", policy)
    verdict.action  # 'allow'

The door is lazy: importing it costs nothing but this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.kit.door import lazy_door

if TYPE_CHECKING:
    from chopmark.safety.guards import ImageGuards, JudgesPictures, JudgesText, PromptGuards
    from chopmark.safety.image.decode import Views, decode_image, decode_views
    from chopmark.safety.image.guard import ImageGuard
    from chopmark.safety.policy.load import load_policy
    from chopmark.safety.policy.schema import Policy
    from chopmark.safety.testcard import draw_test_card
    from chopmark.safety.text.guard import PromptGuard
    from chopmark.safety.text.normalize import Normalized, normalize
    from chopmark.safety.verdict import Evidence, Verdict

__all__ = [
    "Evidence",
    "ImageGuard",
    "ImageGuards",
    "JudgesPictures",
    "JudgesText",
    "Normalized",
    "Policy",
    "PromptGuard",
    "PromptGuards",
    "Verdict",
    "Views",
    "decode_image",
    "decode_views",
    "draw_test_card",
    "load_policy",
    "normalize",
]

__getattr__, __dir__ = lazy_door(
    __name__,
    {
        "Evidence": "verdict",
        "ImageGuard": "image.guard",
        "ImageGuards": "guards",
        "JudgesPictures": "guards",
        "JudgesText": "guards",
        "Normalized": "text.normalize",
        "Policy": "policy.schema",
        "PromptGuard": "text.guard",
        "PromptGuards": "guards",
        "Verdict": "verdict",
        "Views": "image.decode",
        "decode_image": "image.decode",
        "decode_views": "image.decode",
        "draw_test_card": "testcard",
        "load_policy": "policy.load",
        "normalize": "text.normalize",
    },
)
