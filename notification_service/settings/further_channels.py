"""SMS and push: which provider, which events, and what a message may cost. Unset, a channel does not exist."""

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from notification_service.settings.choices import SmsProvider
from notification_service.settings.fields import (
    ApiUrl,
    Count,
    Country,
    EventTypes,
    Limit,
    Price,
    SettingsGroup,
    SmsSender,
)
from notification_service.settings.readers import ReaderSettings


class SmsSettings(ReaderSettings):
    """`prices`: of one segment by country, in the currency that the provider bills in."""

    model_config = SettingsConfigDict(env_prefix="SMS_")

    provider: SmsProvider | None = None
    events: EventTypes = ("booking.cancelled", "payment.failed")
    default_country: Country | None = None
    max_per_day: Limit = None
    prices: dict[Country, Price] = Field(default={})
    max_price: Price | None = None
    max_concurrency: Count = 8


class TwilioSettings(SettingsGroup):
    """`api_key`, `api_secret`: the login. `auth_token`: signs Twilio's callbacks; without an API key it logs in too.

    A value that was copied with its line end is as good.
    """

    model_config = SettingsConfigDict(env_prefix="TWILIO_", str_strip_whitespace=True)

    account_sid: str | None = None
    api_key: str | None = None
    api_secret: SecretStr | None = None
    auth_token: SecretStr | None = None
    sender: SmsSender = None
    api_url: ApiUrl = "https://api.twilio.com"

    @property
    def missing(self) -> str | None:
        """Why Twilio cannot be used, in one sentence that names the setting and where to get it."""
        where = "twilio.com → Console → Account → API keys & tokens (docs/providers.md, Twilio)"
        if not self.account_sid:
            return f"TWILIO_ACCOUNT_SID is not set: {where}"
        if self.api_key and not self.api_secret:
            return f"TWILIO_API_KEY is set, and TWILIO_API_SECRET is not: {where}"
        if not self.api_key and not self.auth_token:
            return f"neither TWILIO_API_KEY with TWILIO_API_SECRET nor TWILIO_AUTH_TOKEN is set: {where}"
        if not self.sender:
            return (
                "TWILIO_SENDER is not set: a number of yours (+1…), a name that the recipients' countries allow, or a "
                "messaging service (MG…), from twilio.com → Console → Phone numbers (docs/providers.md, Twilio)"
            )
        return None


class SnsSettings(SettingsGroup):
    """`endpoint_url`: instead of the region's. `unknown_hold`: a message in doubt waits for a person."""

    model_config = SettingsConfigDict(env_prefix="SNS_", str_strip_whitespace=True)

    region: str | None = Field(default=None, pattern="^[a-z0-9-]+$")
    access_key_id: str | None = None
    secret_access_key: SecretStr | None = None
    session_token: SecretStr | None = None
    sender_id: str | None = Field(default=None, pattern="^[A-Za-z0-9-]{1,11}$")
    endpoint_url: ApiUrl | None = None
    unknown_hold: bool = True

    @property
    def missing(self) -> str | None:
        """Why SNS cannot be used, in one sentence that names the setting and where to get it."""
        where = "AWS Console → IAM → Users → Security credentials (docs/providers.md, AWS SNS)"
        if not self.region:
            return "SNS_REGION is not set: the region of your SNS, such as eu-central-1 (docs/providers.md, AWS SNS)"
        if not self.access_key_id or not self.secret_access_key:
            return f"SNS_ACCESS_KEY_ID and SNS_SECRET_ACCESS_KEY have to be set both: {where}"
        return None
