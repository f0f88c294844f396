"""Tables of the safety benchmark: languages, length, style words, edits, burial, a day in use.

The texts are the probe of ``benchmarks/data/language_probe.txt`` and harmless captions and names
by other authors that neither trained nor calibrated anything.
"""

from __future__ import annotations

import random
import re
import time
import unicodedata
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from chopmark.safety import load_policy
from chopmark.safety.text.style_tags import TAGS
from training.safety.mixture import caption_rows
from training.safety.own_languages import garment_rows, own_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chopmark.safety import PromptGuard, Verdict
    from training.safety.data import Row

    Judge = Callable[..., Verdict]

__all__ = ["Probe", "language_tables", "read_probe"]

_PROBE: Final = Path(__file__).parent / "data" / "language_probe.txt"
_A_LANGUAGE: Final[int] = 60
_DAY: Final[int] = 300
_SEED: Final[int] = 19
#: English texts that are buried, and harmless ones beside them.
#: Harmless characters around them.
SIZES: Final = (200, 1000, 4000, 16_000)
_BURIED: Final[int] = 24
#: One language for each script that the guard reads, and two for Latin letters.
_SCRIPTS: Final = ("en", "vi", "ru", "el", "ar", "he", "hi", "bn", "th", "ja", "zh", "ko")


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
    """Return the probe, by language, without texts that stand word for word in training rows."""
    trained = {_bare(row.text) for row in [*own_rows(), *garment_rows()]}
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for line in _PROBE.read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            code, kind, texts = line.split(" ", 2)
            kept = [text for text in texts.split("|") if _bare(text) not in trained]
            found.setdefault(code, {})[kind] = tuple(kept)
    return {
        code: Probe(harmful=kinds["h"], harmless=kinds["s"], undress=kinds["u"], edits=kinds["e"])
        for code, kinds in found.items()
    }


def _bare(text: str) -> str:
    return " ".join(re.findall(r"\w+", unicodedata.normalize("NFKC", text).lower()))


def language_tables(
    data: Path,
    judge: Judge,
    guard: PromptGuard,
    *,
    harmful: Sequence[str],
    harmless: Sequence[str],
) -> list[str]:
    """Return all tables.

    Args:
        data: Where the captions are.
        judge: Judges a text, with ``edit=True`` as what is asked of an edit.
        guard: The guard itself, which remembers nothing.
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
        *_cost(captions, guard),
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
    lines: list[tuple[float, str]] = []
    for code in sorted(probe.keys() | captions.keys()):
        one = probe.get(code)
        columns = (
            [_flagged(judge(text)) for text in (one.harmful if one else ())],
            [_flagged(judge(text)) for text in (one.harmless if one else ())],
            [_flagged(judge(row.text)) for row in captions.get(code, ())],
        )
        for all_of_them, column in zip(every, columns, strict=True):
            all_of_them.extend(column)
        caught = float(np.mean(columns[0])) if columns[0] else 1.0
        lines.append((caught, f"| {code} | " + " | ".join(map(_cell, columns)) + " |"))
    said += [line for _, line in sorted(lines)]  # the language in which most gets through first
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
        f"edit that passed: {missed}. Edits that stand word for word in the training rows "
        "(some take off the same garment) are left out.",
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
        "Harmful texts that are flagged alone, amid harmless text of the same language: behind it, "
        "in the middle of it, before it. Beside it harmless text of that length alone.",
        "",
        "| harmless characters | where | English | other languages |",
        "|---|---|---|---|",
    ]
    english = [t for t in dice.sample(list(harmful), min(40, len(harmful))) if _flagged(judge(t))]
    buried = [("en", text) for text in english[:_BURIED]]
    buried += [
        (code, text)
        for code, one in probe.items()
        for text in one.harmful[:1]
        if code != "en" and _flagged(judge(text))
    ]
    fillers = {code: [row.text for row in rows] for code, rows in captions.items()}
    fillers["en"] = list(harmless)

    def filler(code: str, size: int) -> str:
        made = ""
        while len(made) < size:
            made += dice.choice(fillers[code]).rstrip(".") + ". "
        return made

    for size in SIZES:
        for where, before in (("behind", size), ("middle", size // 2), ("before", 0)):
            hit: dict[bool, list[bool]] = {True: [], False: []}
            for code, text in buried:
                amid = f"{filler(code, before)}{text}. {filler(code, size - before)}"
                hit[code == "en"].append(_flagged(judge(amid)))
            said.append(f"| {size} | {where} | {_cell(hit[True])} | {_cell(hit[False])} |")
        alone = [_flagged(judge(filler("en", size))) for _ in range(_BURIED)]
        others = [_flagged(judge(filler(code, size))) for code in captions if code != "en"]
        said.append(f"| {size} | harmless alone | {_cell(alone)} | {_cell(others)} |")
    return [*said, ""]


def _cost(captions: dict[str, list[Row]], guard: PromptGuard) -> list[str]:
    """CPU time of texts of captions, of each script."""
    dice = random.Random(_SEED)
    said = [
        "#### Cost",
        "",
        "CPU time of one text of harmless captions, one thread, the least of three; ms.",
        "",
        "| language | 2,000 characters | 32,000 characters |",
        "|---|---|---|",
    ]
    policy = load_policy("default")
    found: list[tuple[float, str]] = []
    for code in [code for code in _SCRIPTS if code in captions]:
        cells: list[float] = []
        for size in (2_000, 32_000):
            text = ""
            while len(text) < size:
                text += dice.choice(captions[code]).text + ". "
            spent = []
            for _ in range(3):
                began = time.process_time()
                guard.judge(text[:size], policy)
                spent.append(1000 * (time.process_time() - began))
            cells.append(min(spent))
        found.append((cells[0], f"| {code} | {cells[0]:.0f} | {cells[1]:.0f} |"))
    return [*said, *(line for _, line in sorted(found, reverse=True)), ""]


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
