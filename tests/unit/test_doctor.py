"""What `doctor` says of the settings alone."""

import pytest

from notification_service import settings
from notification_service.cli.doctor import read_by_mail_programs

ADDRESS = '{"AMC": {"address": "1 Main Street"}}'
ZONE = '{"AMC": {"time_zone": "America/New_York"}}'
BOTH = '{"AMC": {"address": "1 Main Street", "time_zone": "America/New_York"}}'


@pytest.mark.parametrize(
    ("zone", "cinemas", "said"),
    [
        (
            "",
            "{}",
            "DEFAULT_TIME_ZONE, such as Europe/Madrid, adds the calendar file, and with it an address in CINEMAS",
        ),
        ("", ADDRESS, "DEFAULT_TIME_ZONE, such as Europe/Madrid, adds the calendar file"),
        ("Europe/Madrid", "{}", "an address in CINEMAS adds it"),
        ("", ZONE, "an address in CINEMAS adds it"),
        ("Europe/Madrid", ADDRESS, "read the calendar file and the reservation"),
        ("", BOTH, "read the calendar file and the reservation"),
    ],
)
def test_the_doctor_says_which_setting_lets_programs_read_a_mail(
    zone: str, cinemas: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEFAULT_TIME_ZONE", zone)
    monkeypatch.setenv("CINEMAS", cinemas)
    assert said in read_by_mail_programs(settings.load(None))
