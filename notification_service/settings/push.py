"""Push: by which services, for which events, and their logins. Unset, there is no such channel."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator
from pydantic_settings import NoDecode, SettingsConfigDict

from notification_service.settings.choices import PushProvider
from notification_service.settings.fields import ApiUrl, Count, EventTypes, Limit, SettingsGroup, split
from notification_service.settings.readers import ReaderSettings

_FCM = "Firebase console → Project settings → Service accounts → Generate new private key (docs/providers.md, FCM)"
_APNS = "Apple Developer → Certificates, Identifiers & Profiles → Keys (docs/providers.md, APNs)"


class ApnsEnvironment(StrEnum):
    PRODUCTION = "production"
    SANDBOX = "sandbox"


_APNS_URLS = {
    ApnsEnvironment.PRODUCTION: "https://api.push.apple.com",
    ApnsEnvironment.SANDBOX: "https://api.sandbox.push.apple.com",
}


class PushSettings(ReaderSettings):
    model_config = SettingsConfigDict(env_prefix="PUSH_")

    providers: Annotated[tuple[PushProvider, ...], NoDecode, BeforeValidator(split)] = ()
    events: EventTypes = ("booking.confirmed", "booking.cancelled", "payment.failed")
    max_per_minute: Limit = None
    max_concurrency: Count = 8


class FcmSettings(SettingsGroup):
    model_config = SettingsConfigDict(env_prefix="FCM_")

    service_account_file: Path | None = None
    api_url: ApiUrl = "https://fcm.googleapis.com"

    @property
    def missing(self) -> str | None:
        """Why FCM cannot be used, in one sentence that names the setting and where to get it."""
        return None if self.service_account_file else f"FCM_SERVICE_ACCOUNT_FILE is not set: {_FCM}"


class ApnsSettings(SettingsGroup):
    """`topic`: the bundle id of the app. `api_url`: instead of Apple's address for the environment."""

    model_config = SettingsConfigDict(env_prefix="APNS_", str_strip_whitespace=True)

    key_file: Path | None = None
    key_id: str | None = None
    team_id: str | None = None
    topic: str | None = None
    environment: ApnsEnvironment = ApnsEnvironment.PRODUCTION
    api_url: ApiUrl | None = None

    @property
    def url(self) -> str:
        return self.api_url or _APNS_URLS[self.environment]

    @property
    def missing(self) -> str | None:
        """Why APNs cannot be used, in one sentence that names the setting and where to get it."""
        if not self.key_file:
            return f"APNS_KEY_FILE is not set: {_APNS}"
        if not self.key_id:
            return f"APNS_KEY_ID is not set: the ten characters beside the key's name, {_APNS}"
        if not self.team_id:
            return "APNS_TEAM_ID is not set: ten characters under Membership, Apple Developer (docs/providers.md, APNs)"
        if not self.topic:
            return "APNS_TOPIC is not set: the bundle id of your app, as com.example.cinema (docs/providers.md, APNs)"
        return None
