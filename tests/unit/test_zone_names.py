"""Which names time zones have in mails."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo, available_timezones

import pytest
from babel import Locale
from babel.core import get_global

from notification_service.content.zone_names import zone_name

WINTER, SUMMER = datetime(2026, 12, 15, 20), datetime(2026, 7, 15, 20)  # noqa: DTZ001 - a zone is put in
LANGUAGES = ["en_US", "en_IN", "de", "es", "es_419", "fr", "hi", "ja", "ar"]
ZONES = available_timezones()
ALIASES = get_global("zone_aliases")


def named(zone: str, locale: str, when: datetime = WINTER) -> str:
    return zone_name(when.replace(tzinfo=ZoneInfo(zone)), Locale.parse(locale))


@pytest.mark.parametrize("locale", LANGUAGES)
def test_a_zone_that_cldr_names_by_an_old_name_has_that_name(locale: str) -> None:
    groups, names = get_global("meta_zones"), Locale.parse(locale).meta_zones
    older = {today: old for old, today in ALIASES.items() if old in groups}
    found = [zone for zone in ZONES if zone in older and zone not in groups]
    assert len(found) == 19
    for zone in found:
        # Only English has a name for Greenland's time.
        if groups[older[zone]] in names:
            assert not any(map(str.isdigit, named(zone, locale) + named(zone, locale, SUMMER))), zone


@pytest.mark.parametrize("locale", LANGUAGES)
def test_old_and_new_names_of_a_zone_read_alike(locale: str) -> None:
    for old, today in ALIASES.items():
        if {old, today} <= ZONES:
            assert named(old, locale) == named(today, locale), old


@pytest.mark.parametrize(
    ("zone", "locale", "name"),
    [
        ("Asia/Kolkata", "en_IN", "IST"),
        ("Asia/Kolkata", "hi", "IST"),
        ("Asia/Kolkata", "en_US", "India Standard Time"),
        ("Asia/Calcutta", "en_IN", "IST"),
        ("Europe/Kyiv", "en_US", "Eastern European Standard Time"),
        ("America/Argentina/Buenos_Aires", "es", "hora estándar de Argentina"),
        ("Asia/Ho_Chi_Minh", "en_US", "Indochina Time"),
        ("Asia/Kathmandu", "en_US", "Nepal Time"),
        ("America/Indiana/Indianapolis", "en_US", "EST"),
        ("America/New_York", "en_US", "EST"),
        ("Europe/Berlin", "de", "MEZ"),
        ("Europe/Istanbul", "en_US", "GMT+03:00"),
    ],
)
def test_a_zone_has_the_name_that_its_people_know(zone: str, locale: str, name: str) -> None:
    assert named(zone, locale) == name


@pytest.mark.parametrize("locale", LANGUAGES)
@pytest.mark.parametrize("zone", [UTC, timezone(timedelta()), ZoneInfo("UTC"), ZoneInfo("Etc/UTC"), ZoneInfo("Zulu")])
def test_utc_is_utc_in_every_language(locale: str, zone: ZoneInfo) -> None:
    assert zone_name(WINTER.replace(tzinfo=zone), Locale.parse(locale)) == "UTC"


def test_an_offset_reads_as_an_offset() -> None:
    assert zone_name(WINTER.replace(tzinfo=timezone(timedelta(hours=5, minutes=30))), Locale("en")) == "GMT+05:30"
