from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from chopmark.errors import ConfigurationError, ModelNotFound
from chopmark.pipeline.parts import Parts
from chopmark.plugins import Hooks, builtin, hookimpl, hooks, load_plugins
from chopmark.safety import PromptGuards, Verdict, load_policy

if TYPE_CHECKING:
    from chopmark.safety import Policy
    from chopmark.settings import Settings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
NAMES = sorted(name for name in vars(Hooks) if name.startswith("chopmark_"))


@pytest.fixture
def acme(tmp_path: Path) -> Path:
    """The page's example, installed the way pip leaves it: a module and its dist-info."""
    [code] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "acme_chopmark.py").write_text(code, encoding="utf-8")
    info = tmp_path / "acme_chopmark-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-chopmark\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[chopmark]\nacme = acme_chopmark\n")
    return tmp_path


def _chopmark(acme: Path, home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(acme), str(ROOT / "src")])
    return subprocess.run(
        [sys.executable, "-m", "chopmark", *words],
        env={**os.environ, "PYTHONPATH": path, "CHOPMARK_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_the_example_of_the_page_makes_judges_and_is_listed(acme: Path, tmp_path: Path) -> None:
    home, picture = tmp_path / "home", tmp_path / "board.png"
    made = _chopmark(
        acme, home, "generate", "a chessboard", "--model", "acme:chess", "-o", str(picture),
        "--json",
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    seen = _chopmark(acme, home, "verify", str(picture), "--json")
    assert json.loads(seen.stdout)["verdict"] == "made_here"
    zebra = _chopmark(
        acme, home, "generate", "a zebra", "--model", "acme:chess", "-o", str(tmp_path / "z.png")
    )
    assert zebra.returncode == 3, zebra.stderr
    assert not (tmp_path / "z.png").exists()
    without = _chopmark(
        acme, home, "generate", "a chessboard", "--model", "acme:other", "-o", str(picture)
    )
    assert without.returncode == 1
    assert "acme:other" in without.stderr


def test_every_hook_is_in_the_manual_and_has_a_part_of_ours() -> None:
    assert NAMES
    for name in NAMES:
        assert f"`{name}`" in PAGE, name
    ours = {name for name in builtin.__all__ if name.startswith("chopmark_")}
    # Our own watermarks are there without a pipeline, so they register in their room.
    assert ours == set(NAMES) - {"chopmark_watermarkers"}


def _offer(monkeypatch: pytest.MonkeyPatch, module: object) -> None:
    class Point(EntryPoint):
        def load(self) -> Any:
            if isinstance(module, Exception):
                raise module
            return module

    points = [Point(name="acme", value="acme_chopmark", group=hooks.GROUP)]
    monkeypatch.setattr(hooks, "entry_points", lambda group: points)


def test_a_plugin_that_does_not_load_stops_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    _offer(monkeypatch, ImportError("no such thing"))
    with pytest.raises(ConfigurationError, match=r"acme.*no such thing") as caught:
        load_plugins()
    assert "CHOPMARK_PLUGINS" in caught.value.hint
    assert load_plugins(others=False).loaded == ()


def test_a_hook_that_does_not_exist_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Misspelt:
        @hookimpl
        def chopmark_promt_guard(self) -> None: ...

    _offer(monkeypatch, Misspelt())
    with pytest.raises(ConfigurationError, match="promt"):
        load_plugins()


def test_a_plugin_that_breaks_is_one_error_and_nobody_answers_for_it(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    class Broken:
        @hookimpl
        def chopmark_generator(self) -> object:
            raise KeyError("weights")

    _offer(monkeypatch, Broken())
    with pytest.raises(ConfigurationError, match=r"chopmark_generator.*weights"):
        load_plugins(builtin).ask("chopmark_generator", settings=settings, progress=None)


def test_the_first_answer_wins_and_ours_comes_last(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    class Theirs:
        @hookimpl
        def chopmark_generator(self, settings: Settings) -> object:
            return "theirs" if settings.model == "acme:chess" else None

    _offer(monkeypatch, Theirs())
    both = load_plugins(builtin)
    ask = {"progress": None}
    chosen = settings.model_copy(update={"model": "acme:chess"})
    assert both.ask("chopmark_generator", settings=chosen, **ask) == "theirs"
    nowhere = settings.model_copy(update={"model": "/nowhere"})
    with pytest.raises(ModelNotFound):
        both.ask("chopmark_generator", settings=nowhere, **ask)


def test_no_answer_switches_a_guard_off(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    class Lax:
        def judge(self, *_: object, **__: object) -> Verdict:
            return Verdict(action="allow", scores={"sexual": 0.0}, models=("lax@1",))

    class Theirs:
        @hookimpl
        def chopmark_prompt_guard(self) -> Lax:
            return Lax()

    _offer(monkeypatch, Theirs())
    asked = load_plugins(builtin).ask("chopmark_prompt_guard", settings=settings)
    guards = PromptGuards(asked[::-1])
    verdict = guards.judge("explicit photo of naked people having sex", load_policy("default"))
    assert verdict.action == "block"
    assert verdict.models[0] != "lax@1"
    assert verdict.models[-1] == "lax@1"


def test_a_category_of_a_plugin_is_judged_by_the_policy_that_names_it(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, tmp_path: Path
) -> None:
    class Gambling:
        def judge(self, text: str, policy: Policy, **_: object) -> Verdict:
            score = 0.6 if "roulette" in text else 0.0
            return Verdict(action="allow", scores={"gambling": score}, policy=policy.digest())

    class Theirs:
        @hookimpl
        def chopmark_prompt_guard(self) -> Gambling:
            return Gambling()

    _offer(monkeypatch, Theirs())
    casino = tmp_path / "casino.yaml"
    for block, action in ((0.5, "block"), (0.7, "allow")):
        casino.write_text(
            f"name: casino\nversion: '1'\ncategories:\n  gambling: {{prompt: {{block: {block}}}}}\n"
        )
        parts = Parts(settings.model_copy(update={"policy": str(casino)}))
        try:
            verdict = parts.prompt_guard.judge("a roulette wheel", parts.policies.active())
        finally:
            parts.log.close()
        assert verdict.action == action
        assert verdict.scores["gambling"] == 0.6
        assert "gambling" in verdict.evaluated
        assert "violence/graphic" in verdict.not_evaluated  # nobody looks for it in a prompt


def test_a_watermark_that_nobody_offers_is_refused_before_anything_is_made(
    settings: Settings,
) -> None:
    parts = Parts(settings.model_copy(update={"mark_method": "invisible-ink"}))
    with pytest.raises(ConfigurationError, match="invisible-ink"):
        _ = parts.generator
