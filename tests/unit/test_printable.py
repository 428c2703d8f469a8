"""What others wrote, as it is printed: nothing in it is obeyed, nothing is hidden, and JSON gives all of it back."""

import json
import unicodedata

import pytest
from hypothesis import given, strategies as st

from notification_service.foundation.printable import in_json, in_lines, shown
from tests.fuzz.weapons import FOR_A_TERMINAL, WEAPONS

TEXTS = st.text() | st.lists(st.sampled_from((*FOR_A_TERMINAL, *WEAPONS))).map("".join)


def is_harmless(text: str) -> bool:
    return all(kind[0] != "C" and kind not in ("Zl", "Zp") for kind in map(unicodedata.category, text))


@given(TEXTS)
def test_nothing_that_a_terminal_obeys_is_shown(text: str) -> None:
    assert is_harmless(shown(text))
    assert all(is_harmless(line) for line in in_lines(text).split("\n"))


@given(TEXTS)
def test_json_gives_every_character_back_and_holds_none_of_them(text: str) -> None:
    written = in_json({text: [text]})
    assert is_harmless(written)
    assert json.loads(written) == {text: [text]}
    assert all(is_harmless(line) for line in in_json([text], indent=2).split("\n"))


@pytest.mark.parametrize(
    "text",
    ["Jos\u00e9 \u6620\u753b \u05e9\u05dc \U0001f3ac", "12,50\u00a0\u20ac", "a\\b [/x] :x:", "\u5168\u3000"],
    ids=ascii,
)
def test_what_people_write_stays_as_it_is(text: str) -> None:
    assert shown(text) == text
    assert json.loads(in_json(text)) == text
    assert in_json(text) == json.dumps(text, ensure_ascii=False)


def test_a_line_of_others_cannot_pass_for_one_of_ours() -> None:
    assert in_lines("a\r\nb\rc\nd\x85e", indent="  ") == "  a\n  b\n  c\n  d\\x85e"
