"""Disguises are undone, the way back to the original holds, and ordinary text stays as it is."""

from __future__ import annotations

import base64
import codecs

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chopmark.safety import normalize

PLAIN = "a naked woman on a bed"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("a n\u200ba\u200bk\u200be\u200bd woman on a bed", "invisible"),
        ("a n\u0336\u0321a\u0336\u0321k\u0336\u0321ed woman on a bed", "marks"),
        ("а nаkеd wоmаn оn а bеd", "confusables"),
        ("a ｎａｋｅｄ woman on a bed", "forms"),
        ("a 𝓷𝓪𝓴𝓮𝓭 woman on a bed", "forms"),
        ("a ⒩⒜⒦⒠⒟ woman on a bed", "letter symbols"),
        ("a ɴᴀᴋᴇᴅ woman on a bed", "letter symbols"),
        ("a 🇳🇦🇰🇪🇩 woman on a bed", "letter symbols"),
        ("a n🔥a🔥k🔥e🔥d woman on a bed", "emoji between letters"),
        ("".join(chr(0xE0000 + ord(char)) for char in PLAIN), "tags"),
        (base64.b64encode(PLAIN.encode()).decode(), "base64"),
        (base64.b64encode(base64.b64encode(PLAIN.encode())).decode(), "base64"),
        (PLAIN.encode().hex(), "hexadecimal"),
        ("".join(f"%{byte:02x}" for byte in PLAIN.encode()), "percent"),
        ("".join(f"&#{ord(char)};" for char in PLAIN), "entities"),
        (codecs.encode(PLAIN, "rot13"), "rot13"),
        (PLAIN[::-1], "reversal"),
        ("a n4k3d w0m4n on a bed", "leet"),
        ("a n*k*d woman on a bed", "starred letters"),
        ("aa nnaakkeedd wwoommaann oonn aa bbeedd", "doubled letters"),
        ("a akednay omanway on a bed", "pig latin"),
        ("a akedn omanw on a bed", "moved letters"),
        ("a nkaed woman on a bed", "swapped letters"),
        ("a n.a.k.e.d woman on a bed", "spacing"),
        ("a nak ed woman on a bed", "split words"),
        ("a naaaaked woman on a bed", "repeats"),
    ],
)
def test_a_disguise_is_undone_and_named(text: str, name: str) -> None:
    found = normalize(text)
    assert found.text.lower() == PLAIN
    assert name in found.applied


@pytest.mark.parametrize(
    "text",
    [
        "a photo of 3 cats, 4k, 8k, 35mm, f/1.8, 3d render, 1950s",
        "R2D2 and C3PO, iPhone, McDonald's",
        "well-known self-portrait, x-ray of a T-shirt",
        "a U.S.A. flag, 24-70mm f2.8",
        "красное яблоко на столе",
        "桌子上的红苹果",
        "हरी घास पर एक सफेद घोड़ा",
        "flags 🇺🇸🇫🇷 and 👨‍👩‍👧",
        "don't end that's only it",
        "",
    ],
)
def test_ordinary_text_is_left_alone(text: str) -> None:
    found = normalize(text)
    assert not set(found.applied) - {"camel case"}
    assert found.obfuscated < 0.5


def test_noise_is_said_to_be_unreadable() -> None:
    assert normalize("xqzvk wpflrt bdfghk qqwrtz lkjhgf").obfuscated >= 0.5


def test_a_span_leads_back_to_the_disguise() -> None:
    text = "see: n u d e  w o m a n, please"
    found = normalize(text)
    start = found.text.index("nude")
    first, last = found.span(start, start + len("nude woman"))
    assert text[first:last] == "n u d e  w o m a n"


@settings(max_examples=400, deadline=None)
@given(text=st.text(max_size=120))
def test_any_text_has_offsets_inside_it(text: str) -> None:
    found = normalize(text)
    assert len(found.offsets) == len(found.text)
    assert all(0 <= start <= end <= len(text) for start, end in found.offsets)
    assert 0.0 <= found.obfuscated <= 1.0
    assert normalize(text) == found


@pytest.mark.parametrize(
    ("text", "plain", "name"),
    [
        ("xplct pht of nkd wmn", "explicit photo of naked women", "missing vowels"),
        ("anexplicitphotoofanakedman", "an explicit photo of a naked man", "words run together"),
        ("14 1 11 5 4 23 15 13 1 14", "naked woman", "letters as numbers"),
    ],
)
def test_a_play_with_words_is_undone(text: str, plain: str, name: str) -> None:
    found = normalize(text)
    assert (found.text.lower(), name in found.applied) == (plain, True)


@pytest.mark.parametrize(
    "text",
    [
        "the veterinarian is examining a sick animal",
        "Rindfleischetikettierung in Mecklenburg",
        "tsktsk hmm pfft",
        "McDonald and MacArthur at the bookkeeper",
    ],
)
def test_what_is_no_disguise_is_left_alone(text: str) -> None:
    assert normalize(text).text == text


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("\u202edekan\u202c woman", "naked woman"),
        ("\u202edekan", "naked"),
        ("\u2067dekan\u2069 woman", "naked woman"),
        # An override inside another changes nothing, and its end does not end the outer one.
        ("\u202enamow \u202edek\u202can\u202c here", "naked woman here"),
        ("\u202enam\u202aow\u202c dekan\u202c here", "naked woman here"),
        ("\u202edekan\na woman", "naked\na woman"),
        ("\u202eяблоко\u202c", "яблоко"),
    ],
)
def test_a_text_that_is_turned_around_is_read_as_it_is_shown(text: str, plain: str) -> None:
    assert normalize(text).text == plain


def test_marks_where_a_word_is_to_be_cut_leave_a_gap() -> None:
    text = "q_w_e_a_r_i_n_g x_c_u_r_v_y"
    found = normalize(text)
    assert {"wearing", "curvy"} <= set(found.text.split())
    assert all(0 <= start <= end <= len(text) for start, end in found.offsets)


def test_half_a_surrogate_pair_hides_nothing() -> None:
    assert normalize("n\ud800u\udc00de").text == "nude"


@pytest.mark.parametrize("gap", ["", " "])
def test_a_long_code_is_read_to_its_end(gap: str) -> None:
    words = ("naked", "woman", "and", "bed")
    letters = "".join(words) * 60
    found = normalize(" ".join(str(ord(char) - 96) for char in letters) if gap else letters)
    assert found.text.split() == [*words] * 60
