"""How the lines of a text part are broken."""

import re
import sys
import unicodedata

import pytest
from hypothesis import example, given, strategies as st

from notification_service.content.line_breaking import COLUMNS, columns, line_faults, one_line, tidy

SENTENCES = (
    "ご予約ありがとうございます。",
    "座席は「B5、B6」です。",
    "お支払い（クレジットカード）が完了しました。",  # noqa: RUF001 - East Asian
    "2026年12月15日(火) 20:00に、TOHOシネマズ 新宿でお待ちしております！",  # noqa: RUF001 - East Asian
    "你好，电影票已经预订成功。",  # noqa: RUF001 - East Asian
    "Inception",
    " ",
    "\u00a0",
)


@given(st.lists(st.sampled_from(SENTENCES), max_size=30).map("".join))
def test_east_asian_lines_have_at_most_78_columns_and_break_where_they_may(text: str) -> None:
    wrapped = tidy(text)
    assert [fault for line in wrapped.splitlines() for fault in line_faults(line)] == []
    assert wrapped.replace("\n", "").replace(" ", "") == text.strip(" ").replace(" ", "")


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=400))
def test_no_character_is_lost_but_spaces_at_which_a_line_broke(text: str) -> None:
    kept = "".join(character for character in tidy(text) if character not in " \t" and len(character.splitlines()[0]))
    wanted = "".join(character for character in text if character not in " \t" and len(character.splitlines()[0]))
    assert kept == wanted
    assert all(columns(line) <= COLUMNS for line in tidy(text).splitlines() if "://" not in line)


@given(st.text(st.sampled_from(" \t\u00a0\u2028ab")) | st.text())
@example(" a")
@example("a ")
@example("a  b")
def test_one_line_has_single_spaces_and_none_at_its_ends(text: str) -> None:
    assert one_line(text) == " ".join(filter(None, re.split("[ \t\r\n\v\f\x1c\x1d\x1e\x85\u2028\u2029]", text)))


@pytest.mark.parametrize(
    ("line", "faults"),
    [
        ("座" * 39, []),
        ("座" * 40, ["has 80 columns, and 78 are allowed"]),
        ("https://cinema.example/" + "x" * 100, []),
        ("。これは", ["begins with 。"]),
        ("これは（", ["ends with （"]),  # noqa: RUF001 - East Asian
        ("これは。", []),
        ("...and so on", []),
        ("", []),
    ],
)
def test_a_line_is_judged_by_columns_and_by_its_ends(line: str, faults: list[str]) -> None:
    assert list(line_faults(line)) == faults


@pytest.mark.parametrize(
    ("before", "after"),
    [("ま" * 38 + "す。" + "か", "ま" * 38 + "\nす。か"), ("ま" * 38 + "（A）", "ま" * 38 + "\n（A）")],  # noqa: RUF001
)
def test_a_character_that_may_not_begin_or_end_a_line_moves_with_its_neighbour(before: str, after: str) -> None:
    assert tidy(before) == after + "\n"


def test_a_number_stays_with_what_it_counts() -> None:
    assert tidy("ま" * 37 + "12" + "2026年です") == "ま" * 37 + "\n122026年です\n"


def test_no_line_breaks_at_a_no_break_space_and_none_is_lost() -> None:
    text = "word " * 14 + "8:00\u00a0PM\u202fEST\u00a0" + "x" * 10
    assert tidy(text) == ("word " * 14).rstrip() + "\n8:00\u00a0PM\u202fEST\u00a0" + "x" * 10 + "\n"
    assert one_line(" a\t b\r\n8:00\u00a0PM\u2028c ") == "a b 8:00\u00a0PM c"


def test_every_wide_character_counts_two_columns() -> None:
    for character in map(chr, range(sys.maxunicode + 1)):
        if unicodedata.category(character) != "Cn":  # of which Python 3.11 says that they are wide
            wide = unicodedata.east_asian_width(character) in ("W", "F")
            assert columns(character) == 1 + wide, hex(ord(character))
