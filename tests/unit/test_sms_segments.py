"""Segments as networks count them."""

import pytest

from notification_service.channels.sms.segments import measure, prepared


@pytest.mark.parametrize(
    ("text", "encoding", "sizes"),
    [
        ("", "GSM-7", (0,)),
        ("a" * 160, "GSM-7", (160,)),
        ("a" * 161, "GSM-7", (153, 8)),
        ("a" * 306, "GSM-7", (153, 153)),
        ("a" * 307, "GSM-7", (153, 153, 1)),
        ("€" * 80, "GSM-7", (160,)),
        ("€" * 81, "GSM-7", (152, 10)),
        ("a" * 152 + "€" + "b" * 7, "GSM-7", (152, 9)),
        ("a" * 151 + "€" + "b" * 8, "GSM-7", (153, 8)),
        ("я" * 70, "UCS-2", (70,)),
        ("я" * 71, "UCS-2", (67, 4)),
        ("😀" * 35, "UCS-2", (70,)),
        ("😀" * 36, "UCS-2", (66, 6)),
        ("a" * 66 + "😀" + "b" * 3, "UCS-2", (66, 5)),
        ("a\nb\rc", "GSM-7", (5,)),
        ("`", "UCS-2", (1,)),
        ("ç", "UCS-2", (1,)),
        ("Ç", "GSM-7", (1,)),
    ],
)
def test_a_text_is_split_as_networks_do(text: str, encoding: str, sizes: tuple[int, ...]) -> None:
    found = measure(text)
    assert (found.encoding, found.sizes) == (encoding, sizes)


def test_36_emoji_are_33_and_3_in_two_segments() -> None:
    assert [size // 2 for size in measure("😀" * 36).sizes] == [33, 3]


def test_what_keeps_a_text_out_of_the_alphabet_is_named_once() -> None:
    assert measure("Kino Wrocław, Łódź, Wrocław").outside == ("ł", "Ł", "ó", "ź")


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("It\u2019s \u201con\u201d \u2013 now\u2026", 'It\'s "on" - now...'),
        ("8:00\u202fPM\u00a0today", "8:00 PM today"),
        ("Ame\u0301lie", "Amélie"),
        ("u\u0308ber", "über"),
        ("千と千尋 \u2013 20:00", "千と千尋 \u2013 20:00"),
        ("no twin: \u2019 and я", "no twin: \u2019 and я"),
        ("no twin: \u20b1 and я", "no twin: \u20b1 and я"),
        ("\u20b11,250.50", "PHP1,250.50"),
        ("\u20aa12 \u20a93000 \u20ab5000 \u20b91", "ILS12 KRW3000 VND5000 INR1"),
        ("\u2039Dune\u203a \u02bbOhana", "'Dune' 'Ohana"),
        ("Mission: Impossible\u2122, F1\u00ae", "Mission: Impossible, F1"),
        ("8\u00bd, Se7en\u00b2, \ufb01lm, \uff24\uff35\uff2e\uff25\uff01", "81/2, Se7en2, film, DUNE!"),
        ("Du\u200dn\u200ce\u2066\u2069\ufe0f", "Dune"),
    ],
)
def test_typographic_characters_get_their_twins_where_that_saves_segments(text: str, sent: str) -> None:
    assert prepared(text) == sent
