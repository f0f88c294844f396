"""Files and models from outside are those that are known, or nothing is read."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from chopmark.errors import GuardFailed, ModelNotFound
from chopmark.generation.lora import Lora, parse_lora
from chopmark.kit import pinned
from chopmark.safety.hub import from_hub

COMMIT = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b"


@pytest.mark.parametrize("name", sorted(pinned.PINNED))
def test_the_installed_files_are_the_known_ones(name: str) -> None:
    assert pinned.pinned_file(name, error=GuardFailed).is_file()


def test_another_tokenizer_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = pinned.pinned_folder(error=GuardFailed)
    for name in ("tokenizer.json", "vocab.txt"):
        shutil.copy(folder / name, tmp_path / name)
    monkeypatch.setattr(pinned, "pinned_folder", lambda *, error: tmp_path)
    assert pinned.pinned_file("tokenizer.json", error=GuardFailed) == tmp_path / "tokenizer.json"
    text = (tmp_path / "tokenizer.json").read_text("utf-8")
    (tmp_path / "tokenizer.json").write_text(text.replace("blood", "bloom"), "utf-8")
    with pytest.raises(GuardFailed, match="SHA-256"):
        pinned.pinned_file("tokenizer.json", error=GuardFailed)
    (tmp_path / "vocab.txt").unlink()
    with pytest.raises(ModelNotFound, match="cannot be read"):
        pinned.pinned_file("vocab.txt", error=ModelNotFound)


def test_what_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pinned, "find_spec", lambda _name: None)
    with pytest.raises(GuardFailed, match="not installed") as caught:
        pinned.pinned_file("vocab.txt", error=GuardFailed)
    assert "==" in str(caught.value.hint)


def test_a_revision_reaches_the_loader(caplog: pytest.LogCaptureFixture) -> None:
    asked: list[tuple[str, dict[str, object]]] = []

    def load(where: str, **options: object) -> str:
        asked.append((where, options))
        return "model"

    assert from_hub(f"hf:org/name@{COMMIT}", load) == ("model",)
    assert from_hub("hf:org/unpinned-guard", load) == ("model",)
    assert asked == [
        ("org/name", {"trust_remote_code": False, "revision": COMMIT}),
        ("org/unpinned-guard", {"trust_remote_code": False}),
    ]
    assert [record.args for record in caplog.records] == [("org/unpinned-guard",)]


@pytest.mark.parametrize(
    ("text", "lora"),
    [
        (f"hf:org/name@{COMMIT}", Lora(source=f"hf:org/name@{COMMIT}", scale=1.0)),
        (f"hf:org/name@{COMMIT}@0.5", Lora(source=f"hf:org/name@{COMMIT}", scale=0.5)),
        ("hf:org/name@0.5", Lora(source="hf:org/name", scale=0.5)),
        ("hf:org/name", Lora(source="hf:org/name", scale=1.0)),
    ],
)
def test_an_adapter_has_a_revision_and_a_scale(text: str, lora: Lora) -> None:
    assert parse_lora(text) == lora
