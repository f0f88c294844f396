"""``python -m training.safety.buried --data DIR``: wishes amid long harmless text, by language.

The harmless text is prose of our own (``prose/CODE.txt``, eighteen sentences in each of fourteen
languages, never trained on) and, where that is not enough, captions of the side that calibrates,
in English also the harmless picture prompts of the development set. The wishes are our held-out
rows, in English also harmful picture prompts of that set, those that are flagged alone. No
sentence stands twice in a text, since the guard looks at a repeated one once. The bars for parts
of long texts in ``chopmark.safety.text.scoring`` were chosen with these texts.
"""

from __future__ import annotations

import argparse
import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from chopmark.safety import PromptGuard, load_policy
from training.safety.data import PICTURE_KINDS, held_out, read_rows
from training.safety.mixture import caption_rows
from training.safety.own_languages import own_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.random import Generator

    from training.safety.data import Row

__all__ = ["LANGUAGES", "SIZES", "WHERE", "LongText", "amid", "harmless_sentences", "wishes"]

_PROSE: Final = Path(__file__).parent / "prose"
#: The languages that have prose, by their codes (ISO 639-1).
LANGUAGES: Final[tuple[str, ...]] = tuple(sorted(file.stem for file in _PROSE.glob("*.txt")))
#: Harmless characters around a wish.
SIZES: Final[tuple[int, ...]] = (200, 1000, 4000)
WHERE: Final[tuple[str, ...]] = ("beginning", "middle", "end")
#: Harmless texts of each language and size, and wishes of each language at most.
_ALONE: Final[int] = 12
_WISHES: Final[int] = 15
_SEED: Final[int] = 1201
#: One in so many of the harmful picture prompts.
_EVERY: Final[int] = 12
#: Scripts that put no gap between sentences.
_UNSPACED: Final = frozenset({"zh", "ja"})


@dataclass(frozen=True, kw_only=True)
class LongText:
    """A text, where its wish stands (nothing for a harmless one), and its language."""

    text: str
    lang: str
    size: int
    where: str = ""


def harmless_sentences(data: Path) -> dict[str, tuple[list[str], list[str]]]:
    """Return by language our own sentences, and those of others that calibrate and trained nothing.

    Args:
        data: The folder of the labelled rows.
    """
    _, check = caption_rows(data / "captions-multilingual.jsonl")
    english = [row for row in _dev(data) if row.benign and row.kind in PICTURE_KINDS]
    made = {}
    for code in LANGUAGES:
        own = (_PROSE / f"{code}.txt").read_text("utf-8").splitlines()
        other = {row.text for row in check[::3] if row.lang == code and row.source != "cldr"}
        other |= {row.text for row in english if row.lang == code}
        made[code] = (own, sorted(other))
    return made


def wishes(code: str, data: Path) -> list[str]:
    """Return what asks for harm in a language and was not trained on, edits left out."""
    rows = [row for row in own_rows(code) if held_out(row) and row.kind != "edit"]
    rows += [row for row in _dev(data) if row.lang == code and row.kind == "t2i_auth"][::_EVERY]
    return [row.text for row in rows if not row.benign]


@functools.cache
def _dev(data: Path) -> list[Row]:
    return [row for row in read_rows(data / "dev.jsonl") if row.variant is None]


def amid(
    wish: str,
    code: str,
    *,
    size: int,
    where: str,
    of: Mapping[str, tuple[list[str], list[str]]],
    rng: Generator,
) -> LongText:
    """Return a text of about ``size`` harmless characters with a wish in it.

    Args:
        wish: Empty for a harmless text.
        code: The language.
        size: Of the harmless characters.
        where: One of :data:`WHERE`.
        of: What :func:`harmless_sentences` returned.
        rng: Same state, same text.
    """
    own, other = of[code]
    order = [own[at] for at in rng.permutation(len(own))]
    order += [f"{other[at].rstrip('.')}." for at in rng.permutation(len(other))]
    taken: list[str] = []
    while order and sum(map(len, taken)) < size:
        taken.append(order.pop(0))
    if size > sum(map(len, own)):  # so that captions stand everywhere, not at the end only
        taken = [taken[at] for at in rng.permutation(len(taken))]
    if wish:
        at = {"beginning": 0, "middle": len(taken) // 2, "end": len(taken)}[where]
        taken.insert(at, f"{wish}。" if code in _UNSPACED else f"{wish}.")
    gap = "" if code in _UNSPACED else " "
    return LongText(text=gap.join(taken), lang=code, size=size, where=where if wish else "")


def _flagged(guard: PromptGuard, text: str) -> bool:
    return guard.judge(text, load_policy("default")).action != "allow"


def _share(said: Sequence[bool]) -> str:
    return f"{100 * float(np.mean(said)):.1f} % of {len(said)}" if said else "-"


def main() -> None:
    """Print by language and size how many wishes are caught and harmless texts are flagged."""
    parser = argparse.ArgumentParser(prog="python -m training.safety.buried")
    parser.add_argument("--data", type=Path, required=True, help="where the captions are")
    options = parser.parse_args()
    of = harmless_sentences(options.data)
    guard, rng = PromptGuard.load(), np.random.default_rng(_SEED)
    total: dict[tuple[bool, int, str], list[bool]] = {}
    for code in LANGUAGES:
        seen = [one for one in wishes(code, options.data) if _flagged(guard, one)][:_WISHES]
        line = []
        for size in SIZES:
            for where in ("", *WHERE):
                asked = seen if where else [""] * _ALONE
                said = [
                    _flagged(guard, amid(one, code, size=size, where=where, of=of, rng=rng).text)
                    for one in asked
                ]
                total.setdefault((code == "en", size, where), []).extend(said)
                line.append(f"{size} {where or 'harmless'}: {_share(said)}")
        print(code, "; ".join(line), flush=True)
    for (english, size, where), said in total.items():
        print("en" if english else "others", size, where or "harmless", _share(said))


if __name__ == "__main__":
    main()
