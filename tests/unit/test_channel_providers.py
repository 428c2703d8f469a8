"""docs/providers.md walks through each provider of SMS and push in five steps, and names what has to be set."""

import re
from pathlib import Path

import pytest

from notification_service.channels.push import logins
from notification_service.foundation.errors import ConfigurationError
from notification_service.settings import ApnsSettings, FcmSettings, SmsSettings, SnsSettings, TwilioSettings
from notification_service.settings.fields import SettingsGroup

DOCUMENT = (Path(__file__).parents[2] / "docs" / "providers.md").read_text("utf-8")
GROUPS: dict[str, tuple[type[SettingsGroup], tuple[str, ...]]] = {
    "Twilio": (TwilioSettings, ("account_sid", "api_key", "api_secret", "auth_token", "sender")),
    "AWS SNS": (SnsSettings, ("region", "access_key_id", "secret_access_key", "sender_id", "unknown_hold")),
    "FCM": (FcmSettings, ("service_account_file",)),
    "APNs": (ApnsSettings, ("key_file", "key_id", "team_id", "topic", "environment")),
}
_SETTING = re.compile(r"`((?:TWILIO|SNS|FCM|APNS|SMS)_[A-Z_]+)")


def section(name: str) -> str:
    (found,) = re.findall(rf"^## {re.escape(name)}$(.*?)(?=^#|\Z)", DOCUMENT, re.MULTILINE | re.DOTALL)
    return str(found)


@pytest.mark.parametrize("name", GROUPS)
def test_each_provider_has_five_steps_that_name_every_setting_of_the_login_and_none_that_is_none(name: str) -> None:
    group, needed = GROUPS[name]
    text, prefix = section(name), str(group.model_config.get("env_prefix"))
    assert [int(each) for each in re.findall(r"^(\d)\. ", text, re.MULTILINE)] == [1, 2, 3, 4, 5]
    known = {f"{prefix}{field.upper()}" for field in group.model_fields}
    known |= {f"SMS_{field.upper()}" for field in SmsSettings.model_fields}
    named = set(_SETTING.findall(text))
    assert named <= known
    assert {f"{prefix}{field.upper()}" for field in needed} <= named
    assert "`notification-service doctor`" in text
    assert "`send-test --channel" in text


@pytest.mark.parametrize(
    "content", [None, b"", b"{}", b"-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n"]
)
def test_a_key_file_that_is_missing_or_none_stops_with_its_setting_and_the_way_to_one(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
    for read, setting, where in (
        (logins.read_service_account, "FCM_SERVICE_ACCOUNT_FILE", "docs/providers.md, FCM"),
        (logins.read_apns_key, "APNS_KEY_FILE", "docs/providers.md, APNs"),
    ):
        with pytest.raises(ConfigurationError) as raised:
            read(path)
        assert str(raised.value).startswith(f"{setting}={path} ")
        assert where in str(raised.value)
