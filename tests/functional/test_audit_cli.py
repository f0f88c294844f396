"""``chopmark audit`` and ``chopmark review`` as people use them, from refusal to export."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from chopmark.audit import AuditLog, Event
from chopmark.kit.ids import new_record_id

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Run = Callable[..., tuple[int, str, str]]

PDQ = "5a" * 32


@pytest.fixture
def ids(home: Path) -> dict[str, str]:
    """A log with a refusal, a doubtful request and a good one."""
    made: dict[str, str] = {}
    with AuditLog.open(home) as log:
        for name, action, prompt in (
            ("blocked", "block", "a dragon bleeding"),
            ("review", "review", "a café at night"),
            ("good", "allow", "a red apple"),
        ):
            record_id = made[name] = new_record_id()
            verdict: dict[str, Any] = {"action": action, "scores": {"violence": 0.9}}
            members: dict[str, Any] = {"record_id": record_id, "tenant": "acme"}
            members["subject"] = f"acme:{name}"
            kind: Any = "request.refused" if action == "block" else "request.completed"
            public: dict[str, Any] = {"verdict": verdict, "stage": "input"}
            if action == "block":
                public["categories"] = ["violence"]
            log.append(Event(kind="request.received", private={"prompt": prompt}, **members))
            log.append(
                Event(kind=kind, public=public, private={"pdq": {record_id: PDQ}}, **members)
            )
    return made


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_show_and_search(run: Run, ids: dict[str, str]) -> None:
    code, out, _ = run("audit", "show", "--kind", "request.refused", "--json")
    assert code == 0
    assert [item["record_id"] for item in lines(out)] == [ids["blocked"]]
    assert run("audit", "show", "--kind", "nonsense")[0] == 1
    assert run("audit", "search", "apple")[0] == 2  # no purpose
    _, out, _ = run("audit", "search", "appl*", "--purpose", "case", "--json", "--save", "apples")
    assert [item["record_id"] for item in lines(out)] == [ids["good"]]
    _, again, _ = run("audit", "search", "--purpose", "case", "--json", "--saved", "apples")
    assert lines(again) == lines(out)
    filters = [
        *("--where", "decision=block", "--where", "min_score=0.5"),
        *("--where", "subject=acme:blocked"),
    ]
    _, out, _ = run("audit", "search", "--purpose", "case", *filters)
    assert ids["blocked"] in out
    assert len(out.splitlines()) == 1
    near = ["--where", f"similar_to={PDQ}", "--where", "distance=0", "--limit", "2"]
    assert len(lines(run("audit", "search", "--purpose", "c", *near, "--json")[1])) == 2
    _, out, err = run("audit", "search", "unicorn", "--purpose", "case")
    assert (out, err) == ("", "nothing found\n")
    for wrong in ("colour=red", "min_score=high", "red"):
        code, _, err = run("audit", "search", "--purpose", "case", "--where", wrong)
        assert code == 1
        assert "invalid_request" in err
    assert run("audit", "search", "--purpose", "c", "--tenant", "b", "--json")[1] == ""
    assert run("audit", "search", "--purpose", "c", "--role", "king")[0] == 1


def test_private_content_needs_role_and_purpose(run: Run, ids: dict[str, str]) -> None:
    code, out, err = run("audit", "show", ids["good"], "--private", "--purpose", "case")
    assert (code, out) == (1, "")
    assert "CHOPMARK_DESK_ROLES" in err
    who = ["--as", "ada", "--role", "investigator"]
    assert run("audit", "show", ids["good"], "--private", *who)[0] == 1  # no purpose
    _, out, _ = run("audit", "show", ids["good"], "--private", "--purpose", "case", *who)
    assert "a red apple" in out
    _, out, _ = run("audit", "show", "--kind", "access.viewed", "--json")
    assert lines(out)[0]["public"] == {"of": ids["good"]}
    other = ["--tenant", "b"]
    assert run("audit", "show", ids["good"], "--private", "--purpose", "c", *who, *other)[0] == 1


def test_review_from_queue_to_decision(
    run: Run, ids: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHOPMARK_DESK_ROLES", "reader,reviewer")
    rules = tmp_path / "rules.yaml"
    rules.write_text("- {queue: urgent, priority: 9, decision: block}\n- {queue: later}\n")
    assert len(run("review", "route", "--rules", str(rules))[1].splitlines()) == 3
    assert "nothing new" in run("review", "route", "--rules", str(rules))[1]
    _, out, _ = run("review", "lease", "urgent", "--as", "ada", "--minutes", "5", "--json")
    assert lines(out)[0]["record_id"] == ids["blocked"]
    assert run("review", "lease", "urgent", "--as", "max")[1] == "nothing waits\n"
    shown = run("audit", "show", ids["blocked"], "--private", "--purpose", "r", "--as", "ada")
    assert "a dragon bleeding" in shown[1]
    why = ["--rationale", "clear"]
    assert run("review", "decide", ids["blocked"], "confirmed", *why, "--as", "max")[0] == 1
    assert run("review", "renew", ids["blocked"], "--as", "ada")[0] == 0
    assert run("review", "release", ids["blocked"], "--as", "ada")[0] == 0
    assert run("review", "lease", "urgent", "--as", "max")[0] == 0
    assert run("review", "decide", ids["blocked"], "confirmed", *why, "--as", "max")[0] == 0
    assert len(run("review", "list", "--json")[1].splitlines()) == 2
    assert len(run("review", "list", "--all", "--json")[1].splitlines()) == 3
    assert "confirmed" in run("review", "list", "--all", "--queue", "urgent")[1]
    for text in ("queue: x", "- {priority: 3}", "- {queue: x, priority: high}", "- [", "- 3"):
        rules.write_text(text)
        code, _, err = run("review", "route", "--rules", str(rules))
        assert code == 1, text
        assert "configuration" in err


def test_appeal_exception_and_its_end(run: Run, ids: dict[str, str]) -> None:
    decision, who = ids["blocked"], ["--as", "grace", "--role", "reviewer"]
    assert run("review", "appeal", decision, "--statement", "it is a poster")[0] == 0
    assert "open" in run("review", "appeal-state", decision)[1]
    assert run("review", "appeal", decision, "--statement", "again")[0] == 1
    assert run("review", "appeal", ids["good"], "--statement", "hm")[0] == 1
    assert decision in run("review", "appeals")[1]
    assert lines(run("review", "lease-appeal", *who, "--json")[1])[0]["holder"] == "grace"
    until = ["--allow-until", "2999-01-01T00:00:00Z"]
    why = ["--rationale", "a known poster"]
    taken = run("review", "decide-appeal", decision, "upheld", *why, "--role", "reviewer")
    assert taken[0] == 1  # grace has it on lease
    assert run("review", "decide-appeal", decision, "overturned", *why, *until, *who)[0] == 0
    state = lines(run("review", "appeal-state", decision, "--json")[1])[0]
    assert (state["outcome"], state["rationale"]) == ("overturned", "a known poster")
    assert "no appeal" in run("review", "appeals")[1]
    assert decision in run("review", "appeals", "--all")[1]
    index = lines(run("review", "exceptions", "--json")[1])[0]["index"]
    assert run("review", "revoke", str(index), "--reason", "over", *who)[0] == 0
    assert "no exception" in run("review", "exceptions")[1]


def test_holds_erasure_and_retention(run: Run, ids: dict[str, str]) -> None:
    who = ["--as", "ada", "--role", "eraser"]
    erase = ["audit", "erase", "--subject", "acme:good", "--second", "max", "--reason", "asked"]
    assert run("audit", "hold", "--subject", "acme:good", "--basis", "court", *who)[0] == 0
    assert run(*erase, *who)[0] == 1
    assert run(*erase)[0] == 1  # no eraser
    index = lines(run("audit", "holds", *who, "--json")[1])[0]["index"]
    assert "court" in run("audit", "holds", *who)[1]
    assert run("audit", "release", str(index), "--reason", "over", *who)[0] == 0
    assert run(*erase, *who, "--second", "ada")[0] == 1
    assert "erased" in run(*erase, *who, "--tenant", "acme")[1]
    assert run("audit", "retain", *who) == (0, "nothing was due\n", "")
    _, out, _ = run("audit", "retain", "--standard", "0", "--blocked", "0", *who, "--json")
    assert {item["public"]["class"] for item in lines(out)} == {"standard", "blocked"}
    assert run("audit", "retain", "--standard", "-1", *who)[0] == 1
    seen = ["--private", "--purpose", "p", "--role", "investigator"]
    assert "a dragon" not in run("audit", "show", ids["blocked"], *seen)[1]
    assert run("audit", "verify")[1].startswith("ok ")


def test_seal_and_unseal(run: Run, ids: dict[str, str]) -> None:
    who = ["--as", "ada", "--role", "investigator"]
    look = ["audit", "show", ids["good"], "--private", "--purpose", "p", *who]
    assert run("audit", "seal", ids["good"], "--reason", "reported", *who)[0] == 0
    code, _, err = run(*look)
    assert code == 1
    assert "sealed" in err
    unseal = ["audit", "unseal", ids["good"], "--reason", "court", "--hours", "1", *who]
    assert run(*unseal, "--second", "ada")[0] == 1
    assert run(*unseal, "--second", "max")[0] == 0
    assert "a red apple" in run(*look)[1]


def test_export_statements_and_report(
    run: Run, ids: dict[str, str], tmp_path: Path, home: Path
) -> None:
    folder, key = tmp_path / "out", str(home / "audit" / "log.vkey")
    who = ["--purpose", "authority", "--second", "max", "--role", "exporter"]
    assert run("audit", "export", str(folder), "--text", "dragon", "--content", *who)[0] == 0
    assert "a dragon bleeding" in (folder / "entries.jsonl").read_text()
    assert run("audit", "check-export", str(folder), "--public-key", key) == (0, "ok\n", "")
    (folder / "entries.jsonl").write_text("")
    assert run("audit", "check-export", str(folder), "--public-key", key, "--json")[0] == 4
    assert run("audit", "export", str(folder), "--purpose", "p", "--second", "max")[0] == 1
    template = tmp_path / "template.yaml"
    template.write_text("reference: Terms\nexplanation: No.\nterritorial_scope: [DE]\n")
    _, out, _ = run("audit", "statements", str(template), *who)
    assert [item["puid"] for item in lines(out)] == [ids["blocked"]]
    template.write_text("colour: red\n")
    assert run("audit", "statements", str(template), *who)[0] == 1
    _, out, _ = run("audit", "report", "--json", "--tenant", "acme")
    assert lines(out)[0]["requests"] == {"completed": 2, "received": 3, "refused": 1}
    assert "by_category:" in run("audit", "report")[1]


def test_verify_prove_and_publish(
    run: Run, ids: dict[str, str], tmp_path: Path, home: Path
) -> None:
    receipt, key = tmp_path / "r.json", str(home / "audit" / "log.vkey")
    kept = tmp_path / "kept.txt"
    kept.write_text(run("audit", "checkpoint")[1])
    assert lines(run("audit", "checkpoint", "--json")[1])[0]["size"] == 6
    assert run("audit", "prove", ids["good"], "-o", str(receipt))[0] == 0
    assert run("audit", "verify", "--receipt", str(receipt), "--public-key", key)[0] == 0
    assert "--public-key" in run("audit", "verify", "--receipt", str(receipt))[1]
    assert run("audit", "verify", "--kept", str(kept), "--public-key", key)[0] == 0
    assert run("audit", "verify", "--resume", "--json")[0] == 0
    with AuditLog.open(tmp_path / "other") as other:
        stranger = other.public_key
    assert run("audit", "verify", "--receipt", str(receipt), "--public-key", stranger)[0] == 4
    kept.write_text(kept.read_text().replace("\n6\n", "\n5\n"))
    code, out, _ = run("audit", "verify", "--kept", str(kept), "--json")
    assert code == 4
    assert lines(out)[0]["problems"][0]["where"] == "kept checkpoint"
    _, out, _ = run("audit", "publish", str(tmp_path / "public"), "--json")
    assert lines(out)[0]["size"] == 6
    assert (tmp_path / "public" / "tile" / "entries" / "000.p" / "6").is_file()
    assert run("audit", "reconcile", "--older-than", "0") == (0, "no request was left open\n", "")


def test_witnesses_from_a_file(run: Run, ids: dict[str, str], tmp_path: Path) -> None:
    from chopmark.audit import WitnessKey

    assert ids
    key = WitnessKey(name="example.org/w", public=bytes(32))
    file = tmp_path / "witnesses"
    file.write_text(f"http://127.0.0.1:9/w {key}\n")
    code, out, err = run("audit", "checkpoint", "--witnesses", str(file))
    assert code == 0  # a witness that is down stands in nobody's way
    assert out.startswith("chopmark.local/log\n6\n")
    assert "witness_down" in err
    code, out, _ = run("audit", "verify", "--witness", str(key), "--json")
    assert code == 4
    assert [item["what"] for item in lines(out)[0]["problems"]] == ["not_witnessed"]
    file.write_text("nonsense\n")
    assert run("audit", "checkpoint", "--witnesses", str(file))[0] == 1
    assert run("audit", "verify", "--witness", "nonsense")[0] == 1


def test_an_older_folder_put_back_lacks_what_the_manifests_name(
    run: Run, ids: dict[str, str], tmp_path: Path, home: Path
) -> None:
    import shutil

    from chopmark.provenance import ManifestStore
    from tests.support.logs import forget_marks

    assert run("audit", "verify")[0] == 0
    backup = shutil.copytree(home / "audit", tmp_path / "backup")
    late = new_record_id()
    with AuditLog.open(home) as log:
        log.append(Event(kind="moderation.completed", record_id=late, tenant="acme"))
    store = ManifestStore.open(home)
    for record_id in (late, ids["good"]):
        members = {"manifest_id": f"urn:c2pa:{record_id}", "record_id": record_id}
        store.put(manifest=b"a manifest", output_id=record_id, **members)
    store.close()
    AuditLog.open(home).close()  # keeps its newest checkpoint with the manifests, too
    assert run("audit", "verify")[0] == 0
    shutil.rmtree(home / "audit")
    shutil.copytree(backup, home / "audit")
    forget_marks(home)  # whoever puts it back knows of these, too
    shutil.copy(backup / "checkpoint", home / "audit" / "checkpoint")
    code, out, _ = run("audit", "verify", "--json")
    problems = lines(out)[0]["problems"]
    assert (code, [problem["what"] for problem in problems]) == (4, ["record_missing"])
    assert problems[0]["where"] == f"record {late}"


def test_keys_are_rotated_and_receipts_stay_good(
    run: Run, ids: dict[str, str], tmp_path: Path, home: Path
) -> None:
    receipt = tmp_path / "r.json"
    assert run("audit", "prove", ids["good"], "-o", str(receipt))[0] == 0
    old = (home / "audit" / "log.vkey").read_text().strip()
    code, out, _ = run("audit", "rotate-keys", "--json")
    said = lines(out)[0]
    assert code == 0
    assert said["verifier_keys"] == [said["signing"], old]
    assert said["data_keys_wrapped"] >= 3
    assert run("audit", "verify")[0] == 0
    for key in (str(home / "audit" / "log.vkey"), old):
        assert run("audit", "verify", "--public-key", key)[0] == 0
        assert run("audit", "verify", "--receipt", str(receipt), "--public-key", key)[0] == 0
    assert run("audit", "verify", "--receipt", str(receipt))[0] == 0  # by the keys of this home
    assert run("audit", "verify", "--kept", str(receipt))[0] == 0
    assert "wrapped by a new key" in run("audit", "rotate-keys", "encryption")[1]
    who = ["--as", "ada", "--role", "investigator"]
    _, out, _ = run("audit", "show", ids["good"], "--private", "--purpose", "c", *who)
    assert "a red apple" in out
    assert "acme" not in receipt.read_text()
    assert run("audit", "prove", ids["good"], "--disclose", "-o", str(receipt))[0] == 0
    assert "acme" in receipt.read_text()


def test_a_backup_is_restored(run: Run, ids: dict[str, str], tmp_path: Path, home: Path) -> None:
    import shutil

    assert ids
    backup = shutil.copytree(home / "audit", tmp_path / "backup")
    assert run("audit", "reconcile", "--older-than", "0")[0] == 0
    with AuditLog.open(home) as log:
        log.append(Event(kind="policy.changed", record_id=new_record_id(), tenant="acme"))
    shutil.rmtree(home / "audit")
    shutil.copytree(backup, home / "audit")
    code, _, err = run("audit", "show")
    assert (code, "audit restore" in err) == (1, True)
    restore = ["audit", "restore", "--second", "max", "--reason", "disk", "--as", "ada"]
    assert run(*restore)[0] == 1  # no eraser
    assert "1 are lost" in run(*restore, "--role", "eraser")[1]
    assert run("audit", "verify")[0] == 0
    assert run("audit", "show", "--kind", "log.restored")[0] == 0
    assert run(*restore, "--role", "eraser")[0] == 1  # nothing is lost


def test_another_logs_receipt_is_refused_here(
    run: Run, ids: dict[str, str], tmp_path: Path
) -> None:
    assert ids
    with AuditLog.open(tmp_path / "other") as other:
        other.append(Event(kind="policy.changed", record_id=new_record_id(), tenant="acme"))
        receipt = tmp_path / "foreign.json"
        receipt.write_text(other.proof.receipt(0).to_json())
    code, out, _ = run("audit", "verify", "--receipt", str(receipt))
    assert (code, "checkpoint_refused" in out) == (4, True)
