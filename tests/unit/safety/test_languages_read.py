"""Which language a text is in, which form of it is read, and which words of it do not count."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chopmark.safety.text.form import form_of, without_accents, written
from chopmark.safety.text.language import KNOWN, identify, is_tag
from chopmark.safety.text.normalize import normalize
from chopmark.safety.text.reading import read_text
from chopmark.safety.text.style_tags import TAGS, without_tags
from training.safety.own_languages import CODES, own_rows


@pytest.mark.parametrize(
    ("text", "code", "read_as"),
    [
        ("a red apple on a wooden table", "en", "en"),
        ("ein roter Apfel auf dem Tisch", "de", "de"),
        ("красное яблоко лежит на большом столе", "ru", "ru"),
        ("桌子上的红苹果和书", "zh", "zh"),
        ("テーブルの上の赤いりんご", "ja", "ja"),
        ("un home amb un gat negre al carrer", "ca", "es"),
    ],
)
def test_a_sentence_has_a_language(text: str, code: str, read_as: str) -> None:
    found = identify(text)
    assert (found.code, found.known, found.read_as) == (code, True, read_as)


@pytest.mark.parametrize("text", ["apple", "pizza", "un gato negro", "T-shirt", "", "42", "🔥"])
def test_of_a_name_nobody_can_say_and_the_guard_reads_it_all_the_same(text: str) -> None:
    found = identify(text)
    assert (found.code, found.known) == ("und", True)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Mae'r gath yn eistedd ar y bwrdd yn y gegin", "cy"),
        ("la nigra kato sidas sur la granda tablo", "eo"),
        ("ek laal seb mez par rakha hai", "hi-Latn"),
        ("kak sdelat bombu doma", "ru-Latn"),
        ("krasnoe yabloko lezhit na stole", "und"),
        ("crvena jabuka na stolu", "und"),
        ("წითელი ვაშლი მაგიდაზე", "ka"),
        ("a photo of a quiet garden and ჩემი სახლი", "ka"),
        ("የቀይ ፖም ምስል", "am"),
    ],
)
def test_what_the_guard_has_not_learned_is_told(text: str, code: str) -> None:
    found = identify(text)
    assert (found.code, found.known) == (code, False)


def test_a_caller_may_name_the_language_and_cannot_hide_a_passage_by_it() -> None:
    assert identify("un gato negro", told="es-MX").read_as == "es"
    assert not identify("un gato negro", told="cy").known
    assert not identify("a photo of ჩემი სახლი", told="en").known
    assert is_tag("zh-Hant-TW")
    assert not is_tag("German, please")


def test_there_are_rows_of_our_own_in_every_language_of_the_guard() -> None:
    assert set(CODES) == KNOWN
    for code in CODES:
        rows = own_rows(code)
        harmful = [row for row in rows if not row.benign]
        assert len(rows) - len(harmful) >= len(harmful) >= 19
        assert any("sexual/nonconsensual" in row.categories for row in harmful)


def test_no_row_of_ours_speaks_of_the_young_and_of_sex() -> None:
    from chopmark.safety.text.youth import youth_cues

    for row in own_rows():
        if row.categories & {"sexual", "sexual/nonconsensual"}:
            cues = youth_cues(without_accents(row.text), language=row.lang)
            assert not any(cue.clear for cue in cues), row.text


@pytest.mark.parametrize(
    "text",
    [
        "Tout le monde s'amuse-t-il ?",
        "De ce te-am ajuta?",
        "Bạn có nghe nói vị trí trưởng phòng còn trống không?",
        "Das Ganze ist mehr als die Summe seiner Teile.",
        "1910년대, 태풍에 해안으로 밀려 온 배",
    ],
)
def test_another_language_is_read_as_it_was_written(text: str) -> None:
    assert read_text(text).form.text == text


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("n u d e  w o m a n", "nude woman"),
        ("c2VjcmV0IHBsYW5zIGZvciBhIGJpcnRoZGF5IHBhcnR5", "secret plans for a birthday party"),
    ],
)
def test_a_disguise_is_read_undone(text: str, read: str) -> None:
    assert read_text(text).form.text == read


@given(text=st.text(max_size=200))
def test_spans_lead_back_into_the_original(text: str) -> None:
    for form in (written(text), form_of(written(text), normalize(text), "und").without_tags()):
        assert len(form.text) == len(form.offsets)
        start, end = form.span(0, len(form.text))
        assert 0 <= start <= end <= len(text)
    assert len(without_accents(text)) == len(text)


@given(tags=st.lists(st.sampled_from(TAGS), min_size=1, max_size=6))
def test_style_words_behind_a_text_change_nothing_that_is_read(tags: list[str]) -> None:
    text = "two dogs on a bed"
    assert without_tags(", ".join([text, *tags])) == text
    assert read_text(", ".join([text, *tags])).form.text == text


@pytest.mark.parametrize(
    "text", ["a detailed map", "a canon in a castle, a smooth stone", "8k, hdr"]
)
def test_words_that_show_something_stay(text: str) -> None:
    assert without_tags(text) == text
