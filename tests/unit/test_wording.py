"""How showtimes, moments, money and seats read in a mail."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from babel import Locale
from hypothesis import given, strategies as st
from jinja2 import Environment

from notification_service.events import parse
from notification_service.wording import (
    FILTERS,
    Cinema,
    Defaults,
    Style,
    check_locale,
    check_zone,
    cut,
    isolated,
    parse_showtime,
)

MADRID, NEW_YORK = ZoneInfo("Europe/Madrid"), ZoneInfo("America/New_York")


def style(locale: str = "en_US", zone: str | None = "UTC", currency: str = "USD", **event: Any) -> Style:  # noqa: ANN401 - JSON
    parsed = parse(event, "booking.confirmed")
    assert parsed is not None
    return Defaults(locale, zone, currency, spoken=("en", "de", "pt")).for_event(parsed)


def shown(name: str, value: object, how: Style | None = None) -> str:
    """What a template shows of a value, with the spaces that do not break as plain ones."""
    environment = Environment(autoescape=False)  # noqa: S701 - what is shown is compared, not served
    environment.filters.update(FILTERS)
    text = environment.from_string(f"{{{{ value|{name} }}}}").render(value=value, style=how or style())
    return text.replace("\u00a0", " ").replace("\u202f", " ")


# ── showtimes ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-12-15 08:00 PM", datetime(2026, 12, 15, 20, 0, tzinfo=MADRID)),
        ("2026-12-15 8:00 pm", datetime(2026, 12, 15, 20, 0, tzinfo=MADRID)),
        ("2026-12-15 08:00PM", datetime(2026, 12, 15, 20, 0, tzinfo=MADRID)),
        ("2026-12-15 12:30 AM", datetime(2026, 12, 15, 0, 30, tzinfo=MADRID)),
        ("2026-12-15 19:30", datetime(2026, 12, 15, 19, 30, tzinfo=MADRID)),
        ("2026-12-15T19:30:00", datetime(2026, 12, 15, 19, 30, tzinfo=MADRID)),
        ("2026-12-15T19:30:00Z", datetime(2026, 12, 15, 19, 30, tzinfo=UTC)),
        ("2026-12-15T19:30:00-05:00", datetime(2026, 12, 16, 0, 30, tzinfo=UTC)),
    ],
)
def test_a_showtime_is_read_in_every_way_in_which_it_is_sent(text: str, moment: datetime) -> None:
    assert parse_showtime(text, MADRID) == moment


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Unknown Time",
        "tonight",
        "2026-12-15",
        "20261215",
        "20:00",
        "2026-13-01 20:00",
        "2026-12-15 25:00",
        "8 PM",
        "2026-12-15 20:00 or so",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
    ],
)
def test_a_text_that_names_no_moment_is_shown_as_it_is(text: str) -> None:
    assert parse_showtime(text, MADRID) is None
    assert shown("showtime", text) == text
    assert shown("showtime_brief", text) == text


def test_a_showtime_reads_as_day_date_hour_and_zone() -> None:
    text = "2026-12-15 08:00 PM"
    assert shown("showtime", text, style(zone="America/New_York")) == "Tuesday, December 15, 2026, 8:00 PM EST"
    assert shown("showtime_brief", text, style(zone="America/New_York")) == "Tue, Dec 15, 8:00 PM"


def test_where_nobody_names_the_cinemas_zone_no_zone_is_made_up() -> None:
    nowhere = style(zone=None)
    assert shown("showtime", "2026-12-15 08:00 PM", nowhere) == "Tuesday, December 15, 2026, 8:00 PM"
    assert shown("showtime_brief", "2026-12-15 08:00 PM", nowhere) == "Tue, Dec 15, 8:00 PM"
    assert shown("showtime", "2026-12-15T20:00:00+01:00", nowhere).startswith("Tuesday, December 15, 2026, 8:00 PM ")
    assert shown("moment", datetime(2026, 11, 24, 11, 0, tzinfo=UTC), nowhere).endswith("11:00 AM UTC")


def test_a_showtime_with_an_offset_is_shown_at_the_cinemas_clock() -> None:
    assert shown("showtime", "2026-12-15T20:00:00Z", style(zone="America/New_York")).endswith("3:00 PM EST")
    assert shown("showtime_brief", "2026-12-16T00:30:00Z", style(zone="America/New_York")) == "Tue, Dec 15, 7:30 PM"


def test_the_events_own_zone_wins_and_a_wrong_one_does_not() -> None:
    text = "2026-12-15T20:00:00Z"
    assert shown("showtime", text, style(time_zone="America/New_York")).endswith("3:00 PM EST")
    assert shown("showtime", text, style(zone="America/New_York", time_zone="Mars/Base")).endswith("3:00 PM EST")


def test_summer_and_winter_time_are_named_and_counted() -> None:
    summer, winter = "2026-07-01 20:00", "2026-12-01 20:00"
    assert shown("showtime", summer, style(zone="America/New_York")).endswith("8:00 PM EDT")
    assert shown("showtime", winter, style(zone="America/New_York")).endswith("8:00 PM EST")


@pytest.mark.parametrize("text", ["2026-03-29 02:30", "2026-10-25 02:30"])
def test_the_hour_that_is_missing_or_comes_twice_is_shown_as_it_was_sent(text: str) -> None:
    moment = parse_showtime(text, MADRID)
    assert moment is not None
    assert moment.tzinfo is None, "nobody knows whether it is summer time"
    assert shown("showtime", text, style(zone="Europe/Madrid")).endswith("2:30 AM")


def test_an_hour_that_comes_twice_is_known_by_its_offset() -> None:
    summer, winter = (
        shown("showtime", f"2026-11-01T01:30:00-0{offset}:00", style(zone="America/New_York")) for offset in (4, 5)
    )
    assert (summer[-11:], winter[-11:]) == ("1:30 AM EDT", "1:30 AM EST")


def test_the_language_of_the_setting_is_spoken() -> None:
    assert shown("showtime", "2026-12-15 20:00", style("de_DE", "Europe/Berlin")) == (
        "Dienstag, 15. Dezember 2026, 20:00 MEZ"
    )


@given(st.text(max_size=40) | st.datetimes().map(str) | st.datetimes().map(lambda when: f"{when.isoformat()}+14:00"))
def test_no_showtime_stops_a_mail(text: str) -> None:
    for zone in ("Pacific/Kiritimati", "America/New_York"):
        assert isinstance(shown("showtime", text, style(zone=zone)), str)
        assert isinstance(shown("showtime_brief", text, style(zone=zone)), str)


def test_a_moment_is_told_at_the_cinemas_clock() -> None:
    when = datetime(2026, 11, 24, 11, tzinfo=UTC)
    assert shown("moment", when, style(zone="Asia/Kolkata")).startswith("Tuesday, November 24, 2026, 4:30 PM")


@pytest.mark.parametrize("name", ["money", "moment", "showtime", "showtime_brief", "readable"])
def test_what_is_not_known_stays_none(name: str) -> None:
    assert shown(name, None) == "None"


# ── zones and locales ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "/etc/passwd",
        "Europe",
        "Europe/",
        "..",
        ".",
        "tzdata.zi",
        "zone.tab",
        "__init__.py",
        "é",
        "\0",
        "a" * 10_000,
        "Mars/Base",
        "europe\\madrid",
    ],
)
def test_a_zone_that_is_none_falls_back_and_reads_no_other_file(name: str) -> None:
    assert style(zone="Europe/Madrid", time_zone=name).zone == MADRID
    with pytest.raises(ValueError, match="is no time zone"):
        check_zone(name)


@pytest.mark.parametrize(
    ("name", "known"), [("en_US", "en_US"), ("en-US", "en_US"), ("de", "de"), ("zh-Hant-TW", "zh_Hant_TW")]
)
def test_a_locale_is_known_with_either_dash(name: str, known: str) -> None:
    assert check_locale(name) == known


@pytest.mark.parametrize("name", ["xx_YY", "english", "en US", "../../etc"])
def test_an_unknown_locale_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        check_locale(name)


def test_the_language_and_its_direction_are_those_of_html() -> None:
    assert (style("en_US").lang, style("en_US").dir) == ("en-US", "ltr")
    assert style("ar").dir == "rtl"


@pytest.mark.parametrize(
    ("asked", "user", "spoken"),
    [
        ("pt-BR", None, "pt_BR"),
        ("pt", "de", "pt"),
        (None, "de-AT", "de_AT"),
        ("fr-CA", "de", "de"),
        ("xx", None, "en_US"),
        ("de-XX", None, "de"),
        ("de_DE.UTF-8", None, "de_DE"),
        ("../../etc", "", "en_US"),
        ("d" * 5000, None, "en_US"),
    ],
)
def test_the_event_then_the_user_then_the_setting_choose_the_language(
    asked: str | None, user: str | None, spoken: str
) -> None:
    event = parse({"locale": asked}, "booking.confirmed")
    assert event is not None
    chosen = Defaults(spoken=("en", "de", "pt")).for_event(event, user)
    assert str(chosen.locale) == spoken
    assert chosen.language == spoken[:2]


def test_a_cinema_brings_its_own_zone_and_the_events_wins() -> None:
    cinemas = {"kino": Cinema("Am Markt 1", "Europe/Berlin")}
    event = parse({"cinema_name": "KINO"}, "booking.confirmed")
    abroad = parse({"cinema_name": "Kino", "time_zone": "Asia/Tokyo"}, "booking.confirmed")
    assert event is not None
    assert abroad is not None
    known = Defaults(time_zone="Europe/Madrid", cinemas=cinemas)
    assert (str(known.for_event(event).zone), str(known.for_event(abroad).zone)) == ("Europe/Berlin", "Asia/Tokyo")
    assert known.cinema(event).address == "Am Markt 1"


# ── cutting and turning ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "longest", "left"),
    [
        ("Inception", 9, "Inception"),
        ("Inception", 8, "Incepti…"),
        ("Amé", 2, "A…"),
        ("Ame\u0301lie", 4, "Am…"),
        ("a👩\u200d👩\u200d👧b", 4, "a…"),
        ("", 5, ""),
    ],
)
def test_a_cut_text_ends_with_a_whole_letter(text: str, longest: int, left: str) -> None:
    assert cut(text, longest) == left


@given(st.text(max_size=30), st.integers(1, 30))
def test_a_cut_text_is_never_longer(text: str, longest: int) -> None:
    assert len(cut(text, longest)) <= max(longest, 1)


def test_a_text_that_runs_the_other_way_is_isolated() -> None:
    assert isolated("مدينة", style()) == "\u2068مدينة\u2069"
    assert isolated("Inception", style()) == "Inception"
    arabic = replace(style(), locale=Locale("ar"))
    assert isolated("Inception", arabic) == "\u2068Inception\u2069"


# ── money ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("amount", "how", "text"),
    [
        (Decimal("30.0"), style(), "$30.00"),
        (Decimal("1234567.5"), style(), "$1,234,567.50"),
        (Decimal(30), style(currency="EUR"), "€30.00"),
        (Decimal(30), style(currency="EUR", locale="de_DE"), "30,00 €"),
        (Decimal(30), style(currency="JPY"), "¥30"),
        (Decimal("30.125"), style(currency="BHD"), "BHD30.125"),
        (Decimal(30), style(currency="EUR", event_currency="x"), "€30.00"),
        (Decimal(500), style("en_IN", currency="INR"), "₹500.00"),
        (Decimal(30), replace(style(), locale=Locale("ar")), "30.00 دولار أمريكي"),
    ],
)
def test_money_reads_as_its_currency_does(amount: Decimal, how: Style, text: str) -> None:
    assert shown("money", amount, how) == text


def test_the_currency_of_the_event_wins() -> None:
    event = parse({"currency": "gbp"}, "booking.confirmed")
    assert event is not None
    assert Defaults().for_event(event).currency == "GBP"


@pytest.mark.parametrize("currency", ["", "$", "US", "EURO", "€€€", "E\nR", "123", "ß"])
def test_a_currency_that_is_none_is_the_settings(currency: str) -> None:
    event = parse({"currency": currency}, "booking.confirmed")
    assert event is not None
    assert Defaults(currency="EUR").for_event(event).currency == "EUR"


# ── seats and words ──────────────────────────────────────────────────────────────────────────────────


def test_seats_stand_in_their_order() -> None:
    assert shown("seats", ("B6", "B5")) == "B6, B5"
    assert shown("seats", ()) == "None"


def test_more_seats_than_anybody_reads_are_cut_with_a_notice() -> None:
    thirty = tuple(f"A{number}" for number in range(30))
    assert "+" not in shown("seats", thirty)
    assert shown("seats", (*thirty, *("Z",) * 9970)) == ", ".join(thirty) + " (+9970)"


@pytest.mark.parametrize(("wire", "read"), [("credit_card", "Credit card"), ("UPI", "UPI"), ("_", ""), ("é_b", "É b")])
def test_a_word_of_the_wire_reads_as_a_person_writes_it(wire: str, read: str) -> None:
    assert shown("readable", wire) == read
