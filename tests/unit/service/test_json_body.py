from __future__ import annotations

import json

import pytest

from chopmark.errors import InvalidRequest
from chopmark.kit.limits import JSON_DEPTH, JSON_VALUES
from chopmark.service.json_body import check_json

DEEPEST = JSON_DEPTH.most
WORDS = 'a, b: [c] {d} \\ " é 苹果 🍎 \n'


@pytest.mark.parametrize(
    "value",
    [
        None,
        {"prompt": WORDS * 3000},  # structure within a text is none
        {WORDS: [WORDS, 1, -2.5e3, True]},
        {"a": "\\u0000 written out", "b": "\\\\ud800"},
        ["\\"] * 50,
        "🍎" * 1000,
        list(range(JSON_VALUES.most - 1)),
    ],
)
@pytest.mark.parametrize("ascii_only", [True, False])
def test_what_a_program_writes_passes(value: object, ascii_only: bool) -> None:
    check_json(json.dumps(value, ensure_ascii=ascii_only).encode())
    check_json(json.dumps(value, ensure_ascii=ascii_only, indent=1).encode())


@pytest.mark.parametrize(("opens", "closes"), [("[", "]"), ('{"a":', "}")])
def test_the_deepest_passes_and_one_deeper_does_not(opens: str, closes: str) -> None:
    def nested(depth: int) -> bytes:
        return (opens * depth + "1" + closes * depth).encode()

    check_json(nested(DEEPEST))
    check_json(b"[" + b",".join([nested(DEEPEST - 1)] * 20) + b"]")  # wide is not deep
    with pytest.raises(InvalidRequest, match="nested"):
        check_json(nested(DEEPEST + 1))
    with pytest.raises(InvalidRequest, match="nested"):
        check_json((opens * 5000).encode())  # and never closed


@pytest.mark.parametrize("one", [b"{},", b"[],", b"1,", b'"",'])
def test_too_many_values_are_refused(one: bytes) -> None:
    with pytest.raises(InvalidRequest, match="values"):
        check_json(b"[" + one * (JSON_VALUES.most + 1) + b"1]")


@pytest.mark.parametrize(
    "text",
    [
        r"\ud800",
        r"\uDBFF\u0041",
        r"\udc00",
        r"\udfff\ud800",
        r"\\\ud83d",
        r"\u0000",
    ],
)
def test_half_a_pair_and_nul_are_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        check_json(b'{"a": "' + text.encode() + b' \\u0041"}')


@pytest.mark.parametrize(
    "body",
    [
        '{"a": 1}'.encode("utf-16"),
        '{"a": 1}'.encode("utf-32"),
        b'{"a": "\xff"}',
        b'{"a": "\xed\xa0\x80"}',  # half a pair, written in UTF-8
        b'{"a": "\0"}',
    ],
)
def test_other_encodings_are_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest, match="UTF-8"):
        check_json(body)
