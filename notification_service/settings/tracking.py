"""Which addresses are not written to any more, which clicks are counted, and the keys of the links for both."""

from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

from notification_service.foundation.credentials import published
from notification_service.foundation.keyed_tokens import TokenKeys
from notification_service.settings.choices import Tracking
from notification_service.settings.fields import MIN_KEY_LENGTH, FieldOfUser, SettingsGroup, split

_MAX_KEY_ID = 255


def _check_link_key(key: SecretStr) -> SecretStr:
    key_id, _, secret = key.get_secret_value().partition(":")
    if not (key_id.isascii() and key_id.isdigit() and int(key_id) <= _MAX_KEY_ID):
        raise ValueError(f"each key begins with an id from 0 to {_MAX_KEY_ID} and a colon, such as 1:<secret>")
    if len(secret) < MIN_KEY_LENGTH or published(secret):
        raise ValueError(
            f"the secret behind the colon needs at least {MIN_KEY_LENGTH} characters that nobody can guess; "
            "`openssl rand -hex 32` makes one"
        )
    return key


def _check_link_keys(keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    ids = [int(key.get_secret_value().partition(":")[0]) for key in keys]
    if len(set(ids)) < len(ids):
        raise ValueError("two keys have the same id: an id names one key for ever")
    return keys


LinkKeys = Annotated[
    tuple[Annotated[SecretStr, AfterValidator(_check_link_key)], ...],
    NoDecode,
    BeforeValidator(split),
    AfterValidator(_check_link_keys),
]


class TrackingSettings(SettingsGroup):
    """`suppression`: None where feedback decides. `link_keys`: `id:secret`, the newest first.

    `tracking_consent_field`: of a user, true where they agree.
    """

    suppression: bool | None = None
    suppression_days: Annotated[float, Field(gt=0, le=365)] = 30
    tracking: Tracking = Tracking.OFF
    tracking_consent_field: Annotated[str | None, FieldOfUser] = None
    link_keys: LinkKeys = ()

    @property
    def token_keys(self) -> TokenKeys:
        return TokenKeys({int(key_id): secret for key_id, secret in self._pairs})

    @property
    def consent_field(self) -> str | None:
        """Where users agree that clicks are counted; None where none are."""
        return self.tracking_consent_field if self.tracking is Tracking.CLICKS else None

    @property
    def plain_keys(self) -> tuple[str, ...]:
        return tuple(secret for _, secret in self._pairs)

    @property
    def suppression_time(self) -> timedelta:
        return timedelta(days=self.suppression_days)

    @property
    def _pairs(self) -> list[tuple[str, str]]:
        pairs = [key.get_secret_value().partition(":") for key in self.link_keys]
        return [(key_id, secret) for key_id, _, secret in pairs]
