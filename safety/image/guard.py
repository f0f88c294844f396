"""Judge a picture: hash lists first, then the model, then the policy's joint rules."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Literal

from chopmark.errors import ChopmarkError, GuardFailed
from chopmark.safety.categories import CATEGORIES, worst
from chopmark.safety.hashes.folder import ListFolder
from chopmark.safety.hashes.perceptual import hash_picture
from chopmark.safety.image.nsfw import OpenNsfw
from chopmark.safety.verdict import Evidence, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from PIL.Image import Image

    from chopmark.safety.hashes.bank import HashBank
    from chopmark.safety.policy.schema import Policy

__all__ = ["ImageGuard"]

_SMALLEST: Final[int] = 16
_EVALUATED: Final[tuple[str, ...]] = ("sexual",)


class ImageGuard:
    """Hash lists and picture models behind one method.

    Use :meth:`load`. What no model here recognises is ``not_evaluated`` in every verdict.
    """

    def __init__(
        self, *, model: OpenNsfw, banks: tuple[HashBank, ...] | Callable[[], tuple[HashBank, ...]]
    ) -> None:
        """Take a loaded model and the lists to look up, or what returns those in force."""
        self._model = model
        self._banks = banks if callable(banks) else lambda: banks

    @classmethod
    def load(cls, *, hash_lists: Path | None = None) -> ImageGuard:
        """Load the picture model and the hash lists.

        Args:
            hash_lists: A folder; every ``*.csv`` in it is one list
                (see :func:`chopmark.safety.hashes.bank.read_csv`), followed when it changes. The
                built-in test list is always there.

        Raises:
            GuardFailed: The model is missing or damaged.
            HashListError: A list cannot be read. A list that is there is never skipped.
        """
        return cls(model=OpenNsfw(), banks=ListFolder(hash_lists).banks)

    def judge(
        self,
        image: Image,
        policy: Policy,
        *,
        stage: Literal["output", "input"] = "output",
        prompt_verdict: Verdict | None = None,
    ) -> Verdict:
        """Judge a picture.

        Args:
            image: Decoded (:func:`chopmark.safety.decode_image`), any mode.
            policy: What to do at which score.
            stage: ``output`` for what was generated, ``input`` for what a user sent.
            prompt_verdict: The verdict on the words that led to the picture, for the joint rules.

        Raises:
            GuardFailed: The picture could not be judged. Nothing unjudged may be let through.
        """
        started = time.perf_counter()
        try:
            plain = image if image.mode == "RGB" else image.convert("RGB")
            if min(plain.size) < _SMALLEST:
                raise GuardFailed(
                    f"a picture of {plain.width}x{plain.height} pixels is too small to judge",
                    hint=f"at least {_SMALLEST} pixels a side",
                )
            hashes = hash_picture(plain)
            banks = self._banks()
            matches = [match for bank in banks for match in bank.match(hashes)]
            nsfw = round(self._model.score(plain), 6)
        except ChopmarkError:
            raise
        except Exception as error:
            raise GuardFailed(f"the picture could not be judged: {type(error).__name__}") from error
        scores = {"sexual": nsfw}
        evidence = [
            Evidence(
                category=match.entry.category,
                kind="hash",
                detail=f"{match.entry.kind} distance {match.distance} to an entry of the list "
                f"{match.bank}: {match.entry.reference or match.entry.value[:12]}",
            )
            for match in matches
        ]
        for match in matches:
            scores[match.entry.category] = 1.0
        evidence.append(
            Evidence(category="sexual", kind="model", detail=f"open-nsfw score {nsfw:.3f}")
        )
        decision = policy.decide(
            scores,
            stage=stage,
            prompt_scores=None if prompt_verdict is None else prompt_verdict.scores,
        )
        action, categories = decision.action, decision.categories
        if matches:
            action = worst(action, "block")
            listed = dict.fromkeys(match.entry.category for match in matches)
            reached = decision.categories if decision.action == "block" else ()
            categories = tuple(dict.fromkeys([*listed, *reached]))
        evidence += [
            Evidence(category=rule.category, kind="rule", detail=f"joint rule {rule.name}")
            for rule in policy.rules
            if rule.name in decision.rules
        ]
        return Verdict(
            action=action,
            scores=scores,
            evidence=tuple(evidence),
            categories=categories,
            evaluated=_EVALUATED,
            not_evaluated=tuple(name for name in CATEGORIES if name not in _EVALUATED),
            policy=policy.digest(),
            models=(self._model.model, *(f"list:{bank.name}" for bank in banks)),
            elapsed_ms=(time.perf_counter() - started) * 1000,
        )
