"""What suppression, clicks and the keys of links need beside each other, each told in one line."""

import subprocess
import sys

import pytest

from notification_service.foundation.errors import ConfigurationError
from notification_service.settings import Settings, load

KEY, OLD_KEY = "8f3b6e0c59d24a7f91e6", "0c59d24a7f91e68f3b6e"
CLICKS = {
    "TRACKING": "clicks",
    "CALLBACK_URL": "https://links.example",
    "LINK_KEYS": f"2:{KEY}, 1:{OLD_KEY}",
    "TRACKING_CONSENT_FIELD": "consent.clicks",
    "LINK_HOSTS": "Cinema.example",
    "BOOKING_URL": "https://cinema.example/bookings/{booking_id}",
}


def settings(monkeypatch: pytest.MonkeyPatch, **values: str) -> Settings:
    for name in (*CLICKS, "SUPPRESSION", "SES_TOPICS", "RECORD_RECIPIENT", "ADDRESS_KEYS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return load(None)


def test_the_newest_key_signs_and_no_secret_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    found = settings(monkeypatch, **CLICKS)
    assert found.tracking.token_keys.current == 2
    assert found.tracking.consent_field == "consent.clicks"
    assert KEY not in repr(found)
    assert {KEY, OLD_KEY} <= set(found.secrets())


@pytest.mark.parametrize(
    "keys",
    [f"256:{KEY}", f"-1:{KEY}", f":{KEY}", KEY, "1:short", "1:changeme-changeme", f"1:{KEY},1:{OLD_KEY}", f"x:{KEY}"],
)
def test_a_key_without_an_id_of_its_own_or_that_can_be_guessed_is_refused(
    monkeypatch: pytest.MonkeyPatch, keys: str
) -> None:
    with pytest.raises(ConfigurationError, match="LINK_KEYS") as caught:
        settings(monkeypatch, LINK_KEYS=keys)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("missing", ["CALLBACK_URL", "LINK_KEYS", "TRACKING_CONSENT_FIELD"])
def test_clicks_need_a_listener_keys_and_a_consent(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    with pytest.raises(ConfigurationError, match=f"TRACKING=clicks needs {missing}"):
        settings(monkeypatch, **{name: value for name, value in CLICKS.items() if name != missing})


def test_a_link_that_the_redirect_would_refuse_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match=r"SUPPORT_URL leads to help\.example, which LINK_HOSTS does not name"):
        settings(monkeypatch, **CLICKS, SUPPORT_URL="https://help.example/")


@pytest.mark.parametrize("field", ["$where", "a b", "consent.", ".consent", "a..b", "é"])
def test_a_field_of_consent_is_a_plain_name(monkeypatch: pytest.MonkeyPatch, field: str) -> None:
    with pytest.raises(ConfigurationError, match="TRACKING_CONSENT_FIELD"):
        settings(monkeypatch, **CLICKS | {"TRACKING_CONSENT_FIELD": field})


def test_suppression_is_on_where_feedback_is_heard_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = {"SES_TOPICS": "arn:aws:sns:eu-west-1:123456789012:mail"}
    assert not settings(monkeypatch).suppression
    assert settings(monkeypatch, SUPPRESSION="true").suppression
    assert settings(monkeypatch, **heard).suppression
    assert not settings(monkeypatch, **heard, SUPPRESSION="false").suppression
    assert settings(monkeypatch, **CLICKS).suppression
    with pytest.raises(ConfigurationError, match="needs ADDRESS_KEYS"):
        settings(monkeypatch, **heard, RECORD_RECIPIENT="masked")
    assert not settings(monkeypatch, **heard, RECORD_RECIPIENT="masked", SUPPRESSION="false").suppression


def test_masked_records_need_a_key_for_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    masked = {"SUPPRESSION": "true", "RECORD_RECIPIENT": "masked"}
    with pytest.raises(ConfigurationError, match="needs ADDRESS_KEYS"):
        settings(monkeypatch, **masked)
    assert settings(monkeypatch, **masked, ADDRESS_KEYS=KEY).has_digests


def test_what_is_off_is_not_imported() -> None:
    of_readers = (
        "stores.mongo.suppressions",
        "records.suppression_list",
        "callbacks",
        "feedback",
        "content.reader_pages",
    )
    program = (
        "import sys, notification_service.service\n"
        f"print([each for each in {of_readers} if f'notification_service.{{each}}' in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert ended.stdout == "[]\n"


def test_off_is_the_default_and_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    found = settings(monkeypatch, TRACKING_CONSENT_FIELD="consent")
    assert not found.tracking.suppression
    assert found.tracking.consent_field is None
