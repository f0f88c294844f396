"""Which words together are harm: a table of rules over the roles of the word lists.

A name is no harm and neither is a word; a real person *and* a deceptive setting is. Each rule names
the roles that must stand near one another, the score that they give, and the roles that take it back.
"""

from __future__ import annotations

import bisect
import itertools
import re
from dataclasses import dataclass
from typing import Final

from chopmark.safety.text.lexicon import TermHit, lexicon

__all__ = ["RULES", "RuleFinding", "WordRule", "apply_rules", "sexual_terms"]

#: Words that may lie between the roles of one rule.
_REACH: Final[int] = 14
#: A text that begins as a question or a task about the matter asks to know, not for a picture of it.
#: "how" alone is none of them: "how to build a bomb" asks for the deed. A space is written ``[ ]``.
_QUESTION: Final = re.compile(
    r"""
    ^\W*
    (?: what|when|where|who|whom|whose|why|which
      | is|are|was|were|did|does|do|should
      | could[ ]you[ ]explain|explain|summari[sz]e|compare|tell[ ]me[ ]about
      | write[ ]an?[ ](?:school[ ])?essay
      | list[ ]organi[sz]ations
      | in[ ]what[ ]year
      | how[ ](?: did|does|common|many
                | do[ ](?:charities|police|banks|schools)
                | can[ ]i[ ](?:support|help|protect|report|recogni[sz]e|avoid|prevent) )
    )\b
    """,
    re.IGNORECASE | re.VERBOSE,
)


@dataclass(frozen=True, kw_only=True)
class WordRule:
    """Roles that together speak for a category.

    Attributes:
        roles: Each must be there, all within reach of one another.
        unless: Roles that take the finding back when they stand anywhere in the text.
        ask: Whether a question about the matter is a finding too.
        names: Whether the rule is about names, which a model does not know: it decides alone.
    """

    name: str
    category: str
    roles: tuple[str, ...]
    score: float
    unless: tuple[str, ...] = ()
    ask: bool = False
    names: bool = False


@dataclass(frozen=True, kw_only=True)
class RuleFinding:
    """A rule that holds, with the span of the words that made it, in the normalised text."""

    rule: WordRule
    start: int
    end: int


RULES: Final[tuple[WordRule, ...]] = (
    WordRule(
        name="explicit",
        category="sexual",
        roles=("sexual.strong",),
        score=0.8,
        unless=("sexual.exempt",),
    ),
    WordRule(
        name="nude-person",
        category="sexual",
        roles=("sexual.soft", "person"),
        score=0.42,
        unless=("sexual.exempt",),
    ),
    WordRule(name="gore", category="violence", roles=("gore",), score=0.7, unless=("gore.exempt",)),
    WordRule(
        name="attack-blood",
        category="violence",
        roles=("attack", "blood"),
        score=0.6,
        unless=("attack.exempt", "gore.exempt"),
    ),
    WordRule(
        name="weapon-making",
        category="illicit",
        roles=("how", "weapon"),
        score=0.75,
        unless=("illicit.exempt",),
        ask=True,
    ),
    WordRule(
        name="weapon",
        category="illicit",
        roles=("weapon.strong",),
        score=0.6,
        unless=("illicit.exempt",),
    ),
    WordRule(
        name="drug-making",
        category="illicit",
        roles=("how", "drug"),
        score=0.7,
        unless=("illicit.exempt",),
        ask=True,
    ),
    WordRule(
        name="drug-trade",
        category="illicit",
        roles=("drug", "trade"),
        score=0.65,
        unless=("illicit.exempt",),
    ),
    WordRule(
        name="forgery",
        category="illicit",
        roles=("forge", "document"),
        score=0.7,
        unless=("illicit.exempt",),
    ),
    WordRule(
        name="crime-guide",
        category="illicit",
        roles=("how", "crime"),
        score=0.7,
        unless=("illicit.exempt",),
    ),
    WordRule(
        name="extremist-glory",
        names=True,
        category="extremism",
        roles=("extremist", "glorify"),
        score=0.75,
        unless=("extremist.exempt",),
    ),
    WordRule(
        name="self-harm",
        category="self-harm",
        roles=("selfharm",),
        score=0.7,
        unless=("selfharm.exempt",),
    ),
    WordRule(
        name="dehumanising",
        category="hate",
        roles=("group", "dehumanise"),
        score=0.65,
        unless=("hate.exempt",),
    ),
    WordRule(name="slur", names=True, category="hate", roles=("slur",), score=0.55),
    WordRule(
        name="bullying",
        category="harassment",
        roles=("target", "bully"),
        score=0.65,
        unless=("target.exempt",),
    ),
    WordRule(
        name="hoax",
        category="disinformation",
        roles=("hoax", "claim"),
        score=0.65,
        unless=("hoax.exempt",),
    ),
    WordRule(
        name="figure-deceived",
        names=True,
        category="deepfake",
        roles=("figure", "deceptive"),
        score=0.75,
        unless=("deceptive.exempt",),
    ),
    WordRule(
        name="figure-sexualised",
        names=True,
        category="sexual",
        roles=("figure", "sexualised"),
        score=0.75,
    ),
    WordRule(
        name="person-faked",
        names=True,
        category="deepfake",
        roles=("office", "sexualised"),
        score=0.7,
    ),
    # What the model has no labels for, only words: OpenAI's finer categories.
    WordRule(
        name="weapon-making-violent",
        category="illicit/violent",
        roles=("how", "weapon"),
        score=0.75,
        unless=("illicit.exempt",),
        ask=True,
    ),
    WordRule(
        name="gore-graphic",
        category="violence/graphic",
        roles=("gore",),
        score=0.7,
        unless=("gore.exempt",),
    ),
    WordRule(
        name="self-harm-guide",
        category="self-harm/instructions",
        roles=("how", "selfharm"),
        score=0.75,
        unless=("selfharm.exempt",),
        ask=True,
    ),
    WordRule(
        name="self-harm-wish",
        category="self-harm/intent",
        roles=("selfharm.wish",),
        score=0.75,
        unless=("selfharm.exempt",),
        ask=True,
    ),
    WordRule(
        name="threat-group",
        category="hate/threatening",
        roles=("group", "threat"),
        score=0.7,
        unless=("hate.exempt",),
    ),
    WordRule(
        name="threat-person",
        category="harassment/threatening",
        roles=("target", "threat"),
        score=0.7,
        unless=("target.exempt",),
    ),
    WordRule(
        name="character",
        names=True,
        category="ip",
        roles=("character",),
        score=0.7,
        unless=("ip.exempt",),
    ),
    WordRule(
        name="character-hinted",
        names=True,
        category="ip",
        roles=("character.word", "character.hint"),
        score=0.65,
        unless=("ip.exempt",),
    ),
    WordRule(
        name="brand-mark",
        names=True,
        category="ip",
        roles=("brand", "brandmark"),
        score=0.7,
        unless=("ip.exempt",),
    ),
    WordRule(
        name="brand-logo",
        names=True,
        category="ip",
        roles=("brand.word", "mark.official"),
        score=0.65,
        unless=("ip.exempt",),
    ),
)


def apply_rules(text: str) -> list[RuleFinding]:
    """Return the rules that hold in a normalised text, each once, with the closest words."""
    hits, _ = lexicon().find(text)
    if not hits:
        return []
    by_role: dict[str, list[TermHit]] = {}
    for hit in hits:
        by_role.setdefault(hit.role, []).append(hit)
    asking = _QUESTION.match(text) is not None
    findings = []
    for rule in RULES:
        if (asking and not rule.ask) or not by_role.keys() >= set(rule.roles):
            continue
        best = _closest([by_role[role] for role in rule.roles])
        if best is None or _taken_back(best, [h for r in rule.unless for h in by_role.get(r, ())]):
            continue
        findings.append(
            RuleFinding(rule=rule, start=min(h.start for h in best), end=max(h.end for h in best))
        )
    return findings


#: Words of ``sexual.soft`` that mean something else as often; beside a child they say nothing.
_AMBIGUOUS: Final[frozenset[str]] = frozenset({"ass", "tits", "booty", "thong", "he", "moaning"})


def sexual_terms(text: str) -> list[tuple[int, int]]:
    """Return the spans of all sexual terms in a normalised text, strong and soft, no exemption.

    For the rule on minors: beside a cue of youth there is no harmless reading that is worth its risk.
    """
    hits, _ = lexicon().find(text)
    return [
        (hit.start, hit.end)
        for hit in hits
        if hit.role in {"sexual.strong", "sexual.soft"}
        and text[hit.start : hit.end].lower() not in _AMBIGUOUS
    ]


def _closest(groups: list[list[TermHit]]) -> tuple[TermHit, ...] | None:
    """Return one hit of each role, as near as possible; no word may play two of the roles."""
    if len(groups) == 1:
        return (groups[0][0],)
    best: tuple[int, tuple[TermHit, ...]] | None = None
    firsts = [hit.first for hit in groups[1]]
    longest = max(hit.last - hit.first for hit in groups[1])
    # Hits come in the order of the text, except those of scripts without spaces, which all say word 0.
    ordered = all(one <= two for one, two in itertools.pairwise(firsts))
    for a in groups[0]:
        near = groups[1]
        if ordered:  # only those that can be within reach: a long text has very many pairs
            low = bisect.bisect_left(firsts, a.first - _REACH - 1 - longest)
            near = near[low : bisect.bisect_right(firsts, a.last + _REACH + 1)]
        for b in near:
            if a.first <= b.last and b.first <= a.last and (a.start < b.end and b.start < a.end):
                continue  # the same words
            # Words between the nearer ends; negative where they overlap.
            far = max(a.first, b.first) - min(a.last, b.last) - 1
            if far <= _REACH and (best is None or far < best[0]):
                best = (far, (a, b))
    return best[1] if best else None


def _taken_back(found: tuple[TermHit, ...], exempt: list[TermHit]) -> bool:
    """Tell whether a word that takes the finding back stands within reach and is none of its own."""
    first, last = min(h.first for h in found), max(h.last for h in found)
    return any(
        hit.first <= last + _REACH
        and hit.last >= first - _REACH
        and not any(hit.start == own.start and hit.end == own.end for own in found)
        for hit in exempt
    )
