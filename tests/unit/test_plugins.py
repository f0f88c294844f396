from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from functools import cache
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from chopmark import GenerationRequest, Pipeline
from chopmark.errors import ConfigurationError, ModelNotFound
from chopmark.generation import GenerationJob, ModelInfo
from chopmark.pipeline.inspect import examine, reattach
from chopmark.pipeline.parts import Parts
from chopmark.plugins import Hooks, RequestLog, builtin, hookimpl, hooks, load_plugins
from chopmark.provenance import CredentialProvider, ManifestRepository
from chopmark.provenance.reattachment import remove
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
    # What was loaded once is kept for the process.
    monkeypatch.setattr(builtin, "all_plugins", cache(builtin.all_plugins.__wrapped__))


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
        load_plugins(builtin).generator(settings, None)


def test_the_first_answer_wins_and_ours_comes_last(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    class Paints:
        def generate(self, *_: object, **__: object) -> list[object]:
            return []

    theirs = Paints()

    class Theirs:
        @hookimpl
        def chopmark_generator(self, settings: Settings) -> object:
            return theirs if settings.model == "acme:chess" else None

    _offer(monkeypatch, Theirs())
    both = load_plugins(builtin)
    chosen = settings.model_copy(update={"model": "acme:chess"})
    assert both.generator(chosen, None) is theirs  # type: ignore[comparison-overlap]
    nowhere = settings.model_copy(update={"model": "/nowhere"})
    with pytest.raises(ModelNotFound):
        both.generator(nowhere, None)


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
    guards = PromptGuards(load_plugins(builtin).prompt_guards(settings))
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


@pytest.mark.parametrize(
    ("hook", "ask", "missing"),
    [
        ("chopmark_generator", lambda plugins, given: plugins.generator(given, None), "generate"),
        ("chopmark_prompt_guard", lambda plugins, given: plugins.prompt_guards(given), "judge"),
        ("chopmark_image_guard", lambda plugins, given: plugins.image_guards(given), "judge"),
        ("chopmark_credential", lambda plugins, given: plugins.credentials(given), "current"),
        ("chopmark_manifest_store", lambda plugins, given: plugins.manifest_store(given), "by_pdq"),
        ("chopmark_log", lambda plugins, given: plugins.log(given), "append"),
    ],
)
def test_an_answer_without_a_method_that_its_hook_promises_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, hook: str, ask: Any, missing: str
) -> None:
    class Hollow:
        pass

    def answer() -> Hollow:
        return Hollow()

    plugin = type(sys)("acme")
    setattr(plugin, hook, hookimpl(answer))
    _offer(monkeypatch, plugin)
    with pytest.raises(ConfigurationError, match=f"Hollow.*{hook}.*{missing}") as caught:
        ask(load_plugins(builtin), settings)
    assert "CHOPMARK_PLUGINS" in caught.value.hint


def test_a_hook_that_nobody_answers_is_an_error(settings: Settings) -> None:
    with pytest.raises(ConfigurationError, match="nothing here answers chopmark_log"):
        load_plugins(others=False).log(settings)


class Delegates:
    """What is no subclass of ours and only has the methods of a Protocol."""

    def __init__(self, real: Any, protocol: type) -> None:
        for name in vars(protocol):
            if not name.startswith("_"):
                setattr(self, name, getattr(real, name))


class Elsewhere:
    """A plugin whose log, store and credential are classes of its own."""

    @hookimpl
    def chopmark_log(self, settings: Settings) -> Delegates:
        return Delegates(builtin.chopmark_log(settings), RequestLog)

    @hookimpl
    def chopmark_manifest_store(self, settings: Settings) -> Delegates:
        return Delegates(builtin.chopmark_manifest_store(settings), ManifestRepository)

    @hookimpl
    def chopmark_credential(self, settings: Settings) -> Delegates:
        return Delegates(builtin.chopmark_credential(settings), CredentialProvider)

    @hookimpl
    def chopmark_generator(self) -> Chessboards:
        return Chessboards()


class Chessboards:
    info = ModelInfo(
        id="acme:chess",
        version="1",
        digest="0" * 64,
        licence="Apache-2.0",
        native_size=512,
        default_size=(512, 512),
        max_size=2048,
        default_steps=1,
        quantization="none",
        supports=frozenset({"generate"}),
    )

    def generate(self, job: GenerationJob, **_: object) -> list[Image.Image]:
        board = Image.new("RGB", (8, 8), "ivory")
        for square in range(0, 64, 3):
            board.putpixel((square % 8, square // 8), (90, 60, 40))
        size = (job.width, job.height)
        return [board.resize(size, Image.Resampling.NEAREST) for _ in job.seeds]


@pytest.mark.filterwarnings("ignore::chopmark.provenance.DevelopmentCredentialWarning")
async def test_pictures_are_made_with_a_log_a_store_and_a_credential_of_a_plugin(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    _offer(monkeypatch, Elsewhere())
    parts = Parts(settings).use(plugins=load_plugins(builtin))
    with Pipeline(parts) as pipeline:
        released = await pipeline.generate(GenerationRequest(prompt="a chessboard", seed=1))
        data = released.outputs[0].data
        assert examine(parts, data).verdict == "made_here"
        assert reattach(parts, remove(data)) == data
        assert {type(parts.opened[name]) for name in ("request_log", "store", "credentials")} == {
            Delegates
        }
        # What only our own log can do says so.
        with pytest.raises(ConfigurationError, match="a plugin's") as caught:
            _ = parts.log
        assert caught.value.hint


def test_a_store_that_a_plugin_keeps_elsewhere_is_asked_from_a_fresh_home(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    ours = Parts(settings).use(plugins=load_plugins(builtin, others=False))
    assert not ours.exists("store")
    _offer(monkeypatch, Elsewhere())
    theirs = Parts(settings).use(plugins=load_plugins(builtin))
    assert theirs.exists("store")
    assert theirs.exists("request_log")
    assert not theirs.exists("mark_keys")
