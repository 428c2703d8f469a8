"""The texts of push, and what a message carries: title and body, bytes, devices, and what stops the start."""

import shutil
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from notification_service.bootstrap import further_channels
from notification_service.channels.push import payloads, template_loading
from notification_service.channels.push.composer import PushComposer
from notification_service.channels.push.devices import PushService
from notification_service.channels.push.transport import PushTransport
from notification_service.channels.simulated import SimulatedChannel
from notification_service.content import branding, links
from notification_service.content.localization import Defaults
from notification_service.content.profile import Policies, SenderProfile
from notification_service.contract.devices import Device
from notification_service.contract.events import Event, parse
from notification_service.delivery.ports.composer import MessageIds
from notification_service.delivery.ports.directory import Recipient
from notification_service.foundation.addresses import NotAnAddressError
from notification_service.foundation.errors import ConfigurationError
from notification_service.settings import Settings, load
from tests.stack.push_services import KEY_ID, TEAM, TOPIC, PushServices

TEMPLATES = Path(__file__).parents[2] / "templates"
FCM, APNS = "fcm-token:" + "x" * 130, "ab" * 32
IDS = MessageIds("n" * 32, "e1", "booking_cancellation", "B-1", datetime(2026, 11, 29, tzinfo=UTC))


def composer(folder: Path = TEMPLATES) -> PushComposer:
    profile = SenderProfile(
        branding.Brand(name="Kino", sender="tickets@cinema.example"),
        Defaults("en", "Europe/Berlin", "EUR", {}),
        links.LinkPatterns(),
        Policies(),
    )
    return template_loading.load(folder, profile, tuple(PushService))


def cancelled(**fields: object) -> Event:
    said = {"booking_id": "B-1", "movie_title": "Amélie", "showtime": "2026-12-01T20:00:00+01:00", **fields}
    event = parse(said, "booking.cancelled")
    assert event is not None
    return event


@pytest.fixture(scope="module")
def written() -> PushComposer:
    return composer()


def test_the_first_line_is_the_title_and_the_rest_the_body(written: PushComposer) -> None:
    message = written.compose(cancelled(), Recipient(device_tokens=(Device(FCM),)), IDS)
    assert "Amélie" in message.title
    assert message.body
    assert "\n\n" not in message.body
    assert message.subject == message.title
    assert message.valid_until == datetime(2026, 12, 1, 19, tzinfo=UTC)
    assert message.tag == "n" * 32


def test_a_title_of_any_length_fits_into_the_bytes(written: PushComposer) -> None:
    message = written.compose(cancelled(movie_title="🎬" * 3000), Recipient(device_tokens=(Device(APNS),)), IDS)
    assert payloads.size(message) <= payloads.MAX_PAYLOAD_BYTES


def test_the_address_is_the_set_of_devices(written: PushComposer) -> None:
    one = written.address(Recipient(device_tokens=(Device(FCM), Device(APNS))))
    assert one == written.address(Recipient(device_tokens=(Device(APNS), Device(FCM))))
    assert one != written.address(Recipient(device_tokens=(Device(FCM),)))
    assert FCM not in one


def test_without_a_device_that_can_be_used_the_reasons_are_said(written: PushComposer) -> None:
    with pytest.raises(NotAnAddressError, match="device 1 has a token of Expo"):
        written.address(Recipient(device_tokens=(Device("ExponentPushToken[abc]"),)))


def test_a_device_that_is_left_out_is_remarked(written: PushComposer) -> None:
    recipient = Recipient(device_tokens=(Device(FCM), Device("short")))
    remarks = [str(each) for each in written.compose(cancelled(), recipient, IDS).remarks]
    assert any("device 2 has no token of FCM or APNs" in each for each in remarks)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{{ event.nobody }}", "booking_cancellation/push.txt:1"),
        ("{{ 'x' * 5000 }}\nbody", "push.txt:1"),
        ("title\n{{ 'y' * 500 }}", "push.txt:2"),
        ("{% if %}", "push.txt:1"),
        ("", "push.txt:1"),
    ],
)
def test_a_wrong_or_long_text_stops_the_start_with_file_and_line(tmp_path: Path, text: str, says: str) -> None:
    folder = tmp_path / "templates"
    shutil.copytree(TEMPLATES, folder)
    (folder / "booking_cancellation" / "push.txt").write_text(text)
    with pytest.raises(ConfigurationError) as raised:
        composer(folder)
    assert says in str(raised.value)


def settings(tmp_path: Path, **changes: str) -> Settings:
    services = PushServices()
    (tmp_path / "google.json").write_text(services.service_account("https://localhost:1"))
    (tmp_path / "apns.p8").write_text(services.apns_key())
    complete = {
        "PUSH_PROVIDERS": "fcm,apns",
        "FCM_SERVICE_ACCOUNT_FILE": str(tmp_path / "google.json"),
        "APNS_KEY_FILE": str(tmp_path / "apns.p8"),
        "APNS_KEY_ID": KEY_ID,
        "APNS_TEAM_ID": TEAM,
        "APNS_TOPIC": TOPIC,
        "SMTP_SERVER": "localhost",
        "FROM_EMAIL": "tickets@cinema.example",
        "SMTP_SECURITY": "plain",
        "PLAINTEXT_ALLOWED": "smtp,redis,mongodb,rabbitmq",
    }
    return _loaded({name: value for name, value in {**complete, **changes}.items() if value})


def _loaded(values: Mapping[str, str]) -> Settings:
    with pytest.MonkeyPatch.context() as environment:
        for name, value in values.items():
            environment.setenv(name, value)
        return load()


def test_push_is_built_of_the_services_that_the_settings_name(tmp_path: Path) -> None:
    [parts] = further_channels.configured(settings(tmp_path))
    assert isinstance(parts.transport, PushTransport)
    assert parts.transport.name == "apns+fcm"
    assert parts.chosen == ("booking.confirmed", "booking.cancelled", "payment.failed")


def test_without_a_provider_there_is_no_push(tmp_path: Path) -> None:
    assert further_channels.configured(settings(tmp_path, PUSH_PROVIDERS="")) == ()


def test_where_a_login_is_missing_push_is_simulated(tmp_path: Path) -> None:
    [parts] = further_channels.configured(settings(tmp_path, APNS_KEY_ID=""))
    assert isinstance(parts.transport, SimulatedChannel)


@pytest.mark.parametrize(
    "name", ["FCM_SERVICE_ACCOUNT_FILE", "APNS_KEY_FILE", "APNS_KEY_ID", "APNS_TEAM_ID", "APNS_TOPIC"]
)
def test_live_does_not_start_without_a_login_and_says_how_to_get_one(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        settings(tmp_path, DELIVERY_MODE="live", **{name: ""})
    assert str(raised.value).startswith(f"DELIVERY_MODE=live, but {name} is not set: ")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["FCM_SERVICE_ACCOUNT_FILE", "APNS_KEY_FILE"])
@pytest.mark.parametrize("content", [None, "no key", '{"private_key": "canary-key"}', "-----BEGIN PRIVATE KEY-----"])
def test_a_key_file_that_cannot_be_used_is_named_and_not_quoted(tmp_path: Path, name: str, content: str | None) -> None:
    path = tmp_path / "broken"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigurationError) as raised:
        further_channels.configured(settings(tmp_path, **{name: str(path)}))
    assert str(raised.value).startswith(f"{name}={path}")
    assert "canary" not in str(raised.value)


def test_what_is_off_is_not_imported() -> None:
    code = (
        "import sys, notification_service.cli.run\n"
        "print(*(each for each in sys.modules if each in ('httpx2', 'h2') or 'channels.push' in each))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"
