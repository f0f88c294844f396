"""Judge a picture: hash lists and two small models always, larger means where there is doubt."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, Protocol

import numpy as np

from chopmark.errors import ChopmarkError, GuardFailed
from chopmark.safety.categories import in_order, worst
from chopmark.safety.hashes.folder import ListFolder
from chopmark.safety.hashes.perceptual import hash_picture
from chopmark.safety.image.nsfw import OpenNsfw
from chopmark.safety.image.nsfwjs import NsfwJs
from chopmark.safety.image.recognition import Recognition
from chopmark.safety.image.tiles import details
from chopmark.safety.image.writing import WORTH_READING, written_letters
from chopmark.safety.verdict import Evidence, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL.Image import Image

    from chopmark.safety.hashes.bank import HashMatch
    from chopmark.safety.hashes.folder import Bank
    from chopmark.safety.image.recognition import Wanted
    from chopmark.safety.policy.schema import Policy
    from chopmark.safety.verdict import People

__all__ = ["MIN_SIDE", "ImageGuard", "PictureModel", "PictureReader", "Seen"]

#: Pixels a side; below this there is nothing to look at.
MIN_SIDE: Final[int] = 16
#: From which ``sexual`` score of a picture on words of youth in its prompt block it. Far below any
#: policy's threshold on purpose: here the doubt goes against the picture.
MINORS_SEXUAL: Final[float] = 0.15
#: What nsfwjs may add by itself. It takes two of a hundred ordinary pictures for nudity, open_nsfw
#: none: so alone it asks for a person, and together with the other it blocks.
_ALONE: Final[float] = 0.6
#: From which score of nsfwjs, which sees all of a picture, open_nsfw looks beyond its middle, too.
_HINT: Final[float] = 0.3


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a model saw: a score a category, and boxes where it has them."""

    scores: Mapping[str, float]
    evidence: tuple[Evidence, ...] = ()


class PictureModel(Protocol):
    """A further model, asked in the review band; :mod:`chopmark.safety.image.hub` has some.

    Attributes:
        model: ``id@digest``.
        evaluates: The policy categories that it can score.
    """

    model: str
    evaluates: tuple[str, ...]

    def look(self, image: Image, /) -> Seen:
        """Return a score in 0..1 for each of ``evaluates``; the picture is RGB."""
        ...


class PictureReader(Protocol):
    """Reads the text in a picture and judges it: :mod:`chopmark.safety.image.text`."""

    model: str

    def judge(self, image: Image, policy: Policy, /) -> Verdict | None:
        """Return the text policy's verdict on what stands in the picture, ``None`` for no text."""
        ...


@dataclass(slots=True)
class _Look:
    """What is known of one picture so far."""

    scores: dict[str, float] = field(default_factory=dict)
    evidence: list[Evidence] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    people: People | None = None

    def raise_to(self, name: str, score: float, detail: str) -> None:
        self.scores[name] = max(self.scores.get(name, 0.0), score)
        self.evidence.append(Evidence(category=name, kind="model", detail=detail))


class ImageGuard:
    """Hash lists and picture models behind one method.

    Use :meth:`load`. What no model here recognises is ``not_evaluated`` in every verdict.
    """

    def __init__(
        self,
        *,
        model: OpenNsfw,
        second: NsfwJs | None = None,
        recognition: Recognition | None = None,
        banks: tuple[Bank, ...] | Callable[[], tuple[Bank, ...]],
        more: Sequence[PictureModel] = (),
        reader: PictureReader | None = None,
        read_always: bool = False,
    ) -> None:
        """Take loaded models and the lists to look up, or what returns those in force.

        Args:
            model: Scores every picture.
            second: Scores every picture too.
            recognition: Looks for symbols, people and weapons in every picture.
            banks: Hash lists.
            more: Models that are asked when the first two leave doubt.
            reader: Reads text, where there seems to be some, the words that led to the picture ask
                for it, or in doubt.
            read_always: Read the text of every picture.
        """
        self._model, self._second, self._recognition = model, second, recognition
        self._banks = banks if callable(banks) else lambda: banks
        self._more, self._reader, self._always = tuple(more), reader, read_always
        always = () if recognition is None else recognition.evaluates
        names = {"sexual", *always, *(name for one in more for name in one.evaluates)}
        self._evaluated = in_order(names)

    @classmethod
    def load(
        cls,
        *,
        hash_lists: Path | None = None,
        also_ask: Sequence[Bank] = (),
        more: Sequence[PictureModel] = (),
        reader: PictureReader | None = None,
        read_always: bool = False,
        heads: Wanted = "auto",
    ) -> ImageGuard:
        """Load the picture models and the hash lists.

        Args:
            hash_lists: A folder; every ``*.csv`` in it is one list
                (see :func:`chopmark.safety.hashes.bank.read_csv`), followed when it changes. The
                built-in test list is always there.
            also_ask: Lists that live elsewhere (:mod:`chopmark.safety.hashes.remote`).
            more: Loaded models for the review band.
            reader: A loaded reader of text.
            read_always: Read the text of every picture.
            heads: Whether to look for people and weapons (:meth:`Recognition.load`).

        Raises:
            GuardFailed: A model is missing or damaged.
            HashListError: A list cannot be read. A list that is there is never skipped.
        """
        folder = ListFolder(hash_lists)
        remote = tuple(also_ask)
        return cls(
            model=OpenNsfw(),
            second=NsfwJs(),
            recognition=Recognition.load(heads),
            banks=lambda: (*folder.banks(), *remote),
            more=more,
            reader=reader,
            read_always=read_always,
        )

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
            prompt_verdict: The verdict on the words that led to the picture, for the joint rules;
                where its cues say that they ask for writing, the picture's text is read.

        Raises:
            GuardFailed: The picture could not be judged. Nothing unjudged may be let through.
        """
        started = time.perf_counter()
        look = _Look()
        cues = () if prompt_verdict is None else prompt_verdict.cues
        try:
            plain = image if image.mode == "RGB" else image.convert("RGB")
            if min(plain.size) < MIN_SIDE:
                raise GuardFailed(
                    f"a picture of {plain.width}x{plain.height} pixels is too small to judge",
                    hint=f"at least {MIN_SIDE} pixels a side",
                )
            # Taken out of the image once: lists and the second model look at bare pixels.
            pixels = np.asarray(plain)
            matches = self._listed(pixels, look)
            self._every(plain, pixels, look)
            doubtful = policy.categories["sexual"].action(stage, look.scores["sexual"]) == "review"
            written = None
            if doubtful:
                self._doubtful(plain, look)
            if self._reader is not None and (
                doubtful
                or self._always
                or "writing" in cues
                or written_letters(plain) >= WORTH_READING
            ):
                written = self._reader.judge(plain, policy)
                look.models.append(self._reader.model)
        except ChopmarkError:
            raise
        except Exception as error:
            raise GuardFailed(f"the picture could not be judged: {type(error).__name__}") from error
        if "youth" in cues:
            _minors(look)
        return self._verdict(look, matches, written, policy, stage, prompt_verdict, started)

    def _listed(self, pixels: NDArray[np.uint8], look: _Look) -> list[HashMatch]:
        """Look every hash of the picture up in every list."""
        hashes = hash_picture(pixels)
        banks = self._banks()
        look.models += [f"list:{bank.name}" for bank in banks]
        matches = [match for bank in banks for match in bank.match(hashes)]
        for match in matches:
            look.scores[match.entry.category] = 1.0
            look.evidence.append(
                Evidence(
                    category=match.entry.category,
                    kind="hash",
                    detail=f"{match.entry.kind} distance {match.distance} to an entry of the list "
                    f"{match.bank}: {match.entry.reference or match.entry.value[:12]}",
                )
            )
        return matches

    def _every(self, plain: Image, pixels: NDArray[np.uint8], look: _Look) -> None:
        """Tier 0: the two small models, and what is looked for in every picture."""
        first = round(self._model.score(plain), 6)
        look.models.append(self._model.model)
        look.raise_to("sexual", first, f"open-nsfw score {first:.3f}")
        if self._second is not None:
            other = round(self._second.score(pixels), 6)
            both = round(_ALONE * other + (1 - _ALONE) * first, 6)
            look.models.append(self._second.model)
            look.raise_to("sexual", both, f"nsfwjs score {other:.3f}")
            if other >= _HINT:
                self._edges(plain, look)
            self._details(plain, look)
        if self._recognition is not None:
            seen = self._recognition.look(plain)
            look.scores |= seen.scores
            look.evidence += seen.evidence
            look.people = seen.people
            look.models += self._recognition.models

    def _edges(self, plain: Image, look: _Look) -> None:
        """open_nsfw cuts an eighth off; framed in grey, the edges move into what it sees."""
        edges = round(self._model.score(_framed(plain)), 6)
        look.raise_to("sexual", edges, f"open-nsfw score of the whole picture {edges:.3f}")

    def _details(self, plain: Image, look: _Look) -> None:
        """Parts of a long or large picture, which both models must take for nudity."""
        if self._second is None:
            return
        for box in details(plain.size):
            part = plain.crop(box)
            # The quicker one first: the other is asked where it sees something.
            score = self._second.score(np.asarray(part))
            if score >= _HINT:
                score = round(min(score, self._model.score(part)), 6)
                if score > look.scores["sexual"]:
                    look.scores["sexual"] = score
                    detail = f"both models, of a part of the picture, score {score:.3f}"
                    look.evidence.append(
                        Evidence(category="sexual", kind="model", detail=detail, box=box)
                    )

    def _doubtful(self, plain: Image, look: _Look) -> None:
        """Tier 1: another crop for the model that sees the middle only, and the larger models."""
        self._edges(plain, look)
        for one in self._more:
            seen = one.look(plain)
            for name, score in seen.scores.items():
                look.raise_to(name, round(score, 6), f"{one.model} score {score:.3f}")
            look.evidence += seen.evidence
            look.models.append(one.model)

    def _verdict(
        self,
        look: _Look,
        matches: list[HashMatch],
        written: Verdict | None,
        policy: Policy,
        stage: Literal["output", "input"],
        prompt_verdict: Verdict | None,
        started: float,
    ) -> Verdict:
        decision = policy.decide(
            look.scores,
            stage=stage,
            prompt_scores=None if prompt_verdict is None else prompt_verdict.scores,
            people=look.people,
        )
        action, categories = decision.action, decision.categories
        if matches:
            action = worst(action, "block")
            listed = dict.fromkeys(match.entry.category for match in matches)
            reached = decision.categories if decision.action == "block" else ()
            categories = tuple(dict.fromkeys([*listed, *reached]))
        evidence = look.evidence + [
            Evidence(
                category=rule.category,
                kind="rule",
                detail=f"joint rule {rule.name}",
                # Whom the rule is about: the tallest face.
                box=None if rule.people is None or look.people is None else look.people.boxes[0],
            )
            for rule in policy.rules
            if rule.name in decision.rules
        ]
        evaluated = [name for name in self._evaluated if name in look.scores or name == "sexual"]
        if "sexual/minors" in look.scores:
            evaluated.append("sexual/minors")
        if written is not None and written.flagged:
            evidence += [
                Evidence(
                    category=one.category,
                    kind="image",
                    text=one.text,
                    detail=f"text in the picture: {one.detail}",
                    box=one.box,
                )
                for one in written.evidence
            ]
            for name in written.categories:
                look.scores[name] = max(look.scores.get(name, 0.0), written.scores.get(name, 0.0))
            if worst(action, written.action) != action:
                action, categories = written.action, written.categories
        return Verdict(
            action=action,
            scores=look.scores,
            evidence=tuple(evidence),
            categories=categories,
            evaluated=tuple(evaluated),
            not_evaluated=in_order(set(policy.categories).difference(evaluated)),
            policy=policy.digest(),
            models=tuple(look.models),
            people=look.people,
            elapsed_ms=(time.perf_counter() - started) * 1000,
        )


def _minors(look: _Look) -> None:
    """Joint rule without override: youth in the prompt, any sexual signal in the picture."""
    signal = look.scores.get("sexual", 0.0) >= MINORS_SEXUAL
    look.scores["sexual/minors"] = max(look.scores.get("sexual/minors", 0.0), float(signal))
    if signal:
        look.evidence.append(
            Evidence(
                category="sexual/minors",
                kind="rule",
                detail="a youth cue in the prompt beside a sexual signal in the picture",
            )
        )


def _framed(plain: Image) -> Image:
    from PIL import ImageOps

    border = max(1, max(plain.size) // 12)
    return ImageOps.expand(plain, border, (124, 116, 104))  # the grey that the model subtracts
