"""Names of time zones: IANA's, those of Windows, offsets."""

from datetime import timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from babel.core import get_global
from hypothesis import given, strategies as st

from notification_service.contract import time_zones


@pytest.mark.parametrize(
    ("name", "zone"),
    [
        ("America/New_York", "America/New_York"),
        ("america/new_york", "America/New_York"),
        ("AMERICA/NEW YORK", "America/New_York"),
        (" Europe/Madrid ", "Europe/Madrid"),
        ("US/Pacific", "US/Pacific"),
        ("Pacific Standard Time", "America/Los_Angeles"),
        ("pacific standard time", "America/Los_Angeles"),
        ("Pacific Daylight Time", "America/Los_Angeles"),
        ("(UTC-08:00) Pacific Time (US & Canada)", "America/Los_Angeles"),
        ("Eastern Time (US & Canada)", "America/New_York"),
        ("W. Europe Standard Time", "Europe/Berlin"),
        ("GMT Standard Time", "Europe/London"),
        ("India Standard Time", "Asia/Calcutta"),
        ("Alberta Standard Time", "America/Edmonton"),
        ("Etc/GMT+8", "Etc/GMT+8"),
        ("UTC", "UTC"),
        ("Z", "UTC"),
    ],
)
def test_a_zone_is_known_by_each_of_its_names(name: str, zone: str) -> None:
    assert time_zones.find(name) == ZoneInfo(zone)


@pytest.mark.parametrize(
    ("name", "minutes"),
    [
        ("+05:30", 330),
        ("UTC+5:30", 330),
        ("utc +05:30", 330),
        ("GMT-8", -480),
        ("GMT-08:00", -480),
        ("-0800", -480),
        ("-08", -480),
        ("UTC\u22123", -180),
        ("+14:00", 840),
        ("+05:45", 345),
    ],
)
def test_an_offset_is_a_zone(name: str, minutes: int) -> None:
    assert time_zones.find(name) == timezone(timedelta(minutes=minutes))


@pytest.mark.parametrize(
    "name",
    [
        *("", " ", "Mars/Base", "-8", "330", "+15:00", "-12:30", "+05:20", "-22:00", "PST", "Factory", "localtime"),
        *("../../etc/passwd", "Europe/", "Pacific", "Pacific Time", "UTC+5:30:00", "x" * 500, "Etc/GMT+99"),
    ],
)
def test_an_unknown_or_ambiguous_name_is_no_zone(name: str) -> None:
    assert time_zones.find(name) is None


def test_every_zone_of_windows_is_known() -> None:
    names = get_global("windows_zone_mapping")
    assert len(names) > 130
    assert [name for name in names if time_zones.find(name.upper()) is None] == []


@given(st.text(max_size=80))
def test_any_text_is_a_zone_or_none(name: str) -> None:
    found = time_zones.find(name)
    assert found is None or isinstance(found, ZoneInfo | timezone)
