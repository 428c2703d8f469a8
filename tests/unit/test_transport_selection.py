"""Which way mail goes is decided once, and everybody who speaks of it says the same."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from notification_service import service
from notification_service.cli import demo, send_test
from notification_service.delivery.ports.channel import Refused
from notification_service.settings import Settings, load
from tests.stack.smtp import SmtpServer
from tests.unit.fakes import attempt

SMTP = {
    "SMTP_SERVER": "gmail",
    "SMTP_USERNAME": "me@cinema.example",
    "SMTP_PASSWORD": "x",
    "SMTP_POOL_SIZE": "3",
    "DELIVERY_MODE": "",
}
LIVE = ("live", "live", "smtp", 6)  # two mails for each session: one that it carries, and the next
SIMULATED = ("simulated", "simulated", "simulated", 8)


def loaded(monkeypatch: pytest.MonkeyPatch, values: dict[str, str]) -> Settings:
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return load(None)


def test_the_demo_sends_nothing_whatever_is_set(
    own_smtp: SmtpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = {
        "SMTP_SERVER": own_smtp.host,
        "SMTP_PORT": str(own_smtp.port),
        "SMTP_USERNAME": own_smtp.username,
        "SMTP_PASSWORD": own_smtp.password,
        "SMTP_CA_FILE": str(own_smtp.ca_file),
        "FROM_EMAIL": "tickets@cinema.example",
        "DELIVERY_MODE": "live",
    }
    with own_smtp:
        settings = loaded(monkeypatch, real)
        demo.run(settings, tmp_path / "outbox")
        assert settings.live
        assert own_smtp.connections() == []
    assert len(list((tmp_path / "outbox").glob("*.eml"))) == 5


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, LIVE),
        ({"DELIVERY_MODE": "live"}, LIVE),
        ({"DELIVERY_MODE": "simulate"}, SIMULATED),
        ({"SMTP_SERVER": ""}, SIMULATED),
        ({"SMTP_PASSWORD": ""}, SIMULATED),
    ],
)
async def test_the_start_the_mode_the_breaker_and_the_metrics_agree(
    changes: dict[str, str], said: tuple[str, str, str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = loaded(monkeypatch, {**SMTP, **changes})
    with capture_logs() as lines:
        async with service.opened(settings) as opened:
            (mode,) = (line["mode"] for line in lines if line["event"] == "service.starting")
            breaker = opened.parts.email.breaker
            assert (mode, opened.mode, breaker.name, breaker.admission._max_concurrency) == said
            assert f"notification_simulated {float(said == SIMULATED)}\n" in opened.parts.metrics.page().decode()


def test_a_reply_without_a_code_is_told_without_one() -> None:
    assert send_test._said(Refused(attempt("refused", None, "no SMTPUTF8"), "5.6.7")) == "no SMTPUTF8"
