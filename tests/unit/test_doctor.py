"""What `doctor` says of the settings alone."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from notification_service import settings
from notification_service.cli.doctor import heard_of_mails, read_by_mail_programs, state_of_test
from notification_service.contract.experiments import parse_experiment
from notification_service.delivery.ports.experiments import RegisteredExperiment
from notification_service.foundation.errors import ConfigurationError

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


TEST = parse_experiment("payment_failed:b=0.5:salt=2026-12:wanted=0.05")
KNOWN = RegisteredExperiment(TEST, datetime(2026, 12, 1, tzinfo=UTC))


def test_the_doctor_says_since_when_a_test_runs() -> None:
    assert state_of_test(TEST, None) == f"{TEST} begins with the next start of the service"
    assert state_of_test(TEST, KNOWN).startswith(f"{TEST} runs since 2026-12-01 00:00 UTC")


@pytest.mark.parametrize(
    ("known", "said"),
    [
        (replace(KNOWN, experiment=replace(TEST, share=0.4)), "used for payment_failed:b=0.4:salt=2026-12:wanted=0.05"),
        (
            replace(KNOWN, stopped_at=KNOWN.started_at, stop_reason="x"),
            r"\(x\): mend templates/payment_failed@b and start",
        ),
    ],
)
def test_the_doctor_says_what_to_do_about_a_test_that_does_not_run(known: RegisteredExperiment, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        state_of_test(TEST, known)


TOPIC = {"SES_TOPICS": "arn:aws:sns:eu-west-1:123456789012:mail"}
MAILBOX = {"RETURN_PATH_DOMAIN": "bounces.cinema.example", "LINK_KEYS": "1:8f3b6e0c59d24a7f91e6"}
SILENT = "bounces and complaints that come after the server took a mail are not heard"


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({}, [SILENT, "POSTMARK_WEBHOOK_LOGINS, or RETURN_PATH_DOMAIN for a mailbox, turns that on", "SUPPRESSION"]),
        ({"SMTP_SERVER": "smtp.sendgrid.net"}, [SILENT, "not heard: SENDGRID_WEBHOOK_KEYS turns that on"]),
        ({"SUPPRESSION": "true"}, [SILENT, "is written to no more"]),
        ({"CALLBACK_URL": "https://links.example"}, [SILENT, "is written to no more"]),
        (TOPIC, ["are heard, where `callbacks` or `bounces` runs", "is written to no more"]),
        (MAILBOX, ["are heard", "is written to no more"]),
        ({**TOPIC, "SUPPRESSION": "false"}, ["are heard", "SUPPRESSION=false", "is written to again all the same"]),
    ],
)
def test_the_doctor_says_what_is_heard_of_mails_and_what_is_missing(
    told: dict[str, str], said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    found = heard_of_mails(settings.load(None))
    assert [each for each in said if each not in found] == []
    assert "\n" not in found
