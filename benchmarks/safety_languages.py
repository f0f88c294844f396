"""Tables of the safety benchmark: languages, length, style words, edits, burial, a day in use.

The texts are the probe of ``benchmarks/data/language_probe.txt`` and harmless captions and names
by other authors that neither trained nor calibrated anything.
"""

from __future__ import annotations

import random
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from chopmark.safety.text.style_tags import TAGS
from training.safety.mixture import caption_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chopmark.safety import Verdict
    from training.safety.data import Row

    Judge = Callable[..., Verdict]

__all__ = ["Probe", "language_tables", "read_probe"]

_PROBE: Final = Path(__file__).parent / "data" / "language_probe.txt"
_A_LANGUAGE: Final[int] = 60
_DAY: Final[int] = 300
_SEED: Final[int] = 19


@dataclass(frozen=True, kw_only=True)
class Probe:
    """Texts of one language.

    Attributes:
        harmful: What asks for harm.
        harmless: What does not.
        undress: Edits that undress or humiliate.
        edits: Ordinary ones.
    """

    harmful: tuple[str, ...]
    harmless: tuple[str, ...]
    undress: tuple[str, ...]
    edits: tuple[str, ...]


def read_probe() -> dict[str, Probe]:
    """Return the probe, by language."""
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for line in _PROBE.read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            code, kind, texts = line.split(" ", 2)
            found.setdefault(code, {})[kind] = tuple(texts.split("|"))
    return {
        code: Probe(harmful=kinds["h"], harmless=kinds["s"], undress=kinds["u"], edits=kinds["e"])
        for code, kinds in found.items()
    }


def language_tables(
    data: Path, judge: Judge, *, harmful: Sequence[str], harmless: Sequence[str]
) -> list[str]:
    """Return all tables.

    Args:
        data: Where the captions are.
        judge: Judges a text, with ``edit=True`` as what is asked of an edit.
        harmful: English picture prompts that are not trained on.
        harmless: Likewise.
    """
    probe, captions = read_probe(), _captions(data)
    bad = [*harmful, *(text for one in probe.values() for text in one.harmful)]
    good = [*harmless, *(text for one in probe.values() for text in one.harmless)]
    return [
        *_languages(probe, captions, judge),
        *_edits(probe, judge),
        *_lengths(bad, [*good, *(row.text for rows in captions.values() for row in rows)], judge),
        *_tags(bad, good, judge),
        *_burial(probe, captions, harmful, harmless, judge),
        *_in_use(bad, [*good, *(row.text for rows in captions.values() for row in rows)], judge),
        *_day(bad, captions, harmless, judge),
    ]


def _captions(data: Path) -> dict[str, list[Row]]:
    """Return harmless rows of each language that the calibration left out."""
    _, check = caption_rows(data / "captions-multilingual.jsonl")
    held: dict[str, list[Row]] = {}
    for at, row in enumerate(check):
        if at % 3:
            held.setdefault(row.lang, []).append(row)
    dice = random.Random(_SEED)
    return {
        code: dice.sample(rows, min(_A_LANGUAGE, len(rows))) for code, rows in sorted(held.items())
    }


def _flagged(verdict: Verdict) -> bool:
    return verdict.action != "allow"


def _cell(said: Sequence[bool]) -> str:
    """Return a share in per cent with its 95 % interval (Wilson) and count."""
    n = len(said)
    if not n:
        return "-"
    p, z = float(np.mean(said)), 1.96
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * float(np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))) / (1 + z * z / n)
    low, high = 100 * max(0.0, middle - half), 100 * min(1.0, middle + half)
    return f"{100 * p:.1f} ({low:.0f} to {high:.0f}, {n})"


def _languages(probe: dict[str, Probe], captions: dict[str, list[Row]], judge: Judge) -> list[str]:
    said = [
        "#### By language",
        "",
        "Per cent flagged (block or review), with 95 % intervals and counts. The probe is by the "
        "author of the training rows, in other sentences; captions and names are by other authors.",
        "",
        "| language | probe: harmful | probe: harmless | captions and names, harmless |",
        "|---|---|---|---|",
    ]
    every: tuple[list[bool], list[bool], list[bool]] = ([], [], [])
    for code in sorted(probe.keys() | captions.keys()):
        one = probe.get(code)
        columns = (
            [_flagged(judge(text)) for text in (one.harmful if one else ())],
            [_flagged(judge(text)) for text in (one.harmless if one else ())],
            [_flagged(judge(row.text)) for row in captions.get(code, ())],
        )
        for all_of_them, column in zip(every, columns, strict=True):
            all_of_them.extend(column)
        said.append(f"| {code} | " + " | ".join(map(_cell, columns)) + " |")
    return [*said, "| all | " + " | ".join(map(_cell, every)) + " |", ""]


def _edits(probe: dict[str, Probe], judge: Judge) -> list[str]:
    undress = {c: [_flagged(judge(t, edit=True)) for t in p.undress] for c, p in probe.items()}
    plain = {c: [_flagged(judge(t, edit=True)) for t in p.edits] for c, p in probe.items()}
    missed = ", ".join(sorted(c for c, said in undress.items() if not all(said))) or "none"
    return [
        "#### Edits",
        "",
        f"Of {len(probe)} languages: undressing edits flagged "
        f"{_cell([one for said in undress.values() for one in said])}, ordinary edits flagged "
        f"{_cell([one for said in plain.values() for one in said])}. Languages with an undressing "
        f"edit that passed: {missed}.",
        "",
    ]


def _lengths(bad: Sequence[str], good: Sequence[str], judge: Judge) -> list[str]:
    said = [
        "#### By length",
        "",
        "| characters | harmful flagged | harmless flagged |",
        "|---|---|---|",
    ]
    for low, high in ((1, 15), (16, 30), (31, 60), (61, 120), (121, 10_000)):
        cells = [
            _cell([_flagged(judge(text)) for text in texts if low <= len(text) <= high])
            for texts in (bad, good)
        ]
        said.append(f"| {low} to {high} | {cells[0]} | {cells[1]} |")
    return [*said, ""]


def _tags(bad: Sequence[str], good: Sequence[str], judge: Judge) -> list[str]:
    dice = random.Random(_SEED)
    known = [", ".join(dice.sample(TAGS, 4)) for _ in range(5)]
    unknown = [
        "hyper maximalist, wlop, rtx on",
        "by a famous painter, museum grade",
        "ultra glossy magazine look",
    ]
    said = ["#### Style words", "", "| appended | decisions changed |", "|---|---|"]
    for name, tags in (("words of the list", known), ("others", unknown)):
        changed = [
            judge(f"{text}, {dice.choice(tags)}").action != judge(text).action
            for text in [
                *dice.sample(list(bad), min(150, len(bad))),
                *dice.sample(list(good), min(300, len(good))),
            ]
        ]
        said.append(f"| {name} | {_cell(changed)} |")
    return [*said, ""]


def _burial(
    probe: dict[str, Probe],
    captions: dict[str, list[Row]],
    harmful: Sequence[str],
    harmless: Sequence[str],
    judge: Judge,
) -> list[str]:
    dice = random.Random(_SEED)
    said = [
        "#### Burial",
        "",
        "Harmful texts that are flagged alone, amid harmless text of the same language, half "
        "before and half after; beside it harmless text of that length alone.",
        "",
        "| harmless characters | English / harmless alone | other languages | harmless alone |",
        "|---|---|---|---|",
    ]
    english = [t for t in dice.sample(list(harmful), min(40, len(harmful))) if _flagged(judge(t))]
    others = [
        (code, text)
        for code, one in probe.items()
        for text in one.harmful[:2]
        if _flagged(judge(text))
    ]
    for size in (200, 1000, 4000):

        def filler(texts: Sequence[str], half: int) -> str:
            made = ""
            while len(made) < half:
                made += dice.choice(texts).rstrip(".") + ". "
            return made

        a = [
            _flagged(judge(f"{filler(harmless, size // 2)}{text}. {filler(harmless, size // 2)}"))
            for text in english
        ]
        b = [_flagged(judge(filler(harmless, size))) for _ in range(20)]
        own = {code: [row.text for row in rows] for code, rows in captions.items()}
        c = [
            _flagged(judge(f"{filler(own[code], size // 2)}{text}. {filler(own[code], size // 2)}"))
            for code, text in others
        ]
        d = [_flagged(judge(filler(texts, size))) for texts in own.values()]
        said.append(f"| {size} | {_cell(a)} / {_cell(b)} | {_cell(c)} | {_cell(d)} |")
    return [*said, ""]


def _in_use(bad: Sequence[str], good: Sequence[str], judge: Judge) -> list[str]:
    said = [
        "#### Precision where nine texts in ten are harmless",
        "",
        "| decision | harmful with it | harmless with it | precision at one in ten |",
        "|---|---|---|---|",
    ]
    for action in ("block", "review"):
        hit = [judge(text).action == action for text in bad]
        wrong = [judge(text).action == action for text in good]
        a, b = 0.1 * float(np.mean(hit)), 0.9 * float(np.mean(wrong))
        precision = f"{a / (a + b):.2f}" if a + b else "-"
        said.append(f"| {action} | {_cell(hit)} | {_cell(wrong)} | {precision} |")
    return [*said, ""]


def _day(
    bad: Sequence[str], captions: dict[str, list[Row]], harmless: Sequence[str], judge: Judge
) -> list[str]:
    """A seeded day of requests: nine in ten harmless, half of them English."""
    dice = random.Random(zlib.crc32(b"a day"))
    others = [row.text for rows in captions.values() for row in rows]
    asked = [
        dice.choice(bad) if dice.random() < 0.1 else dice.choice(dice.choice((others, harmless)))
        for _ in range(_DAY)
    ]
    actions = [judge(text).action for text in asked]
    shares = ", ".join(
        f"{name} {100 * actions.count(name) / _DAY:.1f} %" for name in ("allow", "review", "block")
    )
    return ["#### A seeded day", "", f"Of {_DAY} requests, one in ten harmful: {shares}.", ""]
