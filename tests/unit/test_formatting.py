"""How showtimes, times, amounts and seats are formatted."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from babel import Locale
from hypothesis import given, strategies as st
from jinja2 import Environment

from notification_service.content import formatting
from notification_service.content.dates import Form, written
from notification_service.content.formatting import FILTERS, cut, isolated
from notification_service.content.localization import Cinema, Defaults, Localization, check_locale
from notification_service.contract import amounts
from notification_service.contract.events import parse
from notification_service.contract.showtimes import parse_showtime
from notification_service.contract.time_zones import check_zone

MADRID, NEW_YORK = ZoneInfo("Europe/Madrid"), ZoneInfo("America/New_York")


def style(locale: str = "en_US", zone: str | None = "UTC", currency: str = "USD", **event: Any) -> Localization:  # noqa: ANN401 - JSON
    said = {"currency": event.pop("event_currency")} if "event_currency" in event else {}
    parsed = parse({**event, **said}, "booking.confirmed")
    assert parsed is not None
    return Defaults(locale, zone, currency, languages=("en", "de", "pt")).for_event(parsed)


WORDS = SimpleNamespace(comma=lambda: ", ")


def shown(name: str, value: object, how: Localization | None = None) -> str:
    """What a template shows of a value, with the spaces that do not break as plain ones."""
    environment = Environment(autoescape=False)  # noqa: S701 - what is shown is compared, not served
    environment.filters.update(FILTERS)
    text = environment.from_string(f"{{{{ value|{name} }}}}").render(value=value, style=how or style(), words=WORDS)
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


def test_a_showtime_reads_as_day_date_and_hour_at_the_cinemas_clock() -> None:
    text = "2026-12-15 08:00 PM"
    assert shown("showtime", text, style(zone="America/New_York")) == "Tuesday, December 15, 2026, 8:00 PM"
    assert shown("showtime_brief", text, style(zone="America/New_York")) == "Tue, Dec 15, 8:00 PM"
    assert shown("day", text, style(zone="America/New_York")) == "Tuesday, December 15, 2026"
    assert shown("clock", text, style(zone="America/New_York")) == "8:00 PM"


@pytest.mark.parametrize(
    ("published", "day"),
    [
        ("2026-11-24T10:30:00Z", "Tuesday, December 15"),
        ("2027-02-24T10:30:00Z", "Tuesday, December 15"),
        ("2026-05-24T10:30:00Z", "Tuesday, December 15, 2026"),
        (None, "Tuesday, December 15, 2026"),
    ],
)
def test_a_show_that_is_near_needs_no_year(published: str | None, day: str) -> None:
    how = style(timestamp=published) if published else style()
    assert shown("day", "2026-12-15 20:00", how) == day
    assert shown("showtime", "2026-12-15 20:00", how) == f"{day}, 8:00 PM"


def test_where_nobody_names_the_cinemas_zone_no_zone_is_made_up() -> None:
    nowhere = style(zone=None)
    assert shown("showtime", "2026-12-15 08:00 PM", nowhere) == "Tuesday, December 15, 2026, 8:00 PM"
    assert shown("showtime_brief", "2026-12-15 08:00 PM", nowhere) == "Tue, Dec 15, 8:00 PM"
    assert shown("moment", datetime(2026, 11, 24, 11, 0, tzinfo=UTC), nowhere).endswith("11:00 AM UTC")


def test_a_time_that_may_not_be_the_cinemas_clock_names_its_zone() -> None:
    nowhere = style(zone=None)
    assert shown("showtime", "2026-12-15T20:00:00Z", nowhere) == "Tuesday, December 15, 2026, 8:00 PM UTC"
    assert shown("clock", "2026-12-15T20:00:00Z", nowhere) == "8:00 PM UTC"
    assert shown("showtime", "2026-12-15T20:00:00+01:00", nowhere).endswith("8:00 PM (GMT+01:00)")


def test_a_showtime_with_an_offset_is_shown_at_the_cinemas_clock() -> None:
    assert shown("showtime", "2026-12-15T20:00:00Z", style(zone="America/New_York")).endswith("2026, 3:00 PM")
    assert shown("showtime_brief", "2026-12-16T00:30:00Z", style(zone="America/New_York")) == "Tue, Dec 15, 7:30 PM"


def test_the_events_own_zone_wins_and_a_wrong_one_does_not() -> None:
    text = "2026-12-15T20:00:00Z"
    assert shown("showtime", text, style(time_zone="America/New_York")).endswith("3:00 PM")
    unread = style(zone="America/New_York", time_zone="Mars/Base")
    assert shown("showtime", text, unread).endswith("8:00 PM UTC"), "what its own offset says is known"
    assert shown("showtime", "2026-12-15 20:00", unread) == "Tuesday, December 15, 2026, 8:00 PM"


def test_moments_name_summer_and_winter_time() -> None:
    summer, winter = (datetime(2026, month, 1, 20, tzinfo=UTC) for month in (7, 12))
    assert shown("moment", summer, style(zone="America/New_York")).endswith("4:00 PM EDT")
    assert shown("moment", winter, style(zone="America/New_York")).endswith("3:00 PM EST")


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


@pytest.mark.parametrize(
    ("locale", "full", "near", "brief"),
    [
        ("en_US", "Tuesday, December 15, 2026, 8:00 PM", "Tuesday, December 15, 8:00 PM", "Tue, Dec 15, 8:00 PM"),
        ("en_GB", "Tuesday, 15 December 2026, 20:00", "Tuesday, 15 December, 20:00", "Tue 15 Dec, 20:00"),
        (
            "de",
            "Dienstag, 15. Dezember 2026, 20:00 Uhr",
            "Dienstag, 15. Dezember, 20:00 Uhr",
            "Di., 15. Dez., 20:00 Uhr",
        ),
        (
            "es",
            "martes 15 de diciembre de 2026 a las 20:00",
            "martes 15 de diciembre a las 20:00",
            "mar, 15 dic, 20:00",
        ),
        ("fr", "mardi 15 décembre 2026 à 20h00", "mardi 15 décembre à 20h00", "mar. 15 déc. à 20h00"),
        ("hi", "मंगलवार, 15 दिसंबर 2026, 8:00 pm", "मंगलवार, 15 दिसंबर, 8:00 pm", "मंगल, 15 दिस॰, 8:00 pm"),
        ("ja", "2026年12月15日(火) 20:00", "12月15日(火) 20:00", "12月15日(火) 20:00"),
        ("ar", "الثلاثاء، 15 ديسمبر 2026، 8:00 م", "الثلاثاء، 15 ديسمبر، 8:00 م", "الثلاثاء، 15 ديسمبر، 8:00 م"),
    ],
)
def test_a_show_is_dated_as_people_of_the_language_do(locale: str, full: str, near: str, brief: str) -> None:
    far, soon = style(locale), style(locale, timestamp="2026-11-24T10:30:00Z")
    assert shown("showtime", "2026-12-15 20:00", far) == full
    assert shown("showtime", "2026-12-15 20:00", soon) == near
    assert shown("showtime_brief", "2026-12-15 20:00", far) == brief


@pytest.mark.parametrize(
    ("locale", "hour"),
    [
        ("es", "a la 1:30"),
        ("es_MX", "a la 1:30 a.m."),
        ("es_BZ", "a la 01:30"),
        ("fr", "à 1h30"),
        ("de", "01:30 Uhr"),
    ],
)
def test_an_hour_has_the_words_of_its_language(locale: str, hour: str) -> None:
    assert shown("showtime", "2026-12-15 01:30", style(locale)).endswith(hour)


@pytest.mark.parametrize(
    ("locale", "together"),
    [
        ("en_US", "December 15"),
        ("en_GB", "15 December"),
        ("de", "15. Dezember"),
        ("es", "15 de diciembre"),
        ("fr", "15 décembre"),
        ("hi", "15 दिसंबर"),
        ("ar", "15 ديسمبر"),
    ],
)
def test_no_line_breaks_between_a_day_and_its_month(locale: str, together: str) -> None:
    when = datetime(2026, 12, 15, 20, tzinfo=UTC)
    for form in (Form(), Form("near"), Form("near", clock=False)):
        assert together.replace(" ", "\u00a0") in written(when, form, Locale.parse(locale))


@pytest.mark.parametrize(
    ("locale", "day"),
    [("fr", "mardi 1er décembre 2026"), ("fr_CA", "mardi 1er décembre 2026"), ("de", "Dienstag, 1. Dezember 2026")],
)
def test_the_first_of_a_month_is_written_as_the_language_does(locale: str, day: str) -> None:
    assert shown("day", "2026-12-01 20:00", style(locale)) == day
    assert shown("day", "2026-12-11 20:00", style(locale)) == day.replace("1er", "11").replace(" 1.", " 11.").replace(
        "mardi", "vendredi"
    ).replace("Dienstag", "Freitag")


def test_japanese_puts_a_zone_in_brackets_of_its_own() -> None:
    when = datetime(2026, 12, 1, 20, tzinfo=UTC)
    how = style("ja", zone="America/New_York")
    assert shown("moment", when, how) == "2026年12月1日(火) 15:00（アメリカ東部標準時）"  # noqa: RUF001 - East Asian


@pytest.mark.parametrize("locale", ["en_US", "en_IN", "hi", "ar", "de", "es_419", "fr_CA", "he", "ur"])
@pytest.mark.parametrize("name", ["clock", "showtime"])
def test_no_line_breaks_inside_an_hour(locale: str, name: str) -> None:
    environment = Environment(autoescape=False)  # noqa: S701 - what is shown is compared, not served
    environment.filters.update(FILTERS)
    text = environment.from_string(f"{{{{ '2026-12-15 20:00'|{name} }}}}").render(style=style(locale))
    (hour,) = re.findall(r"\d{1,2}[^\s\d]*(?:[:h]|\s?h\s?)00.*", text)
    assert " " not in hour
    assert "\u202f" not in hour, "some programs have no glyph for it"


@given(st.text(max_size=40) | st.datetimes().map(str) | st.datetimes().map(lambda when: f"{when.isoformat()}+14:00"))
def test_no_showtime_stops_a_mail(text: str) -> None:
    for zone in ("Pacific/Kiritimati", "America/New_York"):
        assert isinstance(shown("showtime", text, style(zone=zone)), str)
        assert isinstance(shown("showtime_brief", text, style(zone=zone)), str)


def test_a_moment_is_shown_in_the_cinemas_time_zone() -> None:
    when = datetime(2026, 11, 24, 11, tzinfo=UTC)
    assert shown("moment", when, style(zone="Asia/Kolkata")).startswith("Tuesday, November 24, 2026, 4:30 PM")


@pytest.mark.parametrize("name", ["money", "moment", "showtime", "showtime_brief", "readable"])
def test_what_is_not_known_stays_none(name: str) -> None:
    assert shown(name, None) == "None"


# ── booking codes ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("code", "read_out"),
    [
        ("550e8400-e29b-41d4-a716-44665544beef", "5544 BEEF"),
        ("{550E8400-E29B-41D4-A716-44665544BEEF}", "5544 BEEF"),
        ("550e8400e29b41d4a71644665544beef", "5544 BEEF"),
        ("507f1f77bcf86cd799439011", "9943 9011"),
        ("\u2068550e8400-e29b-41d4-a716-44665544beef\u2069", "\u20685544 BEEF\u2069"),
        ("BOOK-100001", "BOOK-100001"),
        ("7", "7"),
        ("12345678901234567890123456789", "12345678901234567890123456789"),
        ("", ""),
        (None, "None"),
    ],
)
def test_a_long_booking_code_can_be_read_out_at_a_counter(code: str | None, read_out: str) -> None:
    assert shown("grouped", code) == read_out


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
        "\0Europe",
        "a" * 10_000,
        "Mars/Base",
        "europe\\madrid",
    ],
)
def test_an_unknown_zone_is_refused_and_reads_no_file(name: str) -> None:
    assert style(zone="Europe/Madrid", time_zone=name).zone is None
    with pytest.raises(ValueError, match="is not a time zone"):
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
        ("hi-Latn", "de", "en_IN"),
        ("hi-Latn-IN", None, "en_IN"),
        ("hi-Deva-IN", None, "hi_IN"),
        ("de-Latn-DE", None, "de_DE"),
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
    chosen = Defaults(languages=("en", "de", "hi", "pt")).for_event(event, user)
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
    nowhere = parse({"cinema_name": "Kino", "time_zone": "Mars/Base"}, "booking.confirmed")
    assert nowhere is not None
    assert known.for_event(nowhere).zone is None


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


def cost(sent: object, how: Localization) -> str:
    return shown("money", amounts.read(sent), how)


@pytest.mark.parametrize(
    ("amount", "how", "text"),
    [
        (30.0, style(), "$30.00"),
        ("1234567.5", style(), "$1,234,567.50"),
        (30, style(currency="EUR"), "€30.00"),
        (30, style(currency="EUR", locale="de_DE"), "30,00 €"),
        (30, style(currency="JPY"), "¥30"),
        ("500.00", style(currency="JPY"), "¥500"),
        ("30.0000", style(), "$30.00"),
        ("1234.500000", style(), "$1,234.50"),
        ("500.0000", style(currency="JPY"), "¥500"),
        ("30.0001", style(), "30.0001"),
        (30.125, style(currency="BHD"), "BHD 30.125"),
        (30.125, style(), "$30.13"),
        (30.005, style(), "$30.01"),
        (1234.5, style(currency="JPY"), "¥1,235"),
        (29.999999999999996, style(), "$30.00"),
        (0.30000000000000004, style(), "$0.30"),
        (500, style("en_IN", currency="INR"), "₹500.00"),
        (30, replace(style(), locale=Locale("ar")), "30.00 دولار أمريكي"),
    ],
)
def test_money_reads_as_its_currency_does(amount: object, how: Localization, text: str) -> None:
    assert cost(amount, how) == text


@pytest.mark.parametrize(
    ("amount", "how", "text"),
    [
        ("30.00 EUR", style(), "€30.00"),
        ("EUR 30", style(), "€30.00"),
        ("$25.50", style(), "$25.50"),
        ("US$ 25.50", style(currency="EUR"), "$25.50"),
        ("€ 30", style(), "€30.00"),
        ("30,- €", style(), "€30.00"),
        ("1 234,56 €", style(), "€1,234.56"),
        ("30.00 euros", style(), "€30.00"),
        ("Rs. 500/-", style(currency="INR"), "₹500.00"),
        ("$30 USD", style(currency="EUR"), "$30.00"),
        ({"amount": "30.00", "currency": "EUR"}, style(), "€30.00"),
        ({"value": 3000, "currency": "EUR", "exponent": 2}, style(), "€30.00"),
        ({"amount": 3000, "scale": 2, "currency": {"code": "EUR", "base": 10}}, style(), "€30.00"),
        ({"currencyCode": "EUR", "units": "30", "nanos": 500000000}, style(), "€30.50"),
        ({"units": 30, "currency_code": "EUR"}, style(), "€30.00"),
        ({"amount": 30, "currency": {"code": "EUR", "symbol": "€", "name": "Euro"}}, style(), "€30.00"),
        ({"value": 30.0, "symbol": "€"}, style(), "€30.00"),
        ("$30", style(event_currency="CAD"), "CA$30.00"),
    ],
)
def test_what_an_amount_says_of_its_currency_wins_over_the_setting(
    amount: object, how: Localization, text: str
) -> None:
    assert cost(amount, how) == text


@pytest.mark.parametrize(
    ("amount", "how", "text"),
    [
        ("0,075", style(), "0,075"),
        ("0,075", style("de_DE"), "0,075"),
        (500, style(event_currency="0"), "500"),
        (500, style(event_currency="0036"), "500"),
        ("1.234,56", style(), "1.234,56"),
        ("1.234,56", style("de_DE", currency="EUR"), "1.234,56 €"),
        ("1,234", style(), "$1,234.00"),
        ("1,234", style("de_DE"), "1,234"),
        ("1.234", style("de_DE"), "1.234"),
        ("25,50", style(), "25,50"),
        ("25,50", style("de_DE", currency="EUR"), "25,50 €"),
        ("25,50", style(event_currency="EUR"), "25,50 EUR"),
        ("$30", style(currency="EUR"), "$30"),
        ("¥500", style(), "¥500"),
        ("kr 500", style(), "kr 500"),
        ("10-20 EUR", style(), "10-20 EUR"),
        ("30 per seat", style(), "30 per seat"),
        ("30.00 EUR", style(event_currency="USD"), "30.00 EUR"),
        ("30.00 EUR", style(event_currency="Bitcoin"), "30.00 EUR"),
        (500, style(event_currency="Bitcoin"), "500 Bitcoin"),
        (500.0, style(event_currency="ZZZ"), "500 ZZZ"),
        ("25.50", style(event_currency="¥"), "25.50 ¥"),
        (25.5, style(event_currency=["EUR"]), "25.5"),
        (25.5, style(event_currency="a long story about what money is"), "25.5"),
    ],
)
def test_what_has_two_readings_or_none_stands_as_it_was_sent(amount: object, how: Localization, text: str) -> None:
    assert cost(amount, how) == text


@pytest.mark.parametrize(
    ("said", "default", "code"),
    [
        ("gbp", "USD", "GBP"),
        ("₹", "USD", "INR"),
        ("$", "USD", "USD"),
        ("$", "CAD", "CAD"),
        ("$", "EUR", None),
        ("¥", "JPY", "JPY"),
        ("¥", "USD", None),
        ("￥", "CNY", "CNY"),
        ("£", "USD", "GBP"),
        ("£", "EGP", "EGP"),
        ("kr", "SEK", "SEK"),
        ("kr.", "USD", None),
        ("Euro", "USD", "EUR"),
        ("US Dollar", "EUR", "USD"),
        ("Rupees", "USD", None),
        ("Rupees", "INR", "INR"),
        ("indian rupees", "USD", "INR"),
        ("&#8377;", "USD", "INR"),
        (978, "USD", "EUR"),
        ({"code": "EUR", "name": "Euro", "symbol": "€"}, "USD", "EUR"),
        ({"symbol": "€"}, "USD", "EUR"),
        ("036", "USD", "AUD"),
        (36, "USD", "AUD"),
        ({"code": "EUR"}, "USD", "EUR"),
        ("  ", "USD", "USD"),
        ("Unknown", "USD", "USD"),
        (None, "USD", "USD"),
        ("US", "EUR", None),
        ("€€€", "EUR", None),
        ("123", "EUR", None),
        ("ß", "EUR", None),
        ("XXX", "EUR", None),
        (["EUR"], "USD", None),
        (True, "USD", None),
    ],
)
def test_a_currency_that_was_said_is_that_one_or_none(said: object, default: str, code: str | None) -> None:
    event = parse({"currency": said}, "booking.confirmed")
    assert event is not None
    assert Defaults(currency=default).for_event(event).currency == code


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


# ── every currency ───────────────────────────────────────────────────────────────────────────────────

LANGUAGES = [
    "en_US",
    "en_GB",
    "en_IN",
    "de",
    "de_CH",
    "es",
    "es_419",
    "fr",
    "fr_CA",
    "hi",
    "ja",
    "ar",
    "he",
    "fa",
    "ur",
]


@pytest.mark.parametrize("locale", LANGUAGES)
def test_in_every_currency_letters_and_digits_are_apart_by_a_no_break_space(locale: str) -> None:
    spoken = Locale.parse(locale)
    for currency in sorted(spoken.currencies):
        amount = formatting._money("1234.4", currency, spoken)
        near = re.findall(r"(\D?)1[\W\d]?234(?:\W4[0\d]*)?(\D?)", amount)
        assert len(near) == 1, amount
        for beside in near[0]:
            assert not beside.isalpha() or (locale == "ja" and not beside.isascii()), amount
            assert beside != " ", amount


@pytest.mark.parametrize(
    ("locale", "currency", "amount"),
    [
        ("en_US", "AED", "AED 120.00"),
        ("en_US", "CHF", "CHF 120.00"),
        ("en_US", "USD", "$120.00"),
        ("en_GB", "USD", "US$120.00"),
        ("ja", "AED", "120.00 UAEディルハム"),
        ("ja", "JPY", "￥120"),
        ("de", "EUR", "120,00 €"),
        ("ar", "USD", "120.00 دولار أمريكي"),
        ("hi", "INR", "₹120.00"),
    ],
)
def test_an_amount_has_spaces_as_its_language_does(locale: str, currency: str, amount: str) -> None:
    assert formatting._money("120", currency, Locale.parse(locale)).replace("\u00a0", " ") == amount
