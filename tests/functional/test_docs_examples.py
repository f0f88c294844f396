"""Every example of every page runs, or says why it does not."""

from __future__ import annotations

import json
import os
import shutil
import tomllib
import warnings
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from PIL import Image

from chopmark import Pipeline, Settings
from chopmark.audit import AuditLog, Event
from chopmark.cli import main
from chopmark.kit.ids import new_record_id
from chopmark.site import create_site
from tests.support.examples import ROOT, Block, Shell, blocks_of, commands_of, pages
from tests.support.home import open_with
from tests.support.server import serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SHELL = {"sh", "bash", "console"}
ADDRESS = "http://127.0.0.1:8000"
LOADERS: dict[str, Callable[[str], object]] = {
    "yaml": yaml.safe_load,
    "toml": tomllib.loads,
    "json": json.loads,
}
#: A machine that is busy with other tests is no reason to fail.
PATIENT = tuple(
    f"CHOPMARK_{step}_TIMEOUT_S" for step in ("GUARD", "GENERATE", "SEAL", "LOG", "LOOK")
)
#: Pictures that examples work on, without making them.
PICTURES = (
    "in.png",
    "picture.png",
    "parade.png",
    "cat.png",
    "dog.png",
    "head.png",
    "a.png",
    "one.png",
)


def _blocks(*, run: bool) -> Iterator[Block]:
    for page in pages():
        yield from (block for block in blocks_of(page) if (not block.mark) is run)


def test_what_is_not_run_says_why() -> None:
    for block in _blocks(run=False):
        kind, _, rest = block.mark.partition(" by ")
        if kind == "run":
            assert (ROOT / rest).is_file(), block
        else:
            assert len(block.mark) > len("not run: ") + 10, block


def test_every_block_names_its_language() -> None:
    known = {*SHELL, "python", "yaml", "toml", "json"}
    assert not [block for block in _blocks(run=True) if block.language not in known]


@pytest.fixture
def folder(tmp_path: Path, make_picture: Callable[..., Image.Image]) -> Path:
    """Where the examples are run: pictures, and the small files that pages speak of."""
    place = tmp_path / "work"
    place.mkdir()
    for seed, name in enumerate(PICTURES):
        make_picture(256, 256, seed=seed).save(place / name)
    return place


@pytest.fixture
def lent(shared_pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pipelines that the examples open borrow loaded models; everything else is their own."""
    plain = Pipeline.from_settings

    def borrowed(settings: Settings, **progress: Any) -> Pipeline:
        if settings.workers:
            return plain(settings, **progress)
        monkeypatch.setattr(Pipeline, "from_settings", plain)
        try:
            lend = {"prompt_guard", "image_guard", "generator"}
            return open_with(shared_pipeline, settings, lend=lend)
        finally:
            monkeypatch.setattr(Pipeline, "from_settings", borrowed)

    monkeypatch.setattr(Pipeline, "from_settings", borrowed)


WITH_BLOCKS = sorted({block.page for block in _blocks(run=True)})


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("page", WITH_BLOCKS)
@pytest.mark.usefixtures("lent")
def test_the_examples_of_a_page_run(
    page: str,
    folder: Path,
    home: Path,
    open_pipeline: Callable[..., Pipeline],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    blocks = [block for block in blocks_of(page) if not block.mark]
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(folder))
    for name in PATIENT:
        monkeypatch.setenv(name, "600")
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    names: dict[str, Any] = {"__name__": "__main__"}
    words = PREPARED[page](home, folder) if page in PREPARED else {}
    words["/tmp/chopmark-desk"] = str(home)  # noqa: S108  what a page names, and no test touches
    with warnings.catch_warnings(), Shell(folder, main, **_set()) as shell:
        warnings.simplefilter("ignore")
        if not any(ADDRESS in block.text for block in blocks):
            for block in blocks:
                _run(block, block.text, shell, names, words)
            return
        if any(block.text.startswith("curl") for block in blocks) and not shutil.which("curl"):
            pytest.skip("curl is not installed")
        with serve(open_pipeline(home=home.with_name("served")), create_site) as live:
            for block in blocks:
                _run(block, block.text.replace(ADDRESS, live.url), shell, names, words)


def _set() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("CHOPMARK_")}


def _run(
    block: Block, text: str, shell: Shell, names: dict[str, Any], words: dict[str, str]
) -> None:
    for word, value in words.items():
        text = text.replace(word, value)
    if block.language in SHELL:
        shell.run(commands_of(Block(**{**vars(block), "text": text})))
    elif block.language == "python":
        exec(compile(text, f"{block.page}:{block.line}", "exec"), names)  # noqa: S102  our own pages
    else:
        LOADERS[block.language](text)


def _desk(home: Path, folder: Path) -> dict[str, str]:
    """Make what an analyst works on, and the files that a day at the desk speaks of."""
    ids = {"DECISION": new_record_id(), "RECORD": new_record_id(), "": new_record_id()}
    with AuditLog.open(home) as log:
        for (name, record_id), subject, action, prompt in zip(
            ids.items(),
            ("acme:7", "acme:7", "acme:42"),
            ("block", "review", "allow"),
            ("a dragon bleeding", "a red apple and a knife", "a green pear"),
            strict=True,
        ):
            members: dict[str, Any] = {"record_id": record_id, "tenant": "acme", "subject": subject}
            kind: Any = "request.refused" if name == "DECISION" else "request.completed"
            verdict = {"action": action, "scores": {"violence": 0.9}, "categories": ["violence"]}
            public: dict[str, Any] = {"verdict": verdict, "stage": "input"}
            log.append(Event(kind="request.received", private={"prompt": prompt}, **members))
            log.append(Event(kind=kind, public=public, private={"pdq": {}}, **members))
        held = log.custody.holds.place("acme:7", basis="another case", by="ada")
        (folder / "checkpoint-of-march.txt").write_text(log.proof.checkpoint().note)
    shutil.copy(home / "audit" / "log.vkey", folder)
    for block in blocks_of("docs/audit.md"):
        for name, member in (("template.yaml", "ground"), ("reporter.yaml", "company")):
            if block.text.startswith(f"{member}:"):
                (folder / name).write_text(block.text)
    del ids[""]
    return {**ids, "release 1234": f"release {held.index}", "/srv/log": str(folder / "published")}


def _batch(_: Path, folder: Path) -> dict[str, str]:
    body = {"prompt": "a red apple", "seed": 7}
    line = {"custom_id": "1", "method": "POST", "url": "/v1/images/generations", "body": body}
    (folder / "lines.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
    return {}


def _policy(_: Path, folder: Path) -> dict[str, str]:
    """Write a policy with its golden cases, and the labelled set that the page shows."""
    shutil.copy(ROOT / "policies" / "default.yaml", folder / "my-policy.yaml")
    golden = (ROOT / "policies" / "default.golden.yaml").read_text(encoding="utf-8")
    head, _mark, cases = golden.partition("cases:\n")
    few = "\n".join(cases.splitlines()[:2])
    (folder / "my-policy.golden.yaml").write_text(f"{head}cases:\n{few}\n", encoding="utf-8")
    (shown,) = (block for block in blocks_of("docs/safety.md") if "cat set.jsonl" in block.text)
    rows = [line for line in shown.text.splitlines() if line.startswith("{")]
    (folder / "set.jsonl").write_text("\n".join(rows), encoding="utf-8")
    (folder / "pictures").mkdir()
    with Image.open(folder / "in.png") as picture:
        picture.save(folder / "pictures" / "0001.jpg")
    return {}


PREPARED: dict[str, Callable[[Path, Path], dict[str, str]]] = {
    "README.md": _desk,
    "docs/audit.md": _desk,
    "docs/roles/auditor.md": _desk,
    "docs/http.md": _batch,
    "docs/safety.md": _policy,
}
