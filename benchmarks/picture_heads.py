"""What symbol network, weapons head and face detector find, on what none was trained on.

:func:`symbols` draws scenes on pictures of the benign set, whose packages nothing was trained on,
and writes characters of fonts there (U+5350, U+534D, U+16CB ...), whose shapes are not ours.
:func:`weapons` judges the drawings of the packages that `training.pictures.sources` holds out.
:func:`faces` counts faces in photographs whose faces were counted by eye.
"""

from __future__ import annotations

import io
import math
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from chopmark.safety import ImageGuard, load_policy
from chopmark.safety.image.encoder import PictureEncoder
from chopmark.safety.image.faces import FaceFinder
from chopmark.safety.image.heads import PictureHeads
from chopmark.safety.image.nsfw import OpenNsfw
from chopmark.safety.image.nsfwjs import NsfwJs
from chopmark.safety.image.symbols import SymbolFinder
from chopmark.safety.image.tiles import shared
from chopmark.safety.image.writing import WORTH_READING, written_letters
from training.pictures import glyphs
from training.pictures.embed import chosen
from training.pictures.heads import area
from training.pictures.scenes import Pixels, scene
from training.pictures.symbols import FAMILIES, LOOKALIKES, SIDE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from chopmark.safety import Verdict

__all__ = [
    "FONTS",
    "PHOTOGRAPHS",
    "faces",
    "fetch",
    "interval",
    "nudity",
    "photographs",
    "sheet_of",
    "symbols",
    "weapons",
    "writing",
]

#: Debian packages of fonts whose signs are drawn by others than us.
FONTS: Final = (
    "fonts-wqy-zenhei",
    "fonts-wqy-microhei",
    "fonts-ipafont-gothic",
    "fonts-ipafont-mincho",
    "fonts-arphic-uming",
    "fonts-arphic-ukai",
    "fonts-vlgothic",
    "fonts-hanazono",
    "fonts-junicode",
    "fonts-noto-core",
)
#: npm package, file and faces over 40 pixels in it, counted by eye.
PHOTOGRAPHS: Final = (
    ("@vladmandic/face-api", "package/demo/sample1.jpg", 3),
    ("@vladmandic/face-api", "package/demo/sample2.jpg", 3),
    ("@vladmandic/face-api", "package/demo/sample3.jpg", 3),
    ("@vladmandic/face-api", "package/demo/sample4.jpg", 4),
    ("@vladmandic/face-api", "package/demo/sample5.jpg", 5),
    ("@vladmandic/face-api", "package/demo/sample6.jpg", 4),
    ("tracking", "package/examples/assets/faces.jpg", 3),
)
#: Scenes a family and a kind of look-alike.
EACH: Final = 60
_SIDE: Final = 384
_BAR: Final = 0.5


def interval(hits: int, of: int) -> str:
    """Return a share in percent with Wilson's 95 % interval and the count."""
    if of == 0:
        return "-"
    z, share = 1.96, hits / of
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of)) / (1 + z * z / of)
    low, high = max(0.0, middle - half), min(1.0, middle + half)
    return f"{100 * share:.1f} ({100 * low:.1f} to {100 * high:.1f}; {hits} of {of})"


def fetch(folder: Path) -> None:
    """Download and unpack fonts and photographs that are not there yet."""
    glyphs.fetch(folder, FONTS)
    for name in dict.fromkeys(package for package, _, _ in PHOTOGRAPHS):
        target = folder / name.replace("@", "").replace("/", "-")
        if target.is_dir():
            continue
        subprocess.run(["npm", "pack", "--silent", name], cwd=folder, check=True)
        (archive,) = sorted(folder.glob(f"{target.name}-*.tgz"))[-1:]
        target.mkdir()
        subprocess.run(["tar", "xzf", str(archive), "-C", str(target)], check=True)


def _glyphs(folder: Path, text: str) -> Iterator[NDArray[np.float32]]:
    """Yield what the fonts make of a text, as masks; one a package and weight that has it."""
    return glyphs.masks(folder, text, FONTS)


def _turned(mask: NDArray[np.float32], degrees: float) -> NDArray[np.float32]:
    matrix = cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), degrees, 0.72)
    turned: NDArray[np.float32] = cv2.warpAffine(mask, matrix, (SIDE, SIDE))
    return turned


def symbols(
    ordinary: Iterable[tuple[str, Image.Image]],
    grounds: Sequence[Pixels],
    fonts: Path,
    sheet: list[Pixels],
) -> list[str]:
    """Return the tables of the symbol network.

    Args:
        ordinary: Slice and picture, of packages that nothing was trained on.
        grounds: Some of them, small, for symbols to be laid on.
        fonts: Where :func:`fetch` put them.
        sheet: Where what it missed and what it took for a symbol is put.
    """
    finder = SymbolFinder()
    dice = np.random.default_rng(20261201)

    def look(pixels: Pixels) -> float:
        return finder.find(Image.fromarray(pixels)).score

    def drawn(name: str, mask: NDArray[np.float32] | None = None) -> Pixels:
        ground = grounds[int(dice.integers(0, len(grounds)))]
        return scene(name, ground, float(dice.uniform(0.2, 0.95)), dice, mask)

    wrong = sheet
    slices: dict[str, list[bool]] = {}
    for name, picture in ordinary:
        hit = finder.find(shared(picture)).score >= _BAR
        slices.setdefault(name, []).append(hit)
        if hit:
            wrong.append(np.asarray(picture.resize((_SIDE, _SIDE))))
    said = ["| ordinary pictures taken for a hate symbol | % (95 %; count) |", "|---|---|"]
    for name, hits in sorted(slices.items(), key=lambda row: -sum(row[1]) / len(row[1])):
        if any(hits):
            said.append(f"| {name} | {interval(sum(hits), len(hits))} |")
    every = [hit for hits in slices.values() for hit in hits]
    said.append(f"| **all {len(slices)} slices** | {interval(sum(every), len(every))} |")
    said += ["", "| hate symbols: found | % (95 %; count) |", "|---|---|"]
    kept: list[Pixels] = []
    total = [0, 0]
    for name in FAMILIES:
        pictures = [drawn(name) for _ in range(EACH)]
        hits = [look(one) >= _BAR for one in pictures]
        wrong += [one for one, hit in zip(pictures, hits, strict=True) if not hit]
        kept += pictures[: EACH // 2]
        total = [total[0] + sum(hits), total[1] + EACH]
        said.append(f"| {name}, drawn by our script | {interval(sum(hits), EACH)} |")
    said.append(f"| **all three** | {interval(*total)} |")
    for name, text, degrees in (
        ("U+5350 of fonts, on its corner", "\u5350", 45.0),
        ("U+5350 of fonts, upright", "\u5350", 0.0),
        ("U+0FD5 of fonts, on its corner", "\u0fd5", 45.0),
    ):
        masks = [_turned(mask, degrees) for mask in _glyphs(fonts, text)]
        pictures = [drawn("hooked cross", mask) for mask in masks for _ in range(5)]
        hits = [look(one) >= _BAR for one in pictures]
        said.append(f"| {name} ({len(masks)} shapes) | {interval(sum(hits), len(hits))} |")
    changes: tuple[tuple[str, Callable[[Pixels], Pixels]], ...] = (
        ("as they are", lambda one: one),
        ("turned by 90 degrees", lambda one: np.ascontiguousarray(np.rot90(one))),
        ("turned by 180 degrees", lambda one: np.ascontiguousarray(np.rot90(one, 2))),
        ("JPEG 40", _jpeg),
        (
            "half size",
            lambda one: cv2.resize(one, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
        ),
    )
    for name, change in changes:
        hits = [look(change(one)) >= _BAR for one in kept]
        said.append(f"| every second of them, {name} | {interval(sum(hits), len(hits))} |")
    said += ["", "| hate symbols: look-alikes taken for one | % (95 %; count) |", "|---|---|"]
    total = [0, 0]
    for name in LOOKALIKES:
        pictures = [drawn(name) for _ in range(EACH)]
        hits = [look(one) >= _BAR for one in pictures]
        wrong += [one for one, hit in zip(pictures, hits, strict=True) if hit]
        total = [total[0] + sum(hits), total[1] + EACH]
        said.append(f"| {name}, drawn by our script | {interval(sum(hits), EACH)} |")
    for name, text in (
        ("U+534D of fonts", "\u534d"),
        ("U+0FD6 of fonts", "\u0fd6"),
        ("U+2638 of fonts", "\u2638"),
        ("one U+16CB of fonts", "\u16cb"),
    ):
        masks = list(_glyphs(fonts, text))[:12]
        pictures = [drawn("manji", mask) for mask in masks for _ in range(5)]
        hits = [look(one) >= _BAR for one in pictures]
        total = [total[0] + sum(hits), total[1] + len(hits)]
        said.append(f"| {name} ({len(masks)} shapes) | {interval(sum(hits), len(hits))} |")
    said.append(f"| **all** | {interval(*total)} |")
    return said


def _jpeg(pixels: Pixels) -> Pixels:
    held = io.BytesIO()
    Image.fromarray(pixels).save(held, "JPEG", quality=40)
    return np.asarray(Image.open(held).convert("RGB"))


def sheet_of(pictures: Sequence[Pixels], columns: int = 12, side: int = 110) -> Image.Image:
    """Return pictures in rows."""
    page = Image.new("RGB", (columns * side, -(-len(pictures) // columns) * side), "white")
    for number, one in enumerate(pictures):
        small = Image.fromarray(one).resize((side - 4, side - 4))
        page.paste(small, (number % columns * side, number // columns * side))
    return page


def weapons(packages: Path) -> list[str]:
    """Return the table of the weapons head, by package that it was not trained on."""
    heads = PictureHeads(PictureEncoder())
    scores: dict[str, tuple[list[float], list[float]]] = {}
    for one, weapon in chosen(packages):
        if one.part == "train":
            continue
        try:
            score = heads.look(one.picture()).scores[0].score
        except ValueError:  # a drawing without a size
            continue
        scores.setdefault(one.source, ([], []))[0 if weapon else 1].append(score)
    said = [
        "| weapons, drawn | area under ROC | found % (95 %; count) | false % (95 %; count) |",
        "|---|---|---|---|",
    ]
    every = [[one for part in scores.values() for one in part[at]] for at in (0, 1)]
    rows = sorted(scores.items(), key=lambda row: -sum(one >= _BAR for one in row[1][1]))
    for name, parts in [*rows, ("**all**", (every[0], every[1]))]:
        yes, no = (np.array(part, np.float32) for part in parts)
        cells = [interval(int((part >= _BAR).sum()), len(part)) for part in (yes, no)]
        shown = f"{area(yes, no):.3f}" if len(yes) else "-"
        said.append(f"| {name} | {shown} | {cells[0]} | {cells[1]} |")
    return said


def photographs(packages: Path) -> list[str]:
    """Return how often pictures that nothing was trained on are taken for photographs."""
    heads = PictureHeads(PictureEncoder())
    hits: dict[str, list[bool]] = {}
    for one, _ in chosen(packages):
        if one.part == "test":
            try:
                share = heads.look(one.picture()).photograph
            except ValueError:  # a drawing without a size
                continue
            hits.setdefault(f"{one.kind}s ({one.source})", []).append(share >= _BAR)
    for package, file, _ in PHOTOGRAPHS:
        path = packages / package.replace("@", "").replace("/", "-") / file
        with Image.open(path) as opened:
            share = heads.look(shared(opened.convert("RGB"))).photograph
        hits.setdefault("photographs of people (npm)", []).append(share >= _BAR)
    return [
        "| pictures | taken for a photograph % (95 %; count) |",
        "|---|---|",
        *(f"| {name} | {interval(sum(row), len(row))} |" for name, row in sorted(hits.items())),
    ]


def faces(packages: Path) -> list[str]:
    """Return the table of the face detector on the photographs that :func:`fetch` brought."""
    finder = FaceFinder()
    found, small, of = 0, 0, 0
    for package, file, count in PHOTOGRAPHS:
        path = packages / package.replace("@", "").replace("/", "-") / file
        with Image.open(path) as opened:
            picture = opened.convert("RGB")
        seen = finder.find(picture)
        of += count
        found += min(seen.faces, count)
        # The same, so small that the smallest face has 40 pixels, on a page of 1024.
        if seen.faces:
            scale = 40 / (seen.boxes[-1][3] - seen.boxes[-1][1])
            size = round(picture.width * scale), round(picture.height * scale)
            page = Image.new("RGB", (1024, 1024), (120, 130, 120))
            page.paste(picture.resize(size, Image.Resampling.LANCZOS), (200, 300))
            small += min(finder.find(page).faces, count)
    return [
        "| faces | % (95 %; count) |",
        "|---|---|",
        f"| 40 pixels high in a picture of 1024, found | {interval(small, of)} |",
        f"| the same {len(PHOTOGRAPHS)} photographs in full size | {interval(found, of)} |",
    ]


def nudity(packages: Path) -> list[str]:
    """Return what the two models of nudity take ordinary pictures for, by kind.

    Neither was trained here, so that every package is one that it was not trained on by us.
    """
    guard = ImageGuard(model=OpenNsfw(), second=NsfwJs(), banks=())
    policy = load_policy("default")
    kinds: dict[str, list[Verdict]] = {}
    for one, weapon in chosen(packages):
        if one.words == "painting":
            kind = "paintings (gcompris-qt-data)"
        elif one.kind == "photograph":
            kind = f"photographs ({one.source})"
        elif one.part == "test" and not weapon:
            kind = f"drawings ({one.source})"
        else:
            continue
        try:
            picture = one.picture()
        except ValueError:  # a drawing without a size
            continue
        kinds.setdefault(kind, []).append(guard.judge(picture, policy))
    said = [
        "| ordinary pictures | blocked % (95 %; count) | to review % (95 %; count) "
        "| score, 99 % / most |",
        "|---|---|---|---|",
    ]
    for kind, verdicts in sorted(
        kinds.items(), key=lambda row: -sum(one.flagged for one in row[1]) / len(row[1])
    ):
        cells = [
            interval(sum(one.action == action for one in verdicts), len(verdicts))
            for action in ("block", "review")
        ]
        scores = [one.scores["sexual"] for one in verdicts]
        said.append(
            f"| {kind} | {cells[0]} | {cells[1]} "
            f"| {np.quantile(scores, 0.99):.2f} / {max(scores):.2f} |"
        )
    return said


_WORDS: Final = (
    "free people never sleep stop all war love peace sale today 50% off Kein Bier vor vier "
    "\u041f\u0440\u0438\u0432\u0435\u0442 \u043c\u0438\u0440 la vie est belle hello"
).split()


def writing(grounds: Sequence[Pixels], sheet: list[Pixels]) -> list[str]:
    """Return how often pictures with writing, and without, are read.

    Args:
        grounds: Ordinary pictures; some of them may bear writing already.
        sheet: Where those that were missed are put.
    """
    dice = np.random.default_rng(20261202)
    files = sorted(Path("/usr/share/fonts").rglob("*.ttf"))
    found: dict[str, list[bool]] = {"14 to 27 px": [], "28 to 55 px": [], "56 to 90 px": []}
    for number in range(240):
        ground = grounds[int(dice.integers(0, len(grounds)))]
        picture = Image.fromarray(ground).resize(
            (640, round(640 * ground.shape[0] / ground.shape[1]))
        )
        height = int(dice.integers((14, 28, 56)[number % 3], (28, 56, 91)[number % 3]))
        font = ImageFont.truetype(str(files[int(dice.integers(0, len(files)))]), height)
        words = " ".join(dice.choice(_WORDS, int(dice.integers(2, 6))))
        pen = ImageDraw.Draw(picture)
        at = (10, int(dice.integers(0, max(1, picture.height - height - 10))))
        if number % 2:
            ink = tuple(int(one) for one in dice.integers(0, 256, 3))
            board = "white" if sum(ink) < 384 else "black"
            pen.rectangle(pen.textbbox(at, words, font), fill=board)
            pen.text(at, words, ink, font)
        else:
            pen.text(at, words, "white", font, stroke_width=2, stroke_fill="black")
        hit = written_letters(picture) >= WORTH_READING
        found[[*found][number % 3]].append(hit)
        if not hit:
            sheet.append(np.asarray(picture.resize((384, 384))))
    said = ["| writing | read % (95 %; count) |", "|---|---|"]
    for name, hits in found.items():
        said.append(
            f"| two to five words, {name} high at 640 px | {interval(sum(hits), len(hits))} |"
        )
    plain = [written_letters(Image.fromarray(one)) >= WORTH_READING for one in grounds]
    said.append(f"| the same pictures without it | {interval(sum(plain), len(plain))} |")
    return said
