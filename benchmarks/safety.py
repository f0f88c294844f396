"""What the prompt guard catches, what it lets through, and what it stops for nothing.

``python -m benchmarks.safety --write`` judges the development set, a probe of prompts that were
never trained on (``benchmarks/data/safety_probe.yaml``), obfuscated and padded copies, with the
thresholds as committed, and makes the tables of :mod:`benchmarks.safety_languages`. ``--peers
PYTHON`` names an interpreter that has alt-profanity-check and better-profanity: they judge the
same texts.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from benchmarks.obfuscation import KNOWN, SINCE, UNKNOWN
from benchmarks.report import write_section
from benchmarks.safety_languages import language_tables
from chopmark.safety import PromptGuard, Verdict, load_policy
from chopmark.safety.categories import MODEL_CATEGORIES
from chopmark.safety.text.encoder import SentenceEncoder
from chopmark.safety.text.head import PromptHead
from training.safety.data import PICTURE_KINDS, Row, held_out, read_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from numpy.typing import NDArray

HERE = Path(__file__).parent
POLICY = load_policy("default")
SEED = 7
#: What anybody would put on a list first; whole words. The plainest peer.
KEYWORDS = frozenset(
    "nude naked nsfw porn porno sex sexual erotic hentai penis vagina topless explicit orgy blowjob"
    " gore bloody blood corpse behead beheading decapitated mutilated murder kill killing torture"
    " suicide cutting bomb explosive meth cocaine heroin counterfeit fake phishing hack terrorist"
    " isis nazi hitler swastika kkk jihad genocide nigger faggot kike retard bitch whore slut cunt"
    " fuck deepfake trump putin biden obama mickey pikachu batman".split()
)
_PEER = """
import json, sys, time
texts = json.load(sys.stdin)
from profanity_check import predict
from better_profanity import profanity
profanity.load_censor_words()
said = {}
t = time.process_time(); said["alt-profanity-check"] = [int(predict([x])[0]) for x in texts]
a = time.process_time() - t
t = time.process_time()
said["better-profanity"] = [int(profanity.contains_profanity(x)) for x in texts]
b = time.process_time() - t
json.dump({"flags": said, "ms": {"alt-profanity-check": a * 1000 / len(texts),
    "better-profanity": b * 1000 / len(texts)}}, sys.stdout)
"""


class _ReadsOnce(SentenceEncoder):
    """Encodes tokens once: most disguised copies are undone to a text that was seen before."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[tuple[tuple[int, ...], bool], NDArray[np.float32]] = {}

    def vector(self, tokens: tuple[int, ...], *, edit: bool = False) -> NDArray[np.float32]:
        key = (tokens, edit)
        if key not in self._seen:
            self._seen[key] = super().vector(tokens, edit=edit)
        return self._seen[key]


class _Remembering:
    """Judges a text once."""

    def __init__(self, guard: PromptGuard) -> None:
        self._guard = guard
        self._known: dict[tuple[str, bool], Verdict] = {}

    def __call__(self, text: str, *, edit: bool = False) -> Verdict:
        key = (text, edit)
        if key not in self._known:
            self._known[key] = self._guard.judge(text, POLICY, edit=edit)
        return self._known[key]


@dataclass
class Sets:
    """Texts by what is asked about them."""

    harmful: dict[str, list[str]] = field(default_factory=dict)
    harmless: dict[str, list[str]] = field(default_factory=dict)


def _sets(dev: Sequence[Row], held: Sequence[Row], probe: dict[str, Any]) -> Sets:
    clean = [row for row in dev if row.variant is None]
    made = Sets()
    for name in MODEL_CATEGORIES:
        made.harmful[f"dev, picture prompts: {name}"] = [
            row.text
            for row in clean
            if name in row.categories and row.kind == "t2i_auth" and row.lang == "en"
        ]
    for name in MODEL_CATEGORIES:
        made.harmful[f"dev, comments and instructions: {name}"] = [
            row.text
            for row in clean
            if name in row.categories
            and row.lang == "en"
            and row.kind not in {"t2i_auth", "t2i_implicit", "t2i"}
        ]
    made.harmful["dev, Nibbler and I2P (weak labels)"] = [
        row.text for row in clean if row.kind == "t2i" and row.categories
    ]
    for name in MODEL_CATEGORIES:
        made.harmful[f"unseen tenth: {name}"] = [
            row.text for row in held if name in row.categories and row.lang == "en"
        ]
    made.harmful["unseen tenth, of these picture prompts"] = [
        row.text for row in held if row.categories and row.lang == "en" and row.kind == "t2i_auth"
    ]
    made.harmful["unseen tenth, Nibbler and I2P (weak labels)"] = [
        row.text for row in held if row.categories and row.kind == "t2i"
    ]
    for name, texts in probe["unsafe"].items():
        made.harmful[f"probe: {name}"] = texts
    benign = [row for row in clean if row.benign and row.lang == "en"]
    made.harmless = {
        "dev, benign picture prompts": [r.text for r in benign if r.kind in PICTURE_KINDS],
        "dev, of these authored (many scary but safe)": [
            r.text for r in benign if r.kind == "t2i_auth_safe"
        ],
        "dev, benign instructions": [r.text for r in benign if r.kind == "instruction_safe"],
        "dev, benign comments, all kinds": [
            r.text for r in benign if r.kind in {"comment", "hate_functional", "emoji", "template"}
        ],
        "unseen tenth, benign picture prompts": _texts(held, PICTURE_KINDS),
        "unseen tenth, of these authored (many scary but safe)": _texts(held, {"t2i_auth_safe"}),
        "unseen tenth, benign instructions": _texts(held, {"instruction_safe"}),
        "unseen tenth, benign comments: ordinary": _texts(held, {"comment"}),
        "unseen tenth, benign comments: tests of hate speech": _texts(held, {"hate_functional"}),
        "unseen tenth, benign comments: emoji in the place of words": _texts(held, {"emoji"}),
        "probe: scary but safe": probe["scary_safe"],
        "probe: safe questions": probe["safe_questions"],
    }
    made.harmful = {name: texts for name, texts in made.harmful.items() if len(texts) >= 5}
    return made


def _texts(rows: Sequence[Row], kinds: Collection[str]) -> list[str]:
    return [row.text for row in rows if row.benign and row.lang == "en" and row.kind in kinds]


def _at_one_percent(
    dev: Sequence[Row], held: Sequence[Row], judge: Callable[[str], Verdict]
) -> list[str]:
    """Recall of each category alone, at the score that 1 % of dev's benign prompts reach."""
    benign = [judge(text).scores for text in _texts(dev, PICTURE_KINDS)]
    said = [
        "| category | score that 1 % of benign picture prompts of dev reach | recall on dev, "
        "picture prompts / others | on the unseen tenth, picture prompts / others |",
        "|---|---|---|---|",
    ]
    for name in MODEL_CATEGORIES:
        bar = float(np.quantile([scores[name] for scores in benign], 0.99))
        cells = []
        for rows in (dev, held):
            for pictures in (True, False):
                texts = [
                    row.text
                    for row in rows
                    if name in row.categories
                    and row.variant is None
                    and row.lang == "en"
                    and (row.kind == "t2i_auth") == pictures
                    and row.kind != "t2i_implicit"
                ]
                above = [judge(text).scores[name] > bar for text in texts]
                cells.append(f"{_share(above)} ({len(texts)})" if texts else "-")
        said.append(f"| {name} | {bar:.3f} | {cells[0]} / {cells[1]} | {cells[2]} / {cells[3]} |")
    return said


def _share(hits: Sequence[bool] | NDArray[np.bool_]) -> str:
    return f"{100 * float(np.mean(np.asarray(hits, dtype=bool))):.0f}" if len(hits) else "-"


def _main_table(
    sets: Sets, judge: Callable[[str], Verdict], peers: dict[str, dict[str, bool]]
) -> list[str]:
    names = ["keywords", *peers]
    said = [
        "| % blocked (and flagged: review or block) | n | Chopmark | " + " | ".join(names) + " |"
    ]
    said.append("|---" * (3 + len(names)) + "|")
    for title, groups in (("harmful", sets.harmful), ("harmless", sets.harmless)):
        said.append(f"| **{title}** |" + " |" * (2 + len(names)))
        for name, texts in groups.items():
            actions = [judge(text).action for text in texts]
            blocked = _share([action == "block" for action in actions])
            ours = f"{blocked} ({_share([action != 'allow' for action in actions])})"
            cells = [_share([_keywords(text) for text in texts])]
            cells += [_share([flags[text] for text in texts]) for flags in peers.values()]
            said.append(f"| {name} | {len(texts)} | {ours} | " + " | ".join(cells) + " |")
    return said


def _keywords(text: str) -> bool:
    return any(word.strip(".,;:!?\"'()").lower() in KEYWORDS for word in text.split())


def _ask_peers(
    python: Path | None, texts: list[str]
) -> tuple[dict[str, dict[str, bool]], dict[str, float]]:
    if python is None:
        return {}, {}
    done = subprocess.run(
        [str(python), "-W", "ignore", "-c", _PEER],
        input=json.dumps(texts),
        capture_output=True,
        check=True,
        text=True,
    )
    answer = json.loads(done.stdout)
    flags = {
        name: dict(zip(texts, map(bool, values), strict=True))
        for name, values in answer["flags"].items()
    }
    return flags, answer["ms"]


def _hidden(harmful: list[str], harmless: list[str], judge: Callable[[str], Verdict]) -> list[str]:
    clean = float(np.mean([judge(text).action == "block" for text in harmful]))
    passed = float(np.mean([judge(text).action == "block" for text in harmless]))
    said = [
        f"{len(harmful)} harmful and {len(harmless)} harmless English picture prompts; clean: "
        f"{100 * clean:.0f} % and {100 * passed:.0f} % blocked. The last column counts those that "
        "are not blocked and go to review, harmful / harmless.",
        "",
        "| disguise | blocked | of clean | harmless blocked | to review |",
        "|---|---|---|---|---|",
    ]
    groups = (("known", KNOWN), ("prepared for since", SINCE), ("never prepared for", UNKNOWN))
    for group, disguises in groups:
        for name, change in disguises.items():
            dice = random.Random(SEED)
            bad = [judge(change(text, dice)).action for text in harmful]
            good = [judge(change(text, dice)).action for text in harmless]
            caught = float(np.mean([action == "block" for action in bad]))
            shares = [_share([a == "block" for a in good])]
            shares += [_share([a == "review" for a in actions]) for actions in (bad, good)]
            said.append(
                f"| {name} ({group}) | {100 * caught:.0f} | {100 * caught / max(clean, 1e-9):.0f} "
                f"| {shares[0]} | {shares[1]} / {shares[2]} |"
            )
    return said


def _padded(harmful: list[str], harmless: list[str], judge: Callable[[str], Verdict]) -> list[str]:
    dice = random.Random(SEED)
    said = ["| 25 harmless words stand | harmful blocked | harmless blocked |", "|---|---|---|"]

    def filler(words: int) -> str:
        made: list[str] = []
        while len(made) < words:
            made += dice.choice(harmless).rstrip(".").split()
        return " ".join(made[:words])

    places: dict[str, Callable[[str], str]] = {
        "before": lambda t: f"{filler(25)}, {t}",
        "after": lambda t: f"{t}, {filler(25)}",
        "around": lambda t: f"{filler(12)}, {t}, {filler(13)}",
        "around, 100 words": lambda t: f"{filler(50)}, {t}, {filler(50)}",
    }
    for name, wrap in places.items():
        bad = [judge(wrap(text)).action == "block" for text in harmful]
        good = [judge(wrap(text)).action == "block" for text in harmless]
        said.append(f"| {name} | {_share(bad)} | {_share(good)} |")
    return said


def _latency(texts: list[str], guard: PromptGuard) -> dict[str, float]:
    spent = []
    for text in texts:
        before = time.process_time()
        guard.judge(text, POLICY)
        spent.append((time.process_time() - before) * 1000)
    return {
        "median": statistics.median(spent),
        "p95": float(np.percentile(spent, 95)),
        "most": max(spent),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--data", type=Path, default=Path("../shared/data/prompts"), help="train.jsonl, dev.jsonl"
    )
    parser.add_argument("--peers", type=Path, help="an interpreter that has the peers")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    options = parser.parse_args()
    dev = read_rows(options.data / "dev.jsonl")
    probe = yaml.safe_load((HERE / "data" / "safety_probe.yaml").read_text("utf-8"))
    held = [row for row in read_rows(options.data / "train.jsonl") if held_out(row)]
    judge = _Remembering(PromptGuard(encoder=_ReadsOnce(), head=PromptHead.load()))

    sets = _sets(dev, held, probe)
    texts = list(
        dict.fromkeys(t for g in (sets.harmful, sets.harmless) for v in g.values() for t in v)
    )
    peers, peer_ms = _ask_peers(options.peers, texts)
    dice = random.Random(SEED)
    bad = dice.sample(
        [t for n, v in sets.harmful.items() if n.startswith("dev, picture") for t in v], 50
    )
    good = dice.sample(sets.harmless["dev, benign picture prompts"], 50)
    out = ["### Prompts", "", *_main_table(sets, judge, peers), ""]
    out += [
        "The probe was written by hand by somebody who did not write the lexicons; nothing was "
        "trained on it, but its numbers were seen between trainings. The development set "
        "calibrated the scores and shares templates with the training set. The unseen tenth is "
        "every tenth text of the training file (by hash): no weight and no list was made with it; "
        "it comes from the same sources, and authored rows of one template stand on both sides.",
        "",
        "#### Each category at 1 % false positives",
        "",
        *_at_one_percent(dev, held, judge),
        "",
        "#### Disguises",
        "",
        *_hidden(bad, good, judge),
        "",
        "#### Padding",
        "",
        *_padded(bad, good, judge),
        "",
    ]
    probed = [text for name, of in sets.harmful.items() if "probe" in name for text in of]
    unseen = sets.harmful["unseen tenth, of these picture prompts"]
    fresh = PromptGuard.load()
    out += language_tables(
        options.data,
        judge,
        fresh,
        harmful=[*probed, *unseen],
        harmless=sets.harmless["unseen tenth, benign picture prompts"],
    )
    sample = dice.sample(texts, 200)
    fresh.judge("a warm-up", POLICY)
    took = _latency(sample, fresh)
    out += [
        f"CPU time of the whole text path, one text, one thread: median {took['median']:.1f} ms, "
        f"p95 {took['p95']:.1f} ms, most {took['most']:.0f} ms"
        + "".join(f"; {name} {ms:.2f} ms" for name, ms in peer_ms.items())
        + ".",
    ]
    text = "\n".join(out)
    print(text)
    if options.write:
        peers_too = " --peers PYTHON" if options.peers else ""
        command = f"python -m benchmarks.safety --data DIR{peers_too} --write"
        write_section("safety", text, command=command)


if __name__ == "__main__":
    main()
