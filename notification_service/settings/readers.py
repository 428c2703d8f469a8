"""What a channel beside e-mail owes its readers: quiet hours, their consent, and not too much an hour."""

from typing import Annotated

from pydantic import BeforeValidator, Field
from pydantic_settings import NoDecode

from notification_service.delivery.quiet_hours import QuietHours, parse_quiet_hours
from notification_service.settings.fields import FieldOfUser, Limit, SettingsGroup


def _read_quiet_hours(value: object) -> object:
    return parse_quiet_hours(value) if isinstance(value, str) else value


class ReaderSettings(SettingsGroup):
    """`consent_field`: of a user, false where they want nothing by this channel.

    `consent_required`: nor does anybody get anything whose field is not true.
    """

    quiet_hours: Annotated[QuietHours | None, NoDecode, BeforeValidator(_read_quiet_hours)] = None
    consent_field: Annotated[str | None, FieldOfUser] = None
    consent_required: bool = True
    recipient_per_hour: Limit = Field(default=None)
