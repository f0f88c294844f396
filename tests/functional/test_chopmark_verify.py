"""``chopmark-verify`` says what ``chopmark verify`` and ``chopmark audit verify`` say."""

from __future__ import annotations

import datetime as dt
import importlib.util
import json
import shutil
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from chopmark_verify.command import run as run_small

from chopmark.audit import AuditLog, Event
from chopmark.kit.ids import new_record_id
from chopmark.provenance import (
    DevelopmentCredentialWarning,
    ManifestInfo,
    encode_image,
    load_credential,
    sign,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from PIL import Image

    Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def small(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs ``chopmark-verify`` in this process; returns exit code, stdout and stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        try:
            code = run_small([str(one) for one in arguments])
        except SystemExit as left:
            code = int(left.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def signed(home: Path, tmp_path: Path, make_picture: Callable[..., Image.Image]) -> Path:
    """A picture that this home signed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DevelopmentCredentialWarning)
        credential = load_credential(home)
    info = ManifestInfo(
        output_id="a3f09c1122334451", record_id="a3f09c1122334450", model_id="tiny",
        model_version="1", created_at=dt.datetime.now(dt.UTC), generator_version="0.1.0",
    )  # fmt: skip
    file = tmp_path / "signed.png"
    file.write_bytes(sign(encode_image(make_picture(), "png"), "png", info, credential).data)
    return file


@pytest.fixture
def anchors(signed: Path, home: Path, tmp_path: Path) -> Path:
    """A folder that says whom to trust: the CA of that home."""
    folder = tmp_path / "anchors"
    (folder / "manifest").mkdir(parents=True)
    (root,) = (home / "keys").glob("root*.pem")
    (folder / "manifest" / "them.pem").write_bytes(root.read_bytes())
    return folder


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A log of 300 entries, and its files: a receipt, the keys, and what is published."""
    folder = tmp_path_factory.mktemp("log")
    names = ("home", "receipt.json", "log.vkey", "public", "kept")
    made = {name: folder / name for name in names}

    def event() -> Event:
        return Event(
            kind="request.received",
            tenant="default",
            record_id=new_record_id(),
            public={"n": 1},
            private={},
        )

    with AuditLog.open(made["home"]) as opened, ThreadPoolExecutor(32) as threads:
        record_id = opened.append(event()).record_id
        list(threads.map(lambda _: opened.append(event()), range(99)))
        made["kept"].write_text(opened.proof.checkpoint().note)
        list(threads.map(lambda _: opened.append(event()), range(200)))
        made["receipt.json"].write_text(opened.proof.receipt(record_id).to_json())
        opened.proof.publish(made["public"])
        made["log.vkey"].write_text(opened.proof.public_keys)
    return made


def test_a_picture_has_the_same_report(
    run: Run, small: Run, signed: Path, anchors: Path, monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:  # fmt: skip
    # What an outsider sees: another home, and the anchors that they chose.
    monkeypatch.setenv("CHOPMARK_HOME", str(tmp_path / "outside"))
    monkeypatch.setenv("CHOPMARK_TRUST_ANCHORS", str(anchors))
    code, out, _ = run("verify", signed, "--json")
    there = json.loads(out)
    here_code, out, _ = small(signed, "--anchors", anchors, "--json")
    assert (code, here_code) == (0, 0)
    assert json.loads(out) == there
    assert there["credential"]["anchor"] == "them"


def test_without_the_packages_the_pixels_are_not_examined(
    small: Run, signed: Path, anchors: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, out, _ = small(signed, "--anchors", anchors, "--json")
    whole = json.loads(out)
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *more: None if name in {"PIL", "cv2", "numpy"} else find(name, *more),
    )
    code, out, _ = small(signed, "--anchors", anchors, "--json")
    told = json.loads(out)
    assert code == 0
    for axis in ("manifest", "credential", "time", "ai_signal", "ingredients", "verdict"):
        assert told[axis] == whole[axis], axis
    assert told["watermark"]["state"] == "not_examined"
    assert "Pillow" in told["watermark"]["reason"]
    assert any("chopmark-verify[pixels]" in note for note in told["notes"])
    code, _, err = small(signed, "--mark-key", signed)
    assert code == 1
    assert "chopmark-verify[pixels]" in err


def test_an_altered_picture_and_an_unknown_signer_do_not_hold(
    small: Run, signed: Path, anchors: Path, tmp_path: Path
) -> None:
    code, out, _ = small(signed, "--json")
    assert (code, json.loads(out)["credential"]["state"]) == (4, "untrusted")
    data = bytearray(signed.read_bytes())
    data[-40] ^= 1  # in the pixels
    (tmp_path / "altered.png").write_bytes(data)
    code, out, _ = small(tmp_path / "altered.png", "--anchors", anchors, "--json")
    assert (code, json.loads(out)["manifest"]["state"]) == (4, "broken")


def test_a_receipt_has_the_same_answer(
    run: Run, small: Run, log: dict[str, Path], tmp_path: Path
) -> None:
    receipt, key = log["receipt.json"], log["log.vkey"]
    whole = json.loads(receipt.read_text())
    forged = {
        "as it is": whole,
        "another leaf": {**whole, "leaf": whole["leaf"].replace("request", "Request")},
        "another place": {**whole, "index": whole["index"] + 1},
        "a shorter path": {**whole, "proof": whole["proof"][:-1]},
        "another tree": {**whole, "checkpoint": whole["checkpoint"].replace("\n", "\n1", 1)},
    }
    for name, members in forged.items():
        file = tmp_path / "given.json"
        file.write_text(json.dumps(members))
        told = run("audit", "verify", "--receipt", file, "--public-key", key, "--json")
        assert small(file, "--public-key", key, "--json") == told, name
        assert told[0] == (0 if name == "as it is" else 4), name


def test_a_report_has_the_same_answer(
    run: Run, small: Run, signed: Path, log: dict[str, Path], home: Path, tmp_path: Path
) -> None:
    report, key = tmp_path / "report.json", tmp_path / "log.vkey"
    assert run("verify", signed, "--report", report)[0] == 0
    key.write_bytes((home / "audit" / "log.vkey").read_bytes())
    for file in (signed, log["log.vkey"]):
        given = ("--check-report", report, file, "--public-key", key, "--json")
        told = run("verify", *given)
        assert small(*given) == told
        assert told[0] == (0 if file == signed else 4)
    members = json.loads(report.read_text())
    members["payload"] = members["payload"][:-4] + "AAAA"
    report.write_text(json.dumps(members))
    assert small(report, "--json")[0] in {1, 4}


def test_a_published_log_is_walked(
    run: Run, small: Run, log: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHOPMARK_HOME", str(log["home"]))
    public = tmp_path / "public"
    shutil.copytree(log["public"], public)
    given = (public, "--public-key", log["log.vkey"], "--kept", log["kept"], "--json")
    code, out, err = small(*given)
    assert code == 0, err
    told = json.loads(out)
    code, out, _ = run("audit", "verify", "--json")
    assert code == 0
    there = json.loads(out)
    assert (told["size"], told["root"]) == (there["size"], there["root"])
    assert told["not_looked_at"] == []
    bundle = next(file for file in (public / "tile" / "entries").rglob("*") if file.is_file())
    data = bytearray(bundle.read_bytes())
    data[20] ^= 1
    bundle.write_bytes(data)
    code, out, _ = small(*given)
    assert code == 4
    assert [one["what"] for one in json.loads(out)["problems"]] == ["leaf_changed"]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ([], 2, "name a file"),
        (["none.png"], 1, "No such file"),
        (["http://example.org/log", "--public-key", "a+b+c"], 1, "not https"),
        (["."], 1, "--public-key"),
        ([__file__], 1, "no picture format"),
    ],
)
def test_wrong_usage_is_one_clear_error(
    small: Run, arguments: list[str], code: int, says: str
) -> None:
    found, _, err = small(*arguments)
    assert found == code
    assert says in err
    assert "Traceback" not in err


def test_it_is_the_same_version() -> None:
    import tomllib
    from pathlib import Path

    root = Path(__file__).parents[2]
    versions: list[Any] = [
        tomllib.loads((root / place / "pyproject.toml").read_text())["project"]["version"]
        for place in (".", "packages/verify")
    ]
    assert versions[0] == versions[1]
